"""Tables of the report: one model of rows that the page and the terminal render."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.reporting.wording import full_label, mean_and_half

NAN = float("nan")
UNKNOWN = Estimate(NAN, NAN, NAN, NAN, 0)

_FEW_PERCENT = 0.1

Kind = Literal["text", "number", "verdict", "picture"]


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        text: What is read in it; ``-`` where a number is not known.
        sort: What its column is sorted by where that is a number; cells without one come last.
        short: The text where there is little room: a mean without its interval.
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

    Its name is its id on the page; the numbers are in full in its file, and the legend has the
    marks of its pictures.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    file: str = ""
    legend: Sequence[tuple[Markup, str]] = ()

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


WIDTH, HEIGHT = 200, 22
_AXIS_HEIGHT = 20
_EDGE = 14  # on both sides, for the outermost numbers
_LINEAR_PERCENT = 10.0
_ROOM = 1.15  # of a logarithmic axis beyond its outermost values, as a factor
_LETTER = 7.0  # the width of a digit of the axis
_FAR = 5.0  # times: from there on, an axis counts in powers of ten

Scale = Literal["linear", "log", "percent"]
Shape = Literal["circle", "square", "triangle", "diamond"]


@dataclass(frozen=True)
class Axis:
    """An axis from left to right: its ends, and its lines each with a number or an empty text.

    The scale ``percent`` is linear up to 10 on both sides of zero, logarithmic beyond.
    """

    scale: Scale
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def place(self, value: float) -> float:
        """Place of a value, in units of the drawing; at the edge where it is beyond the axis."""
        low, high, at = (_stretched(self.scale, v) for v in (self.low, self.high, value))
        share = min(1.0, max(0.0, (at - low) / (high - low)))
        return _EDGE + share * (WIDTH - 2 * _EDGE)


@dataclass(frozen=True)
class Mark:
    """A mean and its interval in the units of an axis, and the class that has its colour."""

    estimate: Estimate
    css: str
    shape: Shape = "circle"


def percent_axis(estimates: Iterable[Estimate]) -> Axis:
    """The axis of changes in percent that holds all of these, 10 % on both sides at least."""
    finite = _finite(estimates)
    low, high = min([-_LINEAR_PERCENT, *finite]), max([_LINEAR_PERCENT, *finite])
    decades = [10.0**power for power in range(1, 13)]
    values = [v for v in (*(-v for v in reversed(decades)), 0.0, *decades) if low <= v <= high]
    bare = Axis("percent", _ROOM * low, _ROOM * high, ())
    return _numbered(bare, [(value, f"{value:+g}" if value else "0") for value in values])


def value_axis(estimates: Iterable[Estimate], factor: float) -> Axis:
    """The axis of a metric that holds all of these; logarithmic where all are above zero.

    Its numbers are multiplied by ``factor``.
    """
    finite = _finite(estimates)
    if not finite:
        return Axis("linear", 0, 1, ())
    low, high = min(finite), max(finite)
    scale: Scale = "log" if low > 0 else "linear"
    if scale == "log":
        low, high = low / _ROOM, high * _ROOM
    else:
        room = 0.05 * (high - low) or 1.0
        low, high = low - room, high + room
    decades = scale == "log" and high > _FAR * low
    values = _decades(low, high) if decades else _even(low, high)
    return _numbered(
        Axis(scale, low, high, ()), [(value, f"{factor * value:.4g}") for value in values]
    )


def draw_row(
    axis: Axis,
    marks: Sequence[Mark],
    *,
    band: tuple[float, float] | None = None,
    line: float | None = None,
) -> Markup:
    """A row: intervals as lines, means as marks. What it says stands in the row as numbers, too.

    Marks without a finite mean are passed over; it is shaded within ``band``, and has a ``line``.
    """
    parts = []
    if band:
        left, right = (axis.place(end) for end in band)
        shade = Markup('<rect class="band" x="{:.1f}" width="{:.1f}" height="{}"/>')
        parts.append(shade.format(left, right - left, HEIGHT))
    parts += [_vertical("grid", axis.place(value)) for value, _ in axis.ticks]
    if line is not None:
        parts.append(_vertical("zero", axis.place(line)))
    for place, mark in enumerate(marks):
        if math.isfinite(mark.estimate.mean):
            # Several marks stand a little apart, so that none hides another.
            y = HEIGHT / 2 + (place - (len(marks) - 1) / 2) * (HEIGHT - 10) / max(len(marks), 2)
            parts.append(_mark(axis, mark, y))
    return _svg(parts, HEIGHT, "interval")


def draw_axis(axis: Axis) -> Markup:
    """The numbers of the axis, for the head of the table."""
    numbers = [
        Markup('<text x="{:.1f}" y="10" text-anchor="middle">{}</text>').format(
            axis.place(value), text.replace("-", "−")
        )
        for value, text in axis.ticks
        if text
    ]
    marks = [
        Markup('<path class="tick" d="M{0:.1f} 14V{1}"/>').format(axis.place(value), _AXIS_HEIGHT)
        for value, _ in axis.ticks
    ]
    return _svg([*numbers, *marks], _AXIS_HEIGHT, "axis")


def draw_key(css: str, shape: Shape = "circle") -> Markup:
    """A mark by itself, for a legend."""
    return Markup(
        '<svg class="key {}" viewBox="0 0 14 14" width="14" height="14" aria-hidden="true">{}</svg>'
    ).format(css, _shape(shape, 7, 7))


def _stretched(scale: Scale, value: float) -> float:
    if scale == "linear":
        return value
    if scale == "log":
        return math.log10(max(value, 1e-300))
    size = abs(value) / _LINEAR_PERCENT
    return math.copysign(size if size <= 1 else 1 + math.log10(size), value)


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times every power of ten between two values."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [share * 10.0**power for power in powers for share in (1, 2, 5)]
    return [value for value in values if low <= value <= high]


def _even(low: float, high: float) -> list[float]:
    """Two to five round values between two others, equally far apart, with room for a number."""
    size = 10.0 ** math.floor(math.log10(high - low))
    step = next(
        size * share for share in (0.2, 0.5, 1, 2, 5) if (high - low) / (size * share) < 4.5
    )
    return [step * place for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _finite(estimates: Iterable[Estimate]) -> list[float]:
    ends = (end for each in estimates for end in (each.mean, each.low, each.high))
    return [end for end in ends if math.isfinite(end)]


def _numbered(axis: Axis, ticks: Sequence[tuple[float, str]]) -> Axis:
    """The axis with its ticks; numbers that would touch the one before are left out."""
    # Zero first, where there is one, then from the ends inwards: these say how far the axis goes.
    order = sorted(ticks, key=lambda tick: (tick[0] != 0, -abs(tick[0])))
    taken: list[tuple[float, float]] = []
    kept: dict[float, str] = {}
    for value, text in order:
        at, half = axis.place(value), _LETTER * (len(text) + 1) / 2
        free = all(abs(at - other) >= half + its_half for other, its_half in taken)
        kept[value] = text if free else ""
        if free:
            taken.append((at, half))
    return Axis(axis.scale, axis.low, axis.high, tuple((value, kept[value]) for value, _ in ticks))


def _vertical(css: str, x: float) -> Markup:
    return Markup('<path class="{}" d="M{:.1f} 0V{}"/>').format(css, x, HEIGHT)


def _mark(axis: Axis, mark: Mark, y: float) -> Markup:
    estimate, bar = mark.estimate, Markup("")
    if math.isfinite(estimate.half):
        ends = (axis.place(estimate.low), axis.place(estimate.high))
        bar = Markup('<path class="bar" d="M{:.1f} {:.1f}H{:.1f}"/>').format(ends[0], y, ends[1])
    shape = _shape(mark.shape, axis.place(estimate.mean), y)
    return Markup('<g class="{}">{}{}</g>').format(mark.css, bar, shape)


def _shape(shape: Shape, x: float, y: float) -> Markup:
    if shape == "circle":
        return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3.6"/>').format(x, y)
    path = {
        "square": "m-3.3 -3.3h6.6v6.6h-6.6z",
        "triangle": "m0 -4l4 7h-8z",
        "diamond": "m0 -4.5l4 4.5l-4 4.5l-4 -4.5z",
    }[shape]
    return Markup('<path d="M{:.1f} {:.1f}{}"/>').format(x, y, path)


def _svg(parts: Sequence[Markup], height: int, css: str) -> Markup:
    return Markup(
        '<svg class="{}" viewBox="0 0 {} {}" width="{}" height="{}" aria-hidden="true">{}</svg>'
    ).format(css, WIDTH, height, WIDTH, height, Markup("").join(parts))
