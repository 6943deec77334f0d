"""The example as a user runs it: its own DVC project inside the outer one."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.end_to_end.project import ROOT, fresh_project, run

PARAMS = "examples/channel/code_2_2/params.yaml"
STAGES = ("evaluate@code_2_2", "block_error_rate@code_2_2", "publish@code_2_2")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which the example is small, after its ``dvc repro``."""
    params: dict[str, Any] = yaml.safe_load((ROOT / PARAMS).read_text())
    params["seeds"] = 2
    params["train"]["epochs"] = 30
    params["tracking"]["live_after"] = None  # on a busy machine runs would be there beforehand
    for model in params["models"].values():
        model.pop("epochs", None)
    folder = tmp_path_factory.mktemp("channel") / "project"
    fresh_project(folder, yaml.safe_dump(params), PARAMS)
    output = run(folder / "examples/channel", "dvc", "repro", *STAGES)
    assert "runs: 8 (8 trained, 0 reused)" in output
    assert "published: 8 runs (8 new)" in output
    assert "below the sphere-packing bound: none of 8 runs" in output
    return folder


def test_every_run_is_measured_at_every_point(root: Path) -> None:
    path = root / "examples/channel/code_2_2/reports/block_error_rate_runs.csv"
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 8 * 9
    assert all(float(row["low"]) <= float(row["rate"]) <= float(row["high"]) for row in rows)
    assert all(int(row["errors"]) >= 200 for row in rows)
    assert (path.parent / "block_error_rate.png").stat().st_size > 10_000


def test_nothing_runs_twice(root: Path) -> None:
    output = run(root / "examples/channel", "dvc", "repro", *STAGES)
    assert "published: 8 runs, nothing new" in output
    assert output.count("Running stage") == 1


def test_the_outer_project_does_not_notice(root: Path) -> None:
    example = root / "examples/channel"
    assert (example / ".runs").is_dir()
    assert (example / "mlflow.db").is_file()
    assert not [name for name in (".runs", "mlflow.db", "dvc.lock") if (root / name).exists()]
    assert "channel" not in run(root, "dvc", "stage", "list", "--all")
    assert "channel" not in run(root, "dvc", "status")
    changed = run(root, "git", "status", "--short", "--untracked-files=all").splitlines()
    assert changed == ["?? examples/channel/dvc.lock"]
