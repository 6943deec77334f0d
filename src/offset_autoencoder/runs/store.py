"""The runs that exist: those of ``models/``, with their index, and those of the run store.

Two places hold runs: ``models/runs/``, which DVC tracks and shares, and the local run store
``.runs/`` at the project's root, which remembers every run this machine ever trained or
took in, so that params put back find their runs again. Every run is written there whole, by
any number of processes at once; a run's id says all that it depends on, so whoever writes it
first is right.
"""

from __future__ import annotations

import contextlib
import csv
import io
import shutil
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from offset_autoencoder.config import format_value
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import write_text
from offset_autoencoder.runs.files import (
    CHECKPOINTS,
    TEMPORARY,
    copy_run,
    is_valid,
    read_saved_run,
)
from offset_autoencoder.runs.spec import IdentifiedRun

INDEX = "index.csv"
# Those of index.csv that are no swept key.
_COLUMNS = ("model", "setting", "seed", "id", "status")

_A_DAY = 24 * 60 * 60.0


@dataclass(frozen=True)
class IndexedRun:
    """A row of ``models/index.csv``.

    Attributes:
        setting: The setting's label: ``"gaussian stddev=0.1"``.
        sweep: The swept keys and this run's values as text; keys it does not sweep are absent.
        status: ``"finished"`` or ``"diverged"``.
    """

    model: str
    setting: str
    sweep: dict[str, str]
    seed: int
    id: str
    status: str

    @property
    def label(self) -> str:
        """The setting's label and the seed: ``"gaussian stddev=0.1 seed=3"``."""
        return f"{self.setting} seed={self.seed}"


def runs_folder(models: Path) -> Path:
    """The folder of ``models/`` that holds a folder per run."""
    return models / "runs"


def import_runs(models: Path, store: Path, current: Container[str] = ()) -> frozenset[str]:
    """Copy every run of ``models/`` that the store lacks, or holds damaged, into the store.

    Args:
        models: The folder that DVC tracks.
        store: The run store.
        current: Ids of runs that stay in ``models/``. What the store holds of them is not
            looked into: reading every run once is most of what a training with nothing to do
            takes, and before one leaves ``models/`` it is no longer among these.

    Returns:
        The ids of the valid runs of ``models/``.
    """
    folder = runs_folder(models)
    if not folder.is_dir():
        return frozenset()
    valid = [run for run in sorted(folder.iterdir()) if is_valid(run)]
    for run in valid:
        stored = store / run.name
        if not (stored.is_dir() if run.name in current else is_valid(stored)):
            _remove(stored)
            copy_run(run, stored)
    return frozenset(run.name for run in valid)


def clean(store: Path) -> None:
    """Remove what killed processes left: half-written runs, and checkpoints that serve no run.

    What is younger than a day may be another process's, at work.
    """
    checkpoints = store / CHECKPOINTS
    half_written = [*store.glob(f"{TEMPORARY}*"), *checkpoints.glob(".*.tmp")]
    for path in half_written:
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _A_DAY:
                _remove(path)
    for path in checkpoints.glob("*.npz"):
        if (store / path.stem).is_dir():
            path.unlink(missing_ok=True)


def missing_ids(store: Path, ids: Sequence[str]) -> list[str]:
    """The ids, each once and in order, whose runs the store lacks; damaged ones are removed."""
    missing = []
    for run_id in dict.fromkeys(ids):
        if not is_valid(store / run_id):
            _remove(store / run_id)
            missing.append(run_id)
    return missing


def export_runs(
    models: Path, store: Path, runs: Sequence[IdentifiedRun], valid: Container[str] = ()
) -> list[IndexedRun]:
    """Make ``models/`` hold exactly these runs, taken from the store, and their index.

    Args:
        models: The folder that DVC tracks.
        store: The run store; it holds every run that ``models/`` lacks.
        runs: The runs of the params.
        valid: Ids of runs that are known to be valid in ``models/``.

    Returns:
        The rows of the index.
    """
    folder = runs_folder(models)
    folder.mkdir(parents=True, exist_ok=True)
    ids = {run.id for run in runs}
    for present in folder.iterdir():
        if present.name not in ids or not (present.name in valid or is_valid(present)):
            _remove(present)
    for run_id in sorted(ids):
        if not (folder / run_id).exists():
            copy_run(store / run_id, folder / run_id)
    write_text(models / INDEX, _index_text(folder, runs))
    return read_index(models)


def read_index(models: Path) -> list[IndexedRun]:
    """Read ``models/index.csv``.

    Raises:
        InputError: where it is missing or damaged.
    """
    path = models / INDEX
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return [_indexed(row) for row in csv.DictReader(stream, strict=True)]
    except FileNotFoundError:
        raise InputError(str(path), "no such file", "run dvc repro") from None
    except (OSError, csv.Error, KeyError, TypeError, ValueError):
        raise InputError(str(path), "is not an index of runs", "run dvc repro") from None


def _index_text(folder: Path, runs: Sequence[IdentifiedRun]) -> str:
    """Content of ``index.csv``: model, setting, swept keys, seed, id, status; a row per run."""
    swept = list(dict.fromkeys(key for run in runs for key, _ in run.run.setting.sweep))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "setting", *swept, "seed", "id", "status"])
    for run in runs:
        setting = run.run.setting
        values = dict(setting.sweep)
        cells = [format_value(values[key]) if key in values else "" for key in swept]
        status = read_saved_run(folder / run.id).status
        writer.writerow([setting.model, setting.label, *cells, run.run.seed, run.id, status])
    return text.getvalue()


def _indexed(row: dict[str, str]) -> IndexedRun:
    if None in row or None in row.values():
        raise ValueError("a row has more or fewer cells than there are columns")
    return IndexedRun(
        model=row["model"],
        setting=row["setting"],
        sweep={key: value for key, value in row.items() if key not in _COLUMNS and value},
        seed=int(row["seed"]),
        id=row["id"],
        status=row["status"],
    )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
