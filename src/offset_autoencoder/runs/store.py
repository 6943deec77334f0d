"""The runs that exist: those of ``models/``, with their index, and those of the run store.

DVC tracks and shares ``models/runs/``; the local run store ``.runs/`` remembers every run this
machine ever trained or took in, so that params put back find their runs again. Every run is
written there whole, by any number of processes at once; a run's id says all that it depends on,
so whoever writes it first is right.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from offset_autoencoder.config import format_value
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import A_DAY
from offset_autoencoder.io.tables import read_csv, write_csv
from offset_autoencoder.paths import MODELS
from offset_autoencoder.runs.files import (
    CHECKPOINTS,
    TEMPORARY,
    copy_run,
    is_valid,
    read_saved_run,
)
from offset_autoencoder.runs.spec import IdentifiedRun

INDEX = "index.csv"
EVALUATIONS = ".evaluations"
"""Folder of the run store that holds what was measured of its runs."""
# Those of index.csv that are no swept key.
_COLUMNS = ("model", "setting", "seed", "id", "status")


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

    Of the ``current`` ids, which stay in ``models/``, it is not read what the store holds: reading
    every run once is most of what a training with nothing to do takes, and before a run leaves
    ``models/`` it is no longer among these.

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


def pull_runs(store: Path, wanted: Container[str]) -> None:
    """Import the runs that DVC keeps of the last ``models/``, if any of them is wanted.

    It keeps them in its cache or remote. ``dvc repro --pull`` pulls what unchanged stages made, and
    nothing of a stage that it runs. What cannot be pulled costs a line on stderr.
    """
    from dvc.api import DVCFileSystem

    try:
        kept, folder = DVCFileSystem(), runs_folder(MODELS).as_posix()
        if not any(Path(path).name in wanted for path in kept.ls(folder, detail=False)):
            return
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=store) as models:
            kept.get(folder, runs_folder(Path(models)).as_posix(), recursive=True)
            import_runs(Path(models), store)
    except FileNotFoundError:
        return  # nothing was trained here before
    except Exception as error:  # of DVC, and whatever reaches the remote
        print(f"warning: no runs are pulled: {' '.join(str(error).split())}", file=sys.stderr)


def clean(store: Path) -> None:
    """Remove what serves no run: half-written files, checkpoints of runs, evaluations of none.

    What is half written and younger than a day may be another process's, at work.
    """
    checkpoints, evaluations = store / CHECKPOINTS, store / EVALUATIONS
    half_written = [
        *store.glob(f"{TEMPORARY}*"),
        *checkpoints.glob(".*.tmp"),
        *evaluations.glob(".*.tmp"),
    ]
    for path in half_written:
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > A_DAY:
                _remove(path)
    for path, is_of_run in [
        *((path, False) for path in checkpoints.glob("*.npz")),
        *((path, True) for path in evaluations.glob("*.npz")),
    ]:
        if (store / path.stem).is_dir() != is_of_run:
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

    The store holds every run that ``models/`` lacks. Those of the ``valid`` ids are known to be
    valid there.

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
    index = [_indexed_run(run, models) for run in runs]
    swept = dict.fromkeys(key for run in index for key in run.sweep)
    rows = [{**vars(run), **run.sweep} for run in index]
    write_csv(models / INDEX, [*_COLUMNS[:2], *swept, *_COLUMNS[2:]], rows)
    return index


def read_index(models: Path) -> list[IndexedRun]:
    """Read ``models/index.csv``.

    Raises:
        InputError: where it is missing or damaged.
    """
    index = []
    for row in read_csv(models / INDEX, _COLUMNS):
        sweep = {key: value for key, value in row.items() if key not in _COLUMNS and value}
        try:
            seed = int(row["seed"])
        except ValueError as error:
            raise InputError(row.where, str(error), "run dvc repro") from None
        index.append(
            IndexedRun(row["model"], row["setting"], sweep, seed, row["id"], row["status"])
        )
    return index


def _indexed_run(run: IdentifiedRun, models: Path) -> IndexedRun:
    setting = run.run.setting
    sweep = {key: format_value(value) for key, value in setting.sweep}
    status = read_saved_run(runs_folder(models) / run.id).status
    return IndexedRun(setting.model, setting.label, sweep, run.run.seed, run.id, status)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
