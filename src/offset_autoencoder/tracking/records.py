"""What MLflow should hold: a record for the experiment, one for each setting, one for each run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.tracking.datasets import DataSet

Role = Literal["experiment", "setting", "run"]
Which = tuple[str, str]
"""Role and key: says which record it is."""
Status = Literal["FINISHED", "FAILED"]

# The tags that say which MLflow run is which record, and how far it was written.
KEY = "record_key"
ROLE = "role"
CONTENT = "content_sha256"
CURVES = "curves_sha256"
CURRENT = "current"
PARENT = "mlflow.parentRunId"

# MLflow cuts a longer param off without a word.
_LONGEST_PARAM = 6000


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


class CurvePoint(NamedTuple):
    """One value of a curve over the seeds; ``step`` is the epoch from 1."""

    key: str
    value: float
    step: int


@dataclass(frozen=True)
class Record:
    """What one MLflow run should hold.

    Attributes:
        role: The experiment (the root), a setting (a model at one value of each swept key), or
            one of its runs.
        key: Says which record it is; stays the same when metrics or tags change.
        name: The run's name in the UI.
        status: ``FAILED`` for a run that diverged.
        params: Flat, as MLflow shows them.
        metrics: Final values, one a name.
        tags: Tags that follow from the files.
        folder: Of a run, ``models/runs/ID``, which holds its curves.
        artifacts: Files kept with the record.
        parent: The record that it is nested under.
        curves: Of a setting, its curves over the seeds.
        datasets: What it was trained and tested on. Its key determines them.
        spans: Of a record that stands for several runs, their folders, which say when it was.
    """

    role: Role
    key: str
    name: str
    status: Status
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    folder: Path | None = None
    artifacts: tuple[Artifact, ...] = field(default=())
    parent: Which | None = None
    curves: tuple[CurvePoint, ...] = field(default=())
    datasets: tuple[DataSet, ...] = field(default=())
    spans: tuple[Path, ...] = field(default=())

    @property
    def which(self) -> Which:
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


def _joined(items: Iterable[str]) -> str:
    shown = list(items)
    text = ", ".join(shown) or "none"
    if len(text) <= _LONGEST_PARAM:
        return text
    tail = f", … ({len(shown)} in all)"
    return text[: text.rindex(", ", 0, _LONGEST_PARAM - len(tail))] + tail


def as_ranges(numbers: Iterable[int]) -> str:
    """Whole numbers with neighbours joined: ``0-9``, ``3, 7, 11-20``."""
    ranges: list[list[int]] = []
    for value in sorted(numbers):
        if ranges and value == ranges[-1][1] + 1:
            ranges[-1][1] = value
        else:
            ranges.append([value, value])
    return _joined(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
