from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tracking.conftest import Make

from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import write_npz
from offset_autoencoder.runs.spec import SavedRun
from offset_autoencoder.tracking.descriptions import as_param, as_ranges, experiment_description
from offset_autoencoder.tracking.record_types import (
    Record,
    curve_spacing,
    read_curves,
    thinned,
)
from offset_autoencoder.tracking.records import read_records

INDEX = "model,setting,seed,id,status"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (1e-3, "0.001"),
        (0.123456789, "0.123456789"),
        ([64, 32], "64, 32"),
        ([], "none"),
        ({"train": "a.npy", "test": "b.npy"}, "train=a.npy, test=b.npy"),
    ],
)
def test_param_values(value: Any, shown: str) -> None:
    assert as_param(value) == shown


def test_long_list_says_how_much_is_left_out() -> None:
    text = as_param([f"column{i}" for i in range(2000)])
    assert len(text) <= 6000
    assert text.endswith(", … (2000 in all)")
    assert text.startswith("column0, column1, ")


@given(st.sets(st.integers(0, 30)))
@settings(max_examples=50, deadline=None)
def test_ranges_say_every_number_once(numbers: set[int]) -> None:
    said: list[int] = []
    text = as_ranges(numbers)
    for part in text.split(", ") if numbers else []:
        low, _, high = part.partition("-")
        said += range(int(low), int(high or low) + 1)
    assert said == sorted(numbers)


def test_records_stand_for_the_rows_of_the_index(make_project: Make) -> None:
    project = make_project(has_store=False)
    records = read_records(project.params, project.root)
    assert [record.name for record in records if record.role == "run"] == [
        run.label for run in project.params.runs
    ]
    seen = set()
    for record in records:
        assert record.parent is None or record.parent in seen
        seen.add(record.record_id)
    assert len(seen) == len(records)
    assert all(value for record in records for value in record.params.values())
    assert not any("{" in value for record in records for value in record.params.values())


def test_reports_and_params_make_a_record_differ_and_times_do_not(make_project: Make) -> None:
    project = make_project(has_store=False)

    def read() -> tuple[Record, ...]:
        return read_records(project.params, project.root)

    first = read()
    project.write(timeless=True)
    assert [record.content for record in read()] == [record.content for record in first]
    (project.root / "reports" / "plots" / "curves.csv").write_text("epoch\n2\n")
    second = read()[0]
    assert (first[0].key, first[0].content == second.content) == (second.key, False)
    assert dataclasses.replace(second, artifacts=first[0].artifacts).content == first[0].content
    project.write(shift=1.0)
    assert read()[0].key == first[0].key
    project.document["evaluate"]["confidence"] = 0.9
    project.write()
    assert read()[0].key != first[0].key


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("models/index.csv", None, "models/index.csv: no such file"),
        ("models/index.csv", "model,setting,seed,id\n", "has no column 'status'"),
        ("models/index.csv", f"{INDEX}\nnone,none\n", "row 1: has 2 cells, expected 5"),
        (
            "models/index.csv",
            "model,setting,seed,id,status\nnone,none,0,xyz,finished\n",
            "expected the SHA-256",
        ),
        ("reports/runs.csv", None, "reports/runs.csv: no such file"),
        ("reports/runs.csv", "id,setting,seed,status\n", "has no row for none seed=0"),
        ("reports/metrics.json", "{", "metrics.json: is not JSON"),
        ("reports/metrics.json", "[]", "expected an object of models"),
        ("reports/comparison.csv", None, "comparison.csv: no such file"),
        ("data/prepared/schema.json", "{}", "schema.json: lacks 'digests'"),
        ("reports/runs.csv", (",0.02,", ",n/a,"), "runs.csv, row 2, column mse: expected a number"),
        ("params.yaml", ("- 0.2", "- 0.3"), "no such run of model 'gaussian' … dvc repro"),
    ],
)
def test_damaged_files_are_named(
    make_project: Make, path: str, text: str | tuple[str, str] | None, message: str
) -> None:
    """``text`` is what the file holds, or what stands in it in place of what."""
    project = make_project(has_store=False)
    target = project.root / path
    if isinstance(text, tuple):
        text = target.read_text().replace(*text)
    target.unlink() if text is None else target.write_text(text)
    with pytest.raises(InputError) as raised:
        read_records(project.params, project.root)
    assert all(part in str(raised.value) for part in message.split(" … "))


