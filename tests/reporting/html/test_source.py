from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.reporting.html.project import Project

from offset_autoencoder.errors import InputError
from offset_autoencoder.reporting.html.source import read_csv, read_source

MakeProject = Callable[..., Project]

SWEEPS = {
    "none": {"offset": "none", "hidden": [[8], [16, 8]], "learning_rate": [0.001, 1e-5]},
    "frozen": {"offset": "frozen", "rms": [None, 0.1], "normalize": [True, False]},
}


def test_rows_find_their_settings_whatever_is_swept(project: MakeProject) -> None:
    made = project(models=SWEEPS, evaluate={"baselines": ["none"]}, codes=False)
    source = read_source(made.reports, made.params)
    found = source.labels(source.runs)
    expected = [setting.label for setting in made.params.settings for _ in made.params.seeds]
    assert found == expected
    assert "none hidden=16-8 learning_rate=1e-05" in expected


def test_means_are_those_of_the_runs(project: MakeProject) -> None:
    made = project()
    source = read_source(made.reports, made.params)
    setting = made.params.settings[1]
    with (made.reports / "runs.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["model"] == "gaussian"]
    own = [float(row["mse_as_trained"]) for row in rows if row["stddev"] == "0.05"]
    assert source.estimate(setting, "mse_as_trained").mean == pytest.approx(sum(own) / len(own))
    unknown = source.estimate(setting, "nothing")
    assert unknown.mean != unknown.mean


def test_a_row_of_other_params_is_refused(project: MakeProject) -> None:
    made, other = project(), {"other": {"offset": "none"}}
    params = made.params
    source = read_source(made.reports, params)
    with pytest.raises(InputError, match="of no setting"):
        source.labels([{"model": next(iter(other)), "setting": "other"}])


@pytest.mark.parametrize("content", [b"a,b\n1,2,3\n", b"a\n\xff\n"])
def test_a_damaged_table_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"table\.csv"):
        read_csv(path)
