"""The example as a user runs it: its own DVC project inside the outer one."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
STAGES = ("evaluate@code_2_2", "block_error_rate@code_2_2", "publish@code_2_2")

pytestmark = pytest.mark.slow


def run(folder: Path, *command: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for name in ("DVC_ROOT", "PYTHONPATH"):
        environment.pop(name, None)
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository in which the example is small, after its ``dvc repro``."""
    folder = tmp_path_factory.mktemp("channel") / "project"
    listed = run(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard")
    for name in listed.splitlines():
        if (ROOT / name).is_file() and not name.endswith("dvc.lock"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    path = folder / "examples/channel/code_2_2/params.yaml"
    params: dict[str, Any] = yaml.safe_load(path.read_text())
    params["seeds"] = 2
    params["train"]["epochs"] = 30
    for model in params["models"].values():
        model.pop("epochs", None)
    path.write_text(yaml.safe_dump(params))
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "add", "--all")
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    run(folder, "git", *identity, "commit", "--quiet", "--message", "state")
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
