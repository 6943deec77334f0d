"""A copy of the repository in which a user works: git, DVC and Python in processes of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(folder: Path, *command: str, fails: bool = False) -> str:
    """Run a command that succeeds, or fails; all that it prints."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    for name in ("DVC_ROOT", "PYTHONPATH"):
        kept.pop(name, None)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=kept)
    output = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, output
    return output


def commit(folder: Path) -> None:
    run(folder, "git", "add", "--all")
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    run(folder, "git", *identity, "commit", "--quiet", "--message", "state")


def fresh_project(folder: Path, params: str, place: str = "params.yaml") -> Path:
    """The repository as it is now, with other params, committed."""
    for name in run(ROOT, "git", "ls-files").splitlines():
        if (ROOT / name).is_file() and not name.endswith("dvc.lock"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / place).write_text(params)
    run(folder, "git", "init", "--quiet")
    commit(folder)
    return folder


def published(folder: Path) -> list[tuple[str, str]]:
    """Id and status of every run in the store that is one of a model, each row a run."""
    address = f"file:{folder / 'mlflow.db'}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as store:
        rows = store.execute(
            "select tags.value, runs.status from runs join tags using (run_uuid) "
            "where tags.key = 'run_id_sha256' and runs.lifecycle_stage = 'active'"
        )
        return sorted(rows)
