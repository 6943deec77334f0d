"""A run's curves: ``history.csv`` with the times at which its epochs ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from offset_autoencoder.errors import InputError
from offset_autoencoder.files import read_npz
from offset_autoencoder.project import run_store
from offset_autoencoder.tracking.tables import number, read_table


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
    ended = _ended(folder / "times.npz", len(rows))
    if ended is None:
        ended = _ended(run_store() / folder.name / "times.npz", len(rows))
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


def _ended(path: Path, epochs: int) -> list[int] | None:
    try:
        ended = read_npz(path)["ended"]
    except (InputError, KeyError):
        return None
    if ended.shape != (epochs,) or ended.dtype != np.float64 or not np.isfinite(ended).all():
        return None
    return [int(moment) for moment in np.rint(ended * 1000)] or None
