"""Tables of the report, which the page and the terminal render, and the intervals drawn in them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from markupsafe import Markup

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.reporting.wording import CUT, decimals_of, full_label, mean_and_half

NAN = float("nan")
UNKNOWN = Estimate(NAN, NAN, NAN, NAN, 0)

_FEW_PERCENT = 0.1

Kind = Literal["text", "number", "verdict", "change", "digest", "picture"]


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str = ""  # "-" where a number is not known
    sort: float | None = None  # a number that its column is sorted by; without one it comes last
    short: str = ""  # the text where there is little room, if another: a mean alone
    word: str = ""  # the verdict whose colour it has
    picture: Markup | None = None  # drawn instead of the text
    hint: str = ""  # what pointing at it says

    @property
    def sort_value(self) -> str | None:
        """The number to sort by, as the page holds it; None where there is none."""
        return None if self.sort is None or math.isnan(self.sort) else f"{self.sort:.9g}"


@dataclass(frozen=True)
class Column:
    """A column of a table, a cell per row.

    ``text`` stands left, ``number`` right; a ``verdict`` is a word with a colour, a ``change`` a
    number with one; of a ``digest`` the beginning is seen, and copied is all of it; a ``picture``
    is not sorted, and has an axis below its heading.
    """

    key: str
    heading: str  # with the unit
    cells: Sequence[Cell]
    kind: Kind = "number"
    axis: Markup | None = None
    hint: str = ""  # what pointing at the heading says


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row is its heading.

    Its name is its id on the page; the numbers are in full in its file, and the legend has the
    marks of its pictures.
    """

    name: str
    caption: str
    columns: list[Column]
    file: str = ""
    legend: Sequence[tuple[Markup, str]] = ()

    @property
    def explanation(self) -> str:
        """The caption, with a note on intervals that are cut at a bound where there is one."""
        numbers = (column for column in self.columns if column.kind in ("number", "change"))
        is_cut = any("[" in cell.text for column in numbers for cell in column.cells)
        return f"{self.caption} {CUT}" if is_cut else self.caption

    @property
    def rows(self) -> list[tuple[Cell, ...]]:
        """The cells row by row."""
        return list(zip(*(column.cells for column in self.columns), strict=True))

    def column(self, key: str) -> dict[str, Cell]:
        """The cells of a column, by the short text of their row's heading."""
        (cells,) = (column.cells for column in self.columns if column.key == key)
        heads = (head.short or head.text for head in self.columns[0].cells)
        return dict(zip(heads, cells, strict=True))


def setting_column(settings: Iterable[Setting]) -> Column:
    """The settings' labels with their noise levels; where there is little room, labels alone."""
    cells = [Cell(full_label(setting), short=setting.label) for setting in settings]
    return Column("setting", "setting", cells, "text")


def text_column(key: str, heading: str, texts: Iterable[str], kind: Kind = "text") -> Column:
    """A column of texts, or of digests."""
    return Column(key, heading, [Cell(text) for text in texts], kind)


def word_column(heading: str, words: Iterable[str]) -> Column:
    """A column of verdicts."""
    return Column("verdict", heading, [Cell(word, word=word) for word in words], "verdict")


def estimate_column(
    key: str,
    heading: str,
    estimates: Sequence[Estimate],
    factor: float = 1,
    decimals: int | None = None,
    *,
    signed: bool = False,
) -> Column:
    """Means and half their intervals, means alone where there is little room.

    All with so many decimals, without which :func:`.wording.decimals_of` finds them.
    """
    if decimals is None:
        decimals = decimals_of(estimates, factor=factor)
    cells = [_estimate_cell(item, decimals, factor, signed=signed) for item in estimates]
    return Column(key, heading, cells)


def change_column(key: str, heading: str, shares: Iterable[Estimate]) -> Column:
    """Changes in percent, with their signs and intervals: one decimal below ten."""
    return Column(key, heading, [_percent_cell(share, signed=True) for share in shares])


def share_column(key: str, heading: str, shares: Iterable[Estimate]) -> Column:
    """Shares in percent, means alone: one decimal below ten."""
    cells = [_percent_cell(share, signed=False) for share in shares]
    return Column(key, heading, [replace(cell, text=cell.short) for cell in cells])


def _percent_cell(share: Estimate, *, signed: bool) -> Cell:
    if not math.isfinite(share.mean):
        return Cell("-", short="-")
    return _estimate_cell(share, 1 if abs(share.mean) < _FEW_PERCENT else 0, 100, signed=signed)


def _estimate_cell(estimate: Estimate, decimals: int, factor: float, *, signed: bool) -> Cell:
    written = partial(mean_and_half, estimate, decimals=decimals, factor=factor, signed=signed)
    return Cell(written(), estimate.mean, written(interval=False))


PERCENT_AXIS = "The axis is linear within ± 10 %, logarithmic beyond."
WIDTH, HEIGHT = 200, 22
_AXIS_HEIGHT = 20
_EDGE = 14  # on both sides, for the outermost numbers
_LINEAR_SHARE = 0.1
_ROOM = 1.15  # of a logarithmic axis beyond its outermost values, as a factor
_LETTER = 7.0  # the width of a digit of the axis
_LEAST = 1e-290  # what is smaller counts as zero on an axis
_FAR = 5.0  # times: from there on, an axis counts in powers of ten

Scale = Literal["linear", "log", "percent"]
Shape = Literal["circle", "square", "triangle", "diamond"]
_PATHS: Mapping[Shape, str] = {
    "square": "m-3.3 -3.3h6.6v6.6h-6.6z",
    "triangle": "m0 -4l4 7h-8z",
    "diamond": "m0 -4.5l4 4.5l-4 4.5l-4 -4.5z",
}


