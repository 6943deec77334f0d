"""Records that MLflow should hold, and the text that it shows of values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_npz, sha256_of_json
from offset_autoencoder.io.tables import number, read_csv
from offset_autoencoder.paths import run_store

Role = Literal["experiment", "setting", "run"]
RecordId = tuple[str, str]
"""Role and key."""
Status = Literal["FINISHED", "FAILED"]

# The tags that say which MLflow run is which record, and how far it was written.
KEY = "record_key"
ROLE = "role"
CONTENT = "content_sha256"
CURVES = "curves_sha256"
CURRENT = "current"
PARENT = "mlflow.parentRunId"
DESCRIPTION = "mlflow.note.content"

TIMES = "times.npz"

# MLflow cuts a longer param off without a word.
_LONGEST_PARAM = 6000
# MLflow keeps 36 characters of a data set's digest.
_DIGEST_DIGITS = 32


@dataclass(frozen=True)
class Artifact:
    """A file of the project that is kept with a record.

    Attributes:
        name: Its path among the artifacts: ``"reports/comparison.csv"``.
        source: The file.
        sha256: The digest of its bytes.
    """

    name: str
    source: Path
    sha256: str


@dataclass(frozen=True)
class DataSet:
    """A data set that a run used.

    Attributes:
        name: The data's source, or the offset's name.
        context: ``train``, ``validation``, ``test`` or ``offset``.
        uri: Its file or folder in the project.
        shape: Rows, and numbers per row; float32.
        sha256: Our digest, of which MLflow shows the first half.
    """

    name: str
    context: str
    uri: str
    shape: tuple[int, int]
    sha256: str

    @property
    def digest(self) -> str:
        """The first half of the SHA-256: 32 hex digits."""
        return self.sha256[:_DIGEST_DIGITS]

    @property
    def schema(self) -> str:
        """JSON: dtype and shape, as MLflow writes it for tensors."""
        shape = [-1, self.shape[1]]
        features = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": shape}}
        return json.dumps(
            {"mlflow_tensorspec": {"features": json.dumps([features]), "targets": None}}
        )

    @property
    def profile(self) -> str:
        """JSON: the number of rows, and the whole digest."""
        return json.dumps(
            {"num_rows": self.shape[0], "shape": list(self.shape), "sha256": self.sha256}
        )


class CurvePoint(NamedTuple):
    """One value of a curve over the seeds; ``step`` is the epoch from 1."""

    key: str
    value: float
    step: int


class Point(NamedTuple):
    """One value of one curve; ``timestamp`` in ms since 1970, ``step`` the epoch from 1."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True)
class Record:
    """Content of one MLflow run.

    Attributes:
        role: The experiment (the root), a setting (a model at one value of each swept key), or
            one of its runs.
        key: Identity of the record; stays the same when metrics or tags change.
        name: The run's name in the UI.
        status: ``FAILED`` for a run that diverged.
        params: Flat, as MLflow shows them.
        metrics: Final values, one per name.
        tags: Tags that follow from the files.
        folder: Of a run, ``models/runs/ID``, which holds its curves.
        artifacts: Files kept with the record.
        parent: The record that it is nested under.
        curves: Of a setting, its curves over the seeds.
        datasets: Data that it was trained and tested on. Its key determines them.
        spans: Of a record that stands for several runs, their folders, which hold their times.
    """

    role: Role
    key: str
    name: str
    status: Status
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    folder: Path | None = None
    artifacts: tuple[Artifact, ...] = ()
    parent: RecordId | None = None
    curves: tuple[CurvePoint, ...] = ()
    datasets: tuple[DataSet, ...] = ()
    spans: tuple[Path, ...] = ()

    @property
    def record_id(self) -> RecordId:
        """Role and key."""
        return self.role, self.key

    @property
    def curves_digest(self) -> str:
        """The SHA-256 of the curves over the seeds."""
        return sha256_of_json([[key, repr(value), step] for key, value, step in self.curves])

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


@dataclass(frozen=True)
class Curves:
    """All curves of a run.

    Attributes:
        points: Epoch by epoch.
        start: When the first epoch ended, in ms since 1970.
        end: When the last epoch ended, in ms since 1970.
        times_known: Whether these are the times at which it happened.
    """

    points: tuple[Point, ...]
    start: int
    end: int
    times_known: bool

    @property
    def keys(self) -> frozenset[str]:
        """The curves' names."""
        return frozenset(point.key for point in self.points)


def read_curves(folder: Path, now: int) -> Curves:
    """Read the curves of a run: ``history.csv`` with the times at which its epochs ended.

    The times are the machine's own and are not handed on with the run, so a run that DVC has
    checked out lacks them; the local run store may know them still. Where ``times.npz`` is
    missing in both or does not fit the history, every point carries ``now``.

    Args:
        folder: ``models/runs/ID``.
        now: The moment of publishing, in ms since 1970.

    Raises:
        InputError: where ``history.csv`` is missing or damaged.
    """
    path = folder / "history.csv"
    rows = read_csv(path, ("epoch",))
    ended = _epoch_ends(folder, len(rows))
    points = []
    for position, row in enumerate(rows):
        step = int(number(path, position + 1, "epoch", row["epoch"]))
        moment = now if ended is None else ended[position]
        points += [
            Point(key, number(path, position + 1, key, cell), moment, step)
            for key, cell in row.items()
            if key != "epoch" and cell
        ]
    start, end = (ended[0], ended[-1]) if ended else (now, now)
    return Curves(tuple(points), start, end, times_known=ended is not None)


def read_span(folders: Sequence[Path]) -> tuple[int, int] | None:
    """End of the first epoch of the first of several runs, and of the last of the last.

    Args:
        folders: Each ``models/runs/ID``.

    Returns:
        Both in ms since 1970; None where it is known of no run.
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
        if (
            ended.ndim == 1
            and ended.dtype == np.float64
            and len(ended)
            and np.isfinite(ended).all()
            and epochs in (None, len(ended))
        ):
            return milliseconds(ended)
    return None


def run_key(model: str, run_id: str) -> str:
    """Key of a run's record."""
    return f"{model} {run_id}"


def as_param(value: Any) -> str:
    """A params value as MLflow shows it: ``0.001``, ``true``, ``null``, ``64, 32``.

    A list too long for MLflow is cut at an item, and says how many there are.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return _joined([f"{key}={as_param(item)}" for key, item in value.items()])
    if isinstance(value, list | tuple):
        return _joined([as_param(item) for item in value])
    return str(value)


def as_ranges(numbers: Iterable[int]) -> str:
    """Whole numbers with neighbours joined: ``0-9``, ``3, 7, 11-20``."""
    ranges: list[list[int]] = []
    for value in sorted(numbers):
        if ranges and value == ranges[-1][1] + 1:
            ranges[-1][1] = value
        else:
            ranges.append([value, value])
    return _joined(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def _joined(items: Iterable[str]) -> str:
    parts = list(items)
    text = ", ".join(parts) or "none"
    if len(text) <= _LONGEST_PARAM:
        return text
    tail = f", … ({len(parts)} in all)"
    return text[: text.rindex(", ", 0, _LONGEST_PARAM - len(tail))] + tail
