"""A run as files: ``ID/spec.json``, ``weights.npz``, ``history.csv`` and ``times.npz``."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import (
    read_json,
    read_npz,
    sha256_of_json,
    write_json,
    write_npz,
    write_text,
)
from offset_autoencoder.training.identity import IdentifiedRun
from offset_autoencoder.training.results import TrainedRun

SPEC, WEIGHTS, HISTORY, TIMES = "spec.json", "weights.npz", "history.csv", "times.npz"

# How the folder of a run that is being written begins.
TEMPORARY = ".run-"

_COLUMNS = ("epoch", "loss", "val_loss")
# Only of runs whose loss is not the reconstruction's alone; the two add up to val_loss.
_PARTS = ("val_reconstruction", "val_regularization")


def write_run(folder: Path, run: IdentifiedRun, trained: TrainedRun, names: list[str]) -> None:
    """Write a run's folder whole or not at all; one that is there already is left as it is.

    ``times.npz`` alone differs from one training of a run to the next; DVC does not track it.

    Args:
        folder: The run's own folder, named by its id.
        run: What was trained.
        trained: What the training left.
        names: The names of the weights, in the order of ``model.get_weights()``.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder.parent))
    try:
        temporary.chmod(0o755)
        parameters = None
        if trained.weights is not None:
            write_npz(temporary / WEIGHTS, dict(zip(names, trained.weights, strict=True)))
            parameters = sum(weight.size for weight in trained.weights)
        diverged = trained.status == "diverged"
        write_text(temporary / HISTORY, _history_text(trained))
        write_npz(temporary / TIMES, {"ended": trained.ended, "seconds": trained.seconds})
        spec = {
            "id": run.id,
            "determined_by": run.determined_by,
            "offset_factor": run.offset_factor,
            "status": trained.status,
            "epochs": trained.epochs,
            "best_epoch": trained.best_epoch,
            "diverged_epoch": trained.epochs if diverged else None,
            "stopped_early": trained.stopped_early,
            "parameters": parameters,
        }
        write_json(temporary / SPEC, spec)
        _take_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def copy_run(source: Path, folder: Path) -> None:
    """Copy a run's folder, whole or not at all; one that is there already is left as it is."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    try:
        shutil.copytree(source, temporary, copy_function=shutil.copyfile)
        _take_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _take_place(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        # Another process wrote the same run first: its files say the same.
        if not is_whole(folder):
            raise


def is_whole(folder: Path) -> bool:
    """Whether a folder holds a run that can be used: its spec, its history and its weights."""
    try:
        spec = read_spec(folder)
        if folder.name != spec["id"] or spec["id"] != sha256_of_json(spec["determined_by"]):
            return False
        if spec["status"] != "diverged":
            weights = read_npz(folder / WEIGHTS)
            if sum(weight.size for weight in weights.values()) != spec["parameters"]:
                return False
        return len(read_history(folder)["epoch"]) == spec["epochs"]
    except (InputError, KeyError, TypeError, ValueError):
        return False


def read_spec(folder: Path) -> dict[str, Any]:
    """Read a run's spec.json.

    Raises:
        InputError: where it is missing or damaged.
    """
    spec = read_json(folder / SPEC)
    if not isinstance(spec, dict):
        raise InputError(str(folder / SPEC), "is not the spec of a run", "run dvc repro")
    return spec


def read_weights(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Read a run's weights by name, in the order of ``model.get_weights()``.

    Raises:
        InputError: where the run diverged, or its file is missing or damaged.
    """
    if read_spec(folder).get("status") == "diverged":
        raise InputError(str(folder), "the run diverged: it has no weights")
    return read_npz(folder / WEIGHTS)


def read_history(folder: Path) -> dict[str, NDArray[np.float64]]:
    """Read a run's history: ``epoch``, ``loss`` and ``val_loss``, each (epochs,).

    Where the loss has other parts than the reconstruction, ``val_reconstruction`` and
    ``val_regularization`` too.

    Raises:
        InputError: where the file is missing or damaged.
    """
    path = folder / HISTORY
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        parts = [column for column in _PARTS if rows and column in rows[0]]
        columns = (*_COLUMNS, *parts)
        return {column: np.array([float(row[column]) for row in rows]) for column in columns}
    except FileNotFoundError:
        raise InputError(str(path), "no such file", "run dvc repro") from None
    except (OSError, csv.Error, KeyError, TypeError, ValueError):
        raise InputError(
            str(path), f"is not a table of the numbers {', '.join(_COLUMNS)}", "run dvc repro"
        ) from None


def _history_text(trained: TrainedRun) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [trained.loss, trained.val_loss]
    if trained.adds_losses:
        rest = trained.val_loss - trained.val_reconstruction
        columns += [trained.val_reconstruction, rest]
    writer.writerow([*_COLUMNS, *(_PARTS if trained.adds_losses else ())])
    for epoch, values in enumerate(zip(*columns, strict=True), start=1):
        # A float32's own shortest form: read back, it is the same number.
        writer.writerow([epoch, *(str(value) for value in values)])
    return text.getvalue()
