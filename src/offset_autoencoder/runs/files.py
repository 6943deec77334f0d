"""Files of a run (``spec.json``, ``weights.npz``, ``history.csv``, ``times.npz``); checkpoints."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.errors import InputError, writing
from offset_autoencoder.io.files import (
    atomic_write,
    check_file,
    read_json,
    read_npz,
    sha256_of_file,
    write_json,
    write_npz,
)
from offset_autoencoder.io.tables import read_numbers, write_csv
from offset_autoencoder.runs.spec import RunSpec, SavedRun, Status

SPEC, WEIGHTS, HISTORY, TIMES = "spec.json", "weights.npz", "history.csv", "times.npz"
_NAMES = {SPEC, WEIGHTS, HISTORY, TIMES}

TEMPORARY = ".run-"
"""Beginning of the name of a run's folder while it is written."""
CHECKPOINTS = ".checkpoints"
"""Folder of the run store that holds the checkpoints of runs in training."""

_COLUMNS = ("epoch", "loss", "val_loss")
_ID = re.compile(r"[0-9a-f]{64}")
# DVC takes a file for unchanged that has kept its size and time: it would skip the stage.
_AGAIN = "run dvc repro --force --single-item train"

State = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class TrainedRun:
    """Result of training one run: weights, history, status.

    Attributes:
        status: ``"diverged"`` where a loss was not finite; then there are no weights.
        weights: The weights at the lowest validation loss (at the last epoch where patience is
            null), in the order of ``model.get_weights()``; None where the run diverged.
        loss: Mean training loss of each epoch trained, (epochs,) float32.
        val_loss: Validation loss after each epoch trained, (epochs,) float32.
        val_reconstruction: The share of the reconstruction in it, (epochs,) float32; the rest is
            what layers add: a KL divergence, say.
        best_epoch: The epoch of the weights, from 1; None where the run diverged.
        stopped_early: Whether patience ended it before its last epoch.
        ended: Unix time at which each epoch ended, (epochs,) float64 seconds.
        seconds: Wall time of each epoch per run, (epochs,) float64: the time of a stack's
            epoch over the runs that trained in it.
        engine: Name of the engine that trained it.
    """

    status: Status
    weights: list[NDArray[np.float32]] | None
    loss: NDArray[np.float32]
    val_loss: NDArray[np.float32]
    val_reconstruction: NDArray[np.float32]
    best_epoch: int | None
    stopped_early: bool
    ended: NDArray[np.float64]
    seconds: NDArray[np.float64]
    engine: str | None = None

    @property
    def adds_losses(self) -> bool:
        """True if anything but the reconstruction is part of the loss."""
        return not np.array_equal(self.val_loss, self.val_reconstruction, equal_nan=True)

    @property
    def best_loss(self) -> float | None:
        """Validation loss of the weights; None where the run diverged."""
        return None if self.best_epoch is None else float(self.val_loss[self.best_epoch - 1])

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return len(self.loss)


def write_run(
    folder: Path,
    spec: RunSpec,
    trained: TrainedRun,
    names: list[str],
    processor: str | None = None,
) -> None:
    """Write a run's folder whole or not at all; one that is there already is left as it is.

    ``times.npz`` alone differs from one training of a run to the next; DVC does not track it.
    ``names`` are those of the weights, in their order; ``processor`` is the fingerprint of the
    one that trained it, where it was one of a cluster.
    """
    weights, diverged = trained.weights, trained.status == "diverged"
    with _taking_place_of(folder) as temporary:
        if weights is not None:
            write_npz(temporary / WEIGHTS, dict(zip(names, weights, strict=True)))
        _write_history(temporary / HISTORY, trained)
        saved = SavedRun(
            spec=spec,
            status=trained.status,
            epochs=trained.epochs,
            best_epoch=trained.best_epoch,
            diverged_epoch=trained.epochs if diverged else None,
            stopped_early=trained.stopped_early,
            parameters=None if weights is None else sum(weight.size for weight in weights),
            engine=trained.engine,
            digests={path.name: sha256_of_file(path) for path in sorted(temporary.iterdir())},
            processor=processor,
        )
        write_npz(temporary / TIMES, {"ended": trained.ended, "seconds": trained.seconds})
        write_json(temporary / SPEC, saved.dump())


def copy_run(source: Path, folder: Path) -> None:
    """Copy a run's folder, whole or not at all; one that is there already is left as it is."""
    with _taking_place_of(folder) as temporary:
        for file in source.iterdir():
            shutil.copyfile(file, temporary / file.name)


