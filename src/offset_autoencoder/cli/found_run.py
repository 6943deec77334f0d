"""A run on disk, by its id, the first digits of it, or its folder."""

from __future__ import annotations

from pathlib import Path

from offset_autoencoder.errors import InputError
from offset_autoencoder.paths import MODELS, run_store
from offset_autoencoder.training.run_files import SPEC
from offset_autoencoder.training.run_store import runs_folder

_DIGITS = 12
_LISTED = 4


def find_run(name: str) -> Path:
    """The folder of a run in ``models/``, else in the run store, else wherever it is.

    Args:
        name: The run's id, the first digits of it, or its folder.

    Raises:
        InputError: where no run or more than one answers to the name.
    """
    if (Path(name) / SPEC).is_file():
        return Path(name)
    found = _by_prefix(name)
    if not found:
        raise InputError(
            f"run {name!r}",
            f"no run of {MODELS} or {run_store().name} has an id that begins so",
            "offset-autoencoder runs lists them",
        )
    if len(found) > 1:
        ids = ", ".join(
            sorted(found)[:_LISTED][i][:_DIGITS] for i in range(min(_LISTED, len(found)))
        )
        more = ", ..." if len(found) > _LISTED else ""
        raise InputError(
            f"run {name!r}",
            f"{len(found)} runs have an id that begins so: {ids}{more}",
            "give more digits",
        )
    return next(iter(found.values()))


def _by_prefix(prefix: str) -> dict[str, Path]:
    """Every run with such an id; where it stands in both places, as it is in ``models/``."""
    found: dict[str, Path] = {}
    for folder in (run_store(), runs_folder(MODELS)):
        for path in folder.iterdir() if prefix and folder.is_dir() else ():
            if path.name.startswith(prefix) and (path / SPEC).is_file():
                found[path.name] = path
    return found
