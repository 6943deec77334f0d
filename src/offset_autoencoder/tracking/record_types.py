"""Records that MLflow should hold: the type, its parts, and the reading of parts from files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import SPLITS
from offset_autoencoder.data.varying import load_splits
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_json, read_npz, sha256_of_file, sha256_of_json
from offset_autoencoder.paths import PARAMS, PREPARED, REPORTS, run_store
from offset_autoencoder.runs.files import TIMES, read_history

RecordId = tuple[str, str]  # role and key

# The tags that say which MLflow run is which record, and how far it was written.
KEY = "record_key"
ROLE = "role"
CONTENT = "content_sha256"
CURVES = "curves_sha256"
CURRENT = "current"
PARENT = "mlflow.parentRunId"


class Artifact(NamedTuple):
    """A file that is kept with a record, under a name such as ``"reports/comparison.csv"``."""

    name: str
    source: Path
    sha256: str


class DataSet(NamedTuple):
    """A data set that a run used."""

    name: str  # the data's source, or the offset's name
    context: str  # train, validation, test or offset
    uri: str  # its file or folder in the project
    shape: tuple[int, int]  # rows, and numbers per row; float32
    sha256: str  # our digest, of which MLflow shows the first half


class Point(NamedTuple):
    """One value of a curve; ``step`` is the epoch from 1, ``timestamp`` in ms since 1970."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True)
class Record:
    """Content of one MLflow run.

    A setting is a model at one value of each swept key. ``folders`` are ``models/runs/ID``: that of
    the run, which holds its curves, or those of all runs that the record stands for. Each curve of
    a run has at most ``curve_points`` points; None: one per epoch.
    """

    role: Literal["experiment", "setting", "run"]
    key: str  # identity of the record: stays the same when metrics or tags change
    name: str
    status: Literal["FINISHED", "FAILED"]  # FAILED for a run that diverged
    params: Mapping[str, str]
    metrics: Mapping[str, float]  # final values
    tags: Mapping[str, str]
    folders: tuple[Path, ...] = ()
    parent: RecordId | None = None
    artifacts: tuple[Artifact, ...] = ()
    curves: tuple[Point, ...] = ()  # of a setting over its seeds, not yet timed
    datasets: tuple[DataSet, ...] = ()  # trained and tested on; the key determines them
    curve_points: int | None = None

    @property
    def record_id(self) -> RecordId:
        """Role and key."""
        return self.role, self.key

    @property
    def curves_digest(self) -> str:
        """The SHA-256 of the curves over the seeds."""
        return sha256_of_json([[key, repr(value), step] for key, value, _, step in self.curves])

    @property
    def content(self) -> str:
        """The SHA-256 of all that may differ between two publications under the same key.

        A run's curves are left out, since the run's id determines them, and so are the times,
        since a colleague's copy of the run does not bring them.
        """
        return sha256_of_json(
            [
                self.name,
                self.status,
                dict(self.params),
                {name: repr(value) for name, value in self.metrics.items()},
                dict(self.tags),
                {artifact.name: artifact.sha256 for artifact in self.artifacts},
                self.curves_digest if self.curves else None,
            ]
        )


def run_key(model: str, run_id: str) -> str:
    """Key of a run's record."""
    return f"{model} {run_id}"


def thinned(val_loss: NDArray[np.float64], most: int | None) -> list[int]:
    """Rows of a history that its curves show: of evenly spaced epochs, the best and the last.

    The spacing is the smallest power of two that leaves at most ``most`` rows, so that what was
    shown of an unfinished training is shown of the finished one, but for best and last.
    """
    epochs, spacing = len(val_loss), 1
    if most is None or epochs <= most:
        return [*range(epochs)]
    while -(-epochs // spacing) > most - 2:
        spacing *= 2
    best = int(np.nanargmin(val_loss)) if np.isfinite(val_loss).any() else 0
    return sorted({*range(0, epochs, spacing), best, epochs - 1})


def read_curves(folder: Path, now: int, most: int | None = None) -> tuple[list[Point], bool]:
    """Read the curves of a run: ``history.csv`` with the times at which its epochs ended.

    Of more than ``most`` epochs those of :func:`thinned` are taken.

    The times are the machine's own and are not handed on with the run, so a run that DVC has
    checked out lacks them; the local run store may know them still. Where ``times.npz`` is
    missing in both or does not fit the history, every point carries ``now``, in ms since 1970.

    Returns:
        The points epoch by epoch, and whether they carry the times at which it happened.

    Raises:
        InputError: where ``history.csv`` is missing or damaged.
    """
    history = read_history(folder)
    epochs = history.pop("epoch").astype(int)
    ended = _epoch_ends(folder, len(epochs))
    points = [
        Point(key, float(values[row]), ended[row] if ended else now, int(epochs[row]))
        for row in thinned(history["val_loss"], most)
        for key, values in history.items()
    ]
    return points, ended is not None


def read_span(folders: Iterable[Path]) -> tuple[int, int] | None:
    """End of the first epoch of the first of several runs, and of the last of the last.

    Both are in ms since 1970; None where they are known of no run.
    """
    spans = [ended for folder in folders if (ended := _epoch_ends(folder)) is not None]
    return (min(ended[0] for ended in spans), max(ended[-1] for ended in spans)) if spans else None


def milliseconds(moments: NDArray[np.float64]) -> list[int]:
    """Moments in s since 1970 as MLflow wants them, in ms."""
    return [int(moment) for moment in np.rint(moments * 1000)]


def _epoch_ends(folder: Path, epochs: int | None = None) -> list[int] | None:
    """Ends of a run's epochs in ms since 1970; None where they are not known."""
    for path in (folder / TIMES, run_store() / folder.name / TIMES):
        try:
            ended = read_npz(path)["ended"]
        except (InputError, KeyError):
            continue
        is_usable = ended.ndim == 1 and ended.dtype == np.float64 and len(ended) > 0
        if is_usable and np.isfinite(ended).all() and epochs in (None, len(ended)):
            return milliseconds(ended)
    return None


def read_splits(root: Path, seed: int) -> tuple[DataSet, ...]:
    """The splits of ``data/prepared`` that the runs of a seed have, by ``schema.json``.

    Raises:
        InputError: where it is missing or damaged.
    """
    splits = load_splits(root / PREPARED)
    key, path = splits.key(seed), splits.folder_of(seed) / "schema.json"
    folder = PREPARED.as_posix() if key is None else f"{PREPARED.as_posix()}/splits/{key}"
    file = "x.npy" if key is None else "rows.npy"
    schema = read_json(path)
    try:
        return tuple(
            DataSet(
                name=str(schema.get("source", "data"))[:500],
                context=split,
                uri=f"{folder}/{split}/{file}",
                sha256=str(schema["digests"][split]["x"]),
                shape=(schema["samples"][split], schema["input_dim"]),
            )
            for split in SPLITS
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(str(path), f"lacks {error}", "run 'dvc repro prepare'") from None


def read_artifacts(root: Path) -> Iterator[Artifact]:
    """The reports and params.yaml; pictures in a folder of their own, which people open."""
    reports = root / REPORTS
    for path in sorted(reports.rglob("*")):
        inside = path.relative_to(reports)
        if path.is_file() and not any(part.startswith(".") for part in inside.parts):
            is_picture = path.suffix == ".png"
            name = f"pictures/{path.name}" if is_picture else f"reports/{inside.as_posix()}"
            yield Artifact(name, path, sha256_of_file(path))
    if (path := root / PARAMS).is_file():
        yield Artifact(PARAMS.name, path, sha256_of_file(path))
