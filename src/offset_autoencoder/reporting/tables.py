"""Tables of the report: one model of rows that the page and the terminal render."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from markupsafe import Markup

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.reporting.wording import full_label, mean_and_half

NAN = float("nan")
UNKNOWN = Estimate(NAN, NAN, NAN, NAN, 0)
MOST_ROWS = 500

_FEW_PERCENT = 0.1

Kind = Literal["text", "number", "verdict", "picture"]


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        text: What is read in it; ``-`` where a number is not known.
        sort: What its column is sorted by where that is a number; cells without one come last.
        short: The same where there is little room: a mean without its interval.
        word: The verdict whose colour it has.
        picture: Drawn instead of the text.
    """

    text: str = ""
    sort: float | None = None
    short: str = ""
    word: str = ""
    picture: Markup | None = None

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
        key: What it is picked by.
        heading: Its heading, with the unit.
        kind: ``text`` stands left, ``number`` right; a ``verdict`` is a word with a colour; a
            ``picture`` is not sorted.
        axis: Drawn below the heading of a picture.
    """

    key: str
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
        rows: The rows, a cell per column.
        file: Where the numbers are in full.
        legend: Marks of its pictures and what they mean.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    file: str = ""
    legend: Sequence[tuple[Markup, str]] = field(default_factory=tuple)

    @property
    def sortable(self) -> bool:
        """True if there is anything to sort."""
        return len(self.rows) > 1

    @property
    def shown(self) -> Sequence[Sequence[Cell]]:
        """The rows that the page has room for."""
        return self.rows[:MOST_ROWS]

    def column(self, key: str) -> dict[str, Cell]:
        """The cells of a column, by the short text of their row's heading."""
        place = [column.key for column in self.columns].index(key)
        return {row[0].short or row[0].text: row[place] for row in self.rows}


def setting_cell(setting: Setting) -> Cell:
    """A setting's label with its noise level; where there is little room, the label alone."""
    return Cell(full_label(setting), short=setting.label)


def estimate_cell(
    estimate: Estimate, *, decimals: int, factor: float = 1, signed: bool = False
) -> Cell:
    """A mean and half its interval; the mean alone where there is little room."""
    text, short = (
        mean_and_half(estimate, pm, decimals=decimals, factor=factor, signed=signed)
        for pm in ("±", "")
    )
    return Cell(text, estimate.mean, short)


def percent_cell(share: Estimate, *, signed: bool = True) -> Cell:
    """A share in percent: one decimal below ten."""
    if not math.isfinite(share.mean):
        return Cell("-", short="-")
    decimals = 1 if abs(share.mean) < _FEW_PERCENT else 0
    return estimate_cell(share, decimals=decimals, factor=100, signed=signed)
