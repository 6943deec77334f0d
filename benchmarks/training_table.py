"""The table of the training benchmark."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.peers import FLOOR, OURS, PEERS
from rich.box import SIMPLE_HEAD
from rich.table import Table

_LONGEST_NOTE = 60


@dataclass(frozen=True)
class Measured:
    """The figures of one peer in one case.

    Attributes:
        case: Data set and what is added to the code.
        runs: Runs to train.
        peer: Its name.
        seconds: An epoch and run, by repeat.
        first_epoch: Seconds to the end of the first epoch, compilation included.
        first_loss: Validation loss after it.
        note: The way it went, or why it failed.
    """

    case: str
    runs: int
    peer: str
    seconds: Sequence[float]
    first_epoch: float | None
    first_loss: float | None
    note: str

    def to_json(self) -> dict[str, Any]:
        """Its values."""
        return asdict(self)


def ratios(numerator: Measured, denominator: Measured) -> list[float]:
    """The ratio of two times in each repeat that both have."""
    pairs = zip(numerator.seconds, denominator.seconds, strict=False)
    return [above / below for above, below in pairs]


def training_table(measured: Sequence[Measured], skipped: Mapping[str, str], repeats: int) -> Table:
    """A section per case and number of runs, a row per peer.

    Args:
        measured: The figures.
        skipped: By title, why a peer is not in the table.
        repeats: Over how many repeats they are.
    """
    left_out = [f"{title} is left out: {reason}" for title, reason in skipped.items()]
    table = Table(
        title=f"epoch time per run: median (range) of {repeats}",
        caption="\n".join(left_out) or None,
        box=SIMPLE_HEAD,
    )
    table.add_column("", no_wrap=True)
    for column in ("ms", "/ this project", "/ floor", "first epoch, s", "loss after it"):
        table.add_column(column, justify="right", no_wrap=True)
    for case, runs in dict.fromkeys((row.case, row.runs) for row in measured):
        table.add_row(f"[bold]{case}, {runs} run{'s' if runs > 1 else ''}")
        rows = {row.peer: row for row in measured if (row.case, row.runs) == (case, runs)}
        for row in rows.values():
            table.add_row(*_cells(row, rows), end_section=row is list(rows.values())[-1])
    return table


def _cells(row: Measured, rows: Mapping[str, Measured]) -> list[str]:
    title = PEERS[row.peer].title + (f": {row.note[:_LONGEST_NOTE]}" if row.note else "")
    if not row.seconds:
        return [title]
    return [
        title,
        _spread([1000 * seconds for seconds in row.seconds]),
        *(
            _spread(ratios(row, other)) if (other := rows.get(name)) and other is not row else ""
            for name in (OURS, FLOOR)
        ),
        f"{row.first_epoch:.2g}",
        "" if row.first_loss is None else f"{row.first_loss:.4f}",
    ]


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    least, most = (_digits(value) for value in (min(values), max(values)))
    return f"{_digits(statistics.median(values))} ({least}–{most})"


def _digits(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