def write_files(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Write a run's files as another machine wrote them, as :func:`copy_run` does.

    False where they are not the run that the folder is named for: then none is kept.
    """
    if not files.keys() <= _NAMES:
        return False
    with _taking_place_of(folder) as temporary:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
    if not (is_whole := is_valid(folder)):
        shutil.rmtree(folder, ignore_errors=True)
    return is_whole


@contextlib.contextmanager
def _taking_place_of(folder: Path) -> Iterator[Path]:
    """An empty folder that becomes ``folder``, where there is none yet, if the block succeeds."""
    with writing(folder, folder.parent / TEMPORARY):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder.parent))
        try:
            temporary.chmod(0o755)
            yield temporary
            _take_place(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _take_place(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        # Another process wrote the same run first: its files are the same.
        if not is_valid(folder):
            raise


def is_valid(folder: Path) -> bool:
    """True if a folder holds a run that can be used: its spec, its history and its weights.

    They are what was written, by their digests; without, they can be read and are complete.
    """
    try:
        saved = read_saved_run(folder)
        if folder.name != saved.id:  # which may be no id at all
            return False
        if saved.digests:
            for name, digest in saved.digests.items():
                check_file(folder / name, digest, _AGAIN)
            return True
        if saved.status != "diverged":
            weights = read_npz(folder / WEIGHTS)
            if sum(weight.size for weight in weights.values()) != saved.parameters:
                return False
        return len(read_history(folder)["epoch"]) == saved.epochs
    except InputError:
        return False


def read_saved_run(folder: Path) -> SavedRun:
    """Read a run's spec.json.

    Raises:
        InputError: where it is missing, damaged, or another run's than the folder is named for.
    """
    document = read_json(folder / SPEC)
    try:
        saved = SavedRun.parse(document)
    except (KeyError, TypeError, ValueError):
        raise InputError(str(folder / SPEC), "is not the spec of a run", _AGAIN) from None
    if folder.name != saved.id and _ID.fullmatch(folder.name):
        raise InputError(str(folder / SPEC), f"is that of the run {saved.id[:12]}", _AGAIN)
    return saved


def read_finished_run(folder: Path) -> tuple[RunSpec, dict[str, NDArray[np.float32]]]:
    """Read a run's spec, and its weights by name in the order of ``model.get_weights()``.

    Raises:
        InputError: where the run diverged, or a file is missing or damaged.
    """
    saved = read_saved_run(folder)
    if saved.status == "diverged":
        raise InputError(str(folder), "the run diverged: it has no weights")
    return saved.spec, read_npz(folder / WEIGHTS, saved.digests.get(WEIGHTS), _AGAIN)


def read_history(folder: Path) -> dict[str, NDArray[np.float64]]:
    """Read a run's history: ``epoch``, ``loss`` and ``val_loss``, each (epochs,).

    Where the loss has other parts than the reconstruction, ``val_reconstruction`` and
    ``val_regularization`` too.

    Raises:
        InputError: where the file is missing or damaged.
    """
    check_file(folder / HISTORY, read_saved_run(folder).digests.get(HISTORY), _AGAIN)
    return read_numbers(folder / HISTORY, _COLUMNS)


def _write_history(path: Path, trained: TrainedRun) -> None:
    history: dict[str, Sequence[Any] | NDArray[Any]] = {
        "epoch": range(1, trained.epochs + 1),
        "loss": trained.loss,
        "val_loss": trained.val_loss,
    }
    if trained.adds_losses:  # the two add up to val_loss
        history["val_reconstruction"] = trained.val_reconstruction
        history["val_regularization"] = trained.val_loss - trained.val_reconstruction
    rows = zip(*history.values(), strict=True)
    write_csv(path, list(history), (dict(zip(history, row, strict=True)) for row in rows))


@dataclass(frozen=True)
class Checkpoints:
    """Checkpoints of runs in training, from which a killed one goes on.

    A checkpoint is ``ID.npz``. It holds all that the rest of the training depends on, so that a
    run which was interrupted ends with the same bytes as one that was not. Order and noise of an
    epoch come from seed and epoch and are not part of it.

    Attributes:
        folder: The folder, made when the first is written; None keeps none.
    """

    folder: Path | None = None

    def _path(self, run_id: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{run_id}.npz"

    def write_bytes(self, run_id: str, content: bytes) -> None:
        """Keep a run's checkpoint as it was read elsewhere."""
        if (path := self._path(run_id)) is not None:
            with atomic_write(path) as stream:
                stream.write(content)

    def read_bytes(self, run_id: str) -> bytes | None:
        """A run's checkpoint as it is kept; None where there is none."""
        path = self._path(run_id)
        return path.read_bytes() if path is not None and path.exists() else None

    def write(self, run_id: str, state: State) -> None:
        """Keep a run's state in place of its last."""
        if (path := self._path(run_id)) is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_npz(path, dict(state))

    def read(self, run_id: str, like: State) -> dict[str, NDArray[Any]] | None:
        """A run's state; None where there is none, or none that can be used.

        Names, dtypes and shapes must be those of ``like``, a state of a run that has not begun,
        but that what has no rows there may have got some.
        """
        if (path := self._path(run_id)) is None:
            return None
        try:
            state = read_npz(path)
        except (InputError, OSError):
            return None
        alike = state.keys() == like.keys() and all(
            _is_alike(state[name], array) for name, array in like.items()
        )
        return state if alike else None

    def remove(self, run_id: str) -> None:
        """Forget a run's state: it has ended."""
        if (path := self._path(run_id)) is not None:
            with contextlib.suppress(OSError):
                path.unlink()


def _is_alike(array: NDArray[Any], like: NDArray[Any]) -> bool:
    grows = like.shape[:1] == (0,)
    return (
        array.dtype == like.dtype
        and array.ndim == like.ndim
        and array.shape[grows:] == like.shape[grows:]
    )
