"""A table of the page: what stands in its cells, and by what its columns are sorted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from markupsafe import Markup

from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.reporting.interval_text import mean_and_half

MOST_ROWS = 500
PLUS_MINUS = "±"

Kind = Literal["text", "number", "verdict", "picture"]


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        text: What is read in it.
        sort: What its column is sorted by where that is a number; cells without one come last.
        picture: Drawn instead of the text, or beside it.
        css: The class of a word's colour.
    """

    text: str = ""
    sort: float | None = None
    picture: Markup | None = None
    css: str = ""

    @property
    def sort_value(self) -> str | None:
        """The number to sort by, as the page holds it; None where there is none."""
        if self.sort is None or math.isnan(self.sort):
            return None
        return f"{self.sort:.9g}"


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        heading: Its heading, with the unit.
        kind: ``text`` stands left, ``number`` right; a ``verdict`` is a word with a colour; a
            ``picture`` is not sorted.
        axis: Drawn below the heading of a picture.
    """

    heading: str
    kind: Kind = "number"
    axis: Markup | None = None


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row is its heading.

    Attributes:
        name: Its id on the page.
        caption: What it shows.
        columns: The columns.
        rows: The rows, a cell a column.
        left_out: How many rows more there are in the file.
        file: That file.
        legend: Marks of its pictures and what they mean.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    left_out: int = 0
    file: str = ""
    legend: Sequence[tuple[Markup, str]] = field(default_factory=tuple)

    @property
    def sortable(self) -> bool:
        """Whether there is anything to sort."""
        return len(self.rows) > 1


def table(
    name: str,
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell]],
    *,
    file: str,
    legend: Sequence[tuple[Markup, str]] = (),
) -> Table:
    """A table of at most :data:`MOST_ROWS` rows.

    Args:
        name: Its id on the page.
        caption: What it shows.
        columns: The columns.
        rows: The rows, a cell a column.
        file: Where all rows are.
        legend: Marks of its pictures and what they mean.
    """
    every = list(rows)
    shown = every[:MOST_ROWS]
    return Table(name, caption, columns, shown, len(every) - len(shown), file, legend)


def estimate_cell(
    estimate: Estimate,
    *,
    decimals: int,
    factor: float = 1,
    signed: bool = False,
    interval: bool = True,
) -> Cell:
    """A mean and half its interval; empty where the mean is not known."""
    if not math.isfinite(estimate.mean):
        return Cell("" if math.isnan(estimate.mean) else str(estimate.mean), estimate.mean)
    pm = PLUS_MINUS if interval else ""
    text = mean_and_half(estimate, pm, decimals=decimals, factor=factor, signed=signed)
    return Cell(text.replace("-", "−"), estimate.mean)


def number_cell(value: float, text: str) -> Cell:
    """A number that is written in a way of its own; empty where it is not known."""
    return Cell("" if math.isnan(value) else text.replace("-", "−"), value)
