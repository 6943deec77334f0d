"""Where the project lives, seen from a stage."""

from __future__ import annotations

import os
from pathlib import Path

PARAMS = Path("params.yaml")
RAW = Path("data/raw")
PREPARED = Path("data/prepared")
OFFSETS = Path("data/offsets")
MODELS = Path("models")
REPORTS = Path("reports")


def project_root() -> Path:
    """The folder of the user's project: shared by the temporary clones that DVC makes of it.

    DVC runs queued experiments in a clone, and names the project it was cloned from in
    ``DVC_ROOT``. What must outlive the clone (the MLflow store, the run store) lies there.
    """
    return Path(os.environ.get("DVC_ROOT") or ".").resolve()


def run_store() -> Path:
    """The local run store: every run this machine ever trained or took in, by id."""
    return project_root() / ".runs"
