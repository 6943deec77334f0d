"""Axes that several pictures share: percent on both sides of zero, logarithms, rows by name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.reporting.figure import panels_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINEAR_PERCENT = 10.0
ROW_HEIGHT = 0.24  # inches


def rows_by_name(figure: Figure, names: Sequence[str], titles: Sequence[str]) -> list[Axes]:
    """Panels side by side whose rows are named at the left, the first at the top."""
    panels = panels_of(figure, 1, len(titles), share_x=True, share_y=True)
    for panel, title in zip(panels, titles, strict=True):
        panel.set_title(title, loc="left", fontweight="bold")
        panel.grid(axis="both", color="#e5e5e5")
        panel.set_axisbelow(True)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    return panels


def draw_row(
    panel: Axes, estimate: Estimate, row: int, colour: str, *, marker: str = "o", fill: bool = True
) -> None:
    """A share's mean and interval, in percent, on a row of :func:`rows_by_name`."""
    if not math.isfinite(estimate.mean):
        return
    if math.isfinite(estimate.half):
        ends = [100 * estimate.low, 100 * estimate.high]
        panel.plot(ends, [row] * 2, color=colour, linewidth=2.2)
    face = colour if fill else "white"
    panel.plot(
        [100 * estimate.mean], [row], marker, color=colour, markerfacecolor=face, markersize=4.5
    )


def percent_axis(panel: Axes, changes: Iterable[Estimate]) -> None:
    """Make x an axis of changes in percent: linear up to 10 % on both sides, then logarithmic."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    ends = [end for change in changes for end in (change.mean, change.low, change.high)]
    finite = [100 * end for end in ends if math.isfinite(end)]
    low, high = min([-_LINEAR_PERCENT, *finite]), max([_LINEAR_PERCENT, *finite])
    decades = math.log10(high / _LINEAR_PERCENT) + math.log10(-low / _LINEAR_PERCENT)
    linear_decades = 1.0 if decades < 2.5 else 0.5  # so that the numbers keep apart
    panel.set_xscale("symlog", linthresh=_LINEAR_PERCENT, linscale=linear_decades)
    panel.set_xlim(1.5 * low, 1.5 * high)
    ticks = [sign * 10.0**power for power in range(1, 9) for sign in (-1, 1)]
    panel.xaxis.set_major_locator(FixedLocator([0, *(t for t in ticks if low <= t <= high)]))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))


def log_axis(panel: Axes) -> None:
    """Make y logarithmic, with plain numbers beside it."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())