@dataclass(frozen=True)
class Axis:
    """An axis from left to right: its ends, and its lines each with a number or an empty text.

    The scale ``percent`` is of shares: linear up to 10 % on both sides of zero, logarithmic beyond.
    """

    scale: Scale
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()

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


def percent_axis(shares: Iterable[Estimate]) -> Axis:
    """The axis of changes in percent that holds all of these, 10 % on both sides at least."""
    finite = _finite(shares)
    low, high = min([-_LINEAR_SHARE, *finite]), max([_LINEAR_SHARE, *finite])
    decades = [10**power for power in range(1, 13)]
    values = [-decade for decade in decades[::-1]] + [0, *decades]
    ticks = [(v / 100, f"{v:+g}" if v else "0") for v in values if low <= v / 100 <= high]
    return _numbered(Axis("percent", _ROOM * low, _ROOM * high), ticks)


def value_axis(estimates: Iterable[Estimate], factor: float) -> Axis:
    """The axis of a metric that holds all of these; logarithmic where all are above zero.

    Its numbers are multiplied by ``factor``.
    """
    finite = _finite(estimates)
    if not finite:
        return Axis("linear", 0, 1)
    low, high = min(finite), max(finite)
    if low > _LEAST:
        axis = Axis("log", low / _ROOM, high * _ROOM)
    else:
        room = 0.05 * (high - low) if high - low > _LEAST else 1.0
        axis = Axis("linear", low - room, high + room)
    has_decades = low > _LEAST and axis.high > _FAR * axis.low
    values = (_decades if has_decades else _even)(axis.low, axis.high)
    return _numbered(axis, [(value, f"{factor * value:.4g}") for value in values])


def picture_column(
    heading: str,
    axis: Axis,
    rows: Iterable[Sequence[Mark]],
    *,
    band: tuple[float, float] | None = None,
    line: float | None = None,
) -> Column:
    """Rows of marks on one axis, which stands below the heading; see :func:`draw_row`."""
    cells = [Cell(picture=draw_row(axis, marks, band=band, line=line)) for marks in rows]
    return Column("picture", heading, cells, "picture", draw_axis(axis))


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
    lines = [("grid", value) for value, _ in axis.ticks]
    lines += [] if line is None else [("zero", line)]
    upright = Markup('<path class="{}" d="M{:.1f} 0V{}"/>')
    parts += [upright.format(css, axis.place(value), HEIGHT) for css, value in lines]
    for place, mark in enumerate(marks):
        if math.isfinite(mark.estimate.mean):
            # Several marks stand a little apart, so that none hides another.
            y = HEIGHT / 2 + (place - (len(marks) - 1) / 2) * (HEIGHT - 10) / max(len(marks), 2)
            parts.append(_mark(axis, mark, y))
    return _svg(parts, HEIGHT, "interval")


def draw_axis(axis: Axis) -> Markup:
    """The numbers of the axis, for the head of the table."""
    number = Markup('<text x="{:.1f}" y="10" text-anchor="middle">{}</text>')
    tick = Markup('<path class="tick" d="M{:.1f} 14V{}"/>')
    places = [(axis.place(value), text.replace("-", "−")) for value, text in axis.ticks]
    numbers = [number.format(place, text) for place, text in places if text]
    ticks = [tick.format(place, _AXIS_HEIGHT) for place, _ in places]
    return _svg([*numbers, *ticks], _AXIS_HEIGHT, "axis")


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
    size = abs(value) / _LINEAR_SHARE
    return math.copysign(size if size <= 1 else 1 + math.log10(size), value)


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times every power of ten between two values."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [share * 10.0**power for power in powers for share in (1, 2, 5)]
    return [value for value in values if low <= value <= high]


def _even(low: float, high: float) -> list[float]:
    """Two to five round values between two others, equally far apart, with room for a number."""
    size = 10.0 ** math.floor(math.log10(high - low))
    steps = (size * share for share in (0.2, 0.5, 1, 2, 5))
    step = next(step for step in steps if (high - low) / step < 4.5)
    return [step * place for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _finite(estimates: Iterable[Estimate]) -> list[float]:
    ends = (end for each in estimates for end in (each.mean, each.low, each.high))
    return [end for end in ends if math.isfinite(end)]


def _numbered(axis: Axis, ticks: Sequence[tuple[float, str]]) -> Axis:
    """The axis with its ticks; numbers that would touch the one before are left out."""
    # Zero first, where there is one, then from the ends inwards: these say how far the axis goes.
    taken: list[tuple[float, float]] = []
    kept: dict[float, str] = {}
    for value, text in sorted(ticks, key=lambda tick: (tick[0] != 0, -abs(tick[0]))):
        at, half = axis.place(value), _LETTER * (len(text) + 1) / 2
        if all(abs(at - other) >= half + its_half for other, its_half in taken):
            kept[value] = text
            taken.append((at, half))
    return replace(axis, ticks=tuple((value, kept.get(value, "")) for value, _ in ticks))


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
    return Markup('<path d="M{:.1f} {:.1f}{}"/>').format(x, y, _PATHS[shape])


def _svg(parts: Sequence[Markup], height: int, css: str) -> Markup:
    return Markup(
        '<svg class="{}" viewBox="0 0 {} {}" width="{}" height="{}" aria-hidden="true">{}</svg>'
    ).format(css, WIDTH, height, WIDTH, height, Markup("").join(parts))
