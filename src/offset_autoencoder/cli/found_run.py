"""A run on disk, by its id, the first digits of it, or its folder."""

from __future__ import annotations

from pathlib import Path

from offset_autoencoder.paths import MODELS, run_store
from offset_autoencoder.runs import load


def find_run(name: str) -> Path:
    """The folder of a run in ``models/``, else in the run store, else wherever it is.

    Args:
        name: The run's id, the first digits of it, or its folder.

    Raises:
        InputError: where no run or more than one answers to the name.
    """
    return load.find_run(name, MODELS, run_store())
