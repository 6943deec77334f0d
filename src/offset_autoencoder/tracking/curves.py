"""A run's curves: ``history.csv`` with the times at which its epochs ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_npz
from offset_autoencoder.paths import run_store
from offset_autoencoder.tracking.tables import number, read_table

TIMES = "times.npz"


class Point(NamedTuple):
    """One value of one curve; ``timestamp`` in ms since 1970, ``step`` the epoch from 1."""

    key: str
    value: float
    timestamp: int
    step: int


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
    """Read the curves of a run.

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
    rows = read_table(path, ("epoch",))
    ended = _moments(folder, len(rows))
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
    """When the first of several runs ended its first epoch, and the last its last.

    Args:
        folders: Each ``models/runs/ID``.

    Returns:
        Both in ms since 1970; None where it is known of no run.
    """
    known = [ended for folder in folders if (ended := _moments(folder)) is not None]
    return (min(ended[0] for ended in known), max(ended[-1] for ended in known)) if known else None


def milliseconds(moments: NDArray[np.float64]) -> list[int]:
    """Moments in s since 1970 as MLflow wants them, in ms."""
    return [int(moment) for moment in np.rint(moments * 1000)]


def _moments(folder: Path, epochs: int | None = None) -> list[int] | None:
    """When a run's epochs ended; None where that is not known."""
    for path in (folder / TIMES, run_store() / folder.name / TIMES):
        if (ended := _ended(path, epochs)) is not None:
            return ended
    return None


def _ended(path: Path, epochs: int | None) -> list[int] | None:
    try:
        ended = read_npz(path)["ended"]
    except (InputError, KeyError):
        return None
    if ended.ndim != 1 or ended.dtype != np.float64 or not np.isfinite(ended).all():
        return None
    if epochs is not None and len(ended) != epochs:
        return None
    return milliseconds(ended) or None
