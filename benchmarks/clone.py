"""A temporary clone of the project, in which a benchmark runs stages as a user would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from offset_autoencoder.config.document import read_document

ROOT = Path(__file__).parent.parent
_OF_THE_CALLER = ("PYTHONPATH", "DVC_ROOT", "MLFLOW_TRACKING_URI")


def clone_project(folder: Path) -> Path:
    """Clone what is committed, and nothing else."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


def environment() -> dict[str, str]:
    """This process's environment, with this Python's commands first and nothing of the caller's."""
    kept = {name: value for name, value in os.environ.items() if name not in _OF_THE_CALLER}
    commands = [str(Path(sys.executable).parent), kept.get("PATH", "")]
    return {**kept, "PATH": os.pathsep.join(commands)}


def change_params(project: Path, changes: dict[str, Any]) -> None:
    """Give keys of params.yaml other values: ``{"train.epochs": 5}``."""
    path = project / "params.yaml"
    document = read_document(path)
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = document
        for section in sections:
            place = place[section]
        place[last] = value
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def idle_copy(project: Path, folder: Path) -> Path:
    """A finished project's copy with the same stages and files, whose commands do nothing.

    ``dvc repro`` in it takes DVC's own time.
    """
    left_out = shutil.ignore_patterns("mlflow.db*", "mlartifacts", ".runs")
    shutil.copytree(project, folder, symlinks=True, ignore=left_out)
    path = folder / "dvc.yaml"
    document = yaml.safe_load(path.read_text())
    for stage in document["stages"].values():
        stage.get("do", stage)["cmd"] = "true"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    subprocess.run(
        ["dvc", "commit", "--force", "--quiet"], cwd=folder, env=environment(), check=True
    )
    return folder