@pytest.mark.parametrize(
    "times",
    [
        None,
        {"ended": np.ones(2)},
        {"ended": np.array([1.0, np.nan, 3.0])},
        {"ended": np.array(["a", "b", "c"])},
        {"other": np.ones(3)},
    ],
)
def test_times_that_do_not_fit_are_unknown(make_project: Make, times: Any) -> None:
    project = make_project(has_store=False)
    (folder,) = read_records(project.params, project.root)[-1].folders
    (folder / "times.npz").unlink()
    if times is not None:
        write_npz(folder / "times.npz", times)
    points, are_times_known = read_curves(folder, now=5)
    assert not are_times_known
    assert {point.timestamp for point in points} == {5}
    assert len(points) == 6


def test_times_of_a_run_that_dvc_checked_out_come_from_the_run_store(make_project: Make) -> None:
    project = make_project(has_store=False)
    (folder,) = read_records(project.params, project.root)[-1].folders
    known = read_curves(folder, now=5)
    (project.root / ".runs" / folder.name).mkdir(parents=True)
    (folder / "times.npz").rename(project.root / ".runs" / folder.name / "times.npz")
    assert read_curves(folder, now=5) == known
    assert known[1]


@given(
    st.lists(st.floats(width=32) | st.just(np.nan), min_size=1, max_size=700),
    st.integers(4, 120) | st.none(),
)
def test_a_curve_has_at_most_so_many_points_with_first_best_and_last(
    losses: list[float], most: int | None
) -> None:
    rows = thinned(np.array(losses), most)
    assert rows == sorted(set(rows))
    assert most is None or len(rows) <= most
    if most is None or len(losses) <= most:
        assert rows == list(range(len(losses)))
    finite = np.where(np.isnan(losses), np.inf, losses)
    assert {0, len(losses) - 1} <= set(rows)
    assert min(finite[rows]) == min(finite)


@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(4, 120) | st.none())
def test_what_a_training_shows_is_shown_when_it_has_ended(
    one: int, other: int, most: int | None
) -> None:
    ended, planned = sorted((one, other))
    shown = set(range(0, ended, curve_spacing(planned, most)))
    assert shown <= set(thinned(np.ones(ended), most))


def test_note_fits_and_counts_what_it_leaves_out() -> None:
    settings = [
        Record(
            "setting", str(i), f"model{i} " * 5, "FINISHED", {}, {"test_mse": 0.5}, {"setting": "x"}
        )
        for i in range(500)
    ]
    text = experiment_description(settings, {}, Evaluate(baselines=["none"]), 500, 0)
    assert len(text) <= 8000
    shown = text.count("| 0.5 |")
    assert f"{500 - shown} more settings: reports/metrics.json" in text


def test_the_order_of_the_seeds_is_no_other_setting(make_project: Make) -> None:
    """Where each seed has data of its own, a setting is known by those of its lowest seed."""
    project = make_project(has_store=False)
    project.document["seeds"] = [0, 1]
    spec = project.spec
    of_seed = {0: "a" * 64, 1: "b" * 64}

    def with_own_data(run: Any) -> dict[str, Any]:
        saved = SavedRun.parse(spec(run))
        own = dataclasses.replace(saved.spec, data=of_seed[run.seed])
        return dataclasses.replace(saved, spec=own).dump()

    project.spec = with_own_data  # type: ignore[method-assign]
    keys = []
    for seeds in ([0, 1], [1, 0], [0], [1]):
        project.document["seeds"] = seeds
        project.write()
        records = read_records(project.params, project.root)
        keys.append([record.key for record in records if record.role == "setting"])
    assert keys[0] == keys[1] == keys[2]
    assert keys[0] != keys[3]
