"""The picture of the test metric against the noise_level of what is added to the code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from offset_autoencoder.evaluation.metrics import higher_is_better
from offset_autoencoder.evaluation.runs_table import noise_level
from offset_autoencoder.evaluation.summary import SettingSummary
from offset_autoencoder.evaluation.verdict_wording import percent
from offset_autoencoder.reporting.axes import log_axis
from offset_autoencoder.reporting.figure import MARKERS, WIDTH, written_figure
from offset_autoencoder.reporting.intervals import series, shown_as, with_power
from offset_autoencoder.reporting.metric_names import METRIC_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DODGE = 0.02  # of the noise_level: enough to tell two intervals apart, not enough to read another
_STYLES = ("-", "--", ":", "-.")  # of the series of one model
_MOST_TICKS = 8
_HEIGHT = 6.0  # inches
_LABEL_HEIGHT = 0.17


def draw_test_metric(
    path: Path,
    summaries: Sequence[SettingSummary],
    *,
    baselines: Sequence[str],
    colours: Mapping[str, str],
    confidence: float,
) -> bool:
    """Draw a metric against the noise_level of what is added to the code.

    At the left one line a series of several powers, at the right one point a setting for all
    others, by name. A baseline without a noise_level is a line across both, its interval a band.

    Args:
        path: Where the PNG goes.
        summaries: The settings in one metric. An axis of errors is logarithmic.
        baselines: The models that others are compared with.
        colours: By model.
        confidence: The share of intervals that hold the true mean, for the caption.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    known = [summary for summary in summaries if math.isfinite(summary.estimate.mean)]
    if not known:
        return False
    drawn = list(zip(known, shown_as(known, baselines), strict=True))
    lines: dict[str, list[SettingSummary]] = {}
    for item, how in drawn:
        if how == "line":
            lines.setdefault(series(item.setting), []).append(item)
    points = [item for item, how in drawn if how != "line"]
    references = [item for item, how in drawn if how == "reference"]
    metric = known[0].metric
    height = max(_HEIGHT, 2.5 + _LABEL_HEIGHT * len(lines))
    with written_figure(path, (WIDTH, height)) as figure:
        shares = [1.0] * bool(lines) + [min(2.0, max(0.35, len(points) / 16))] * bool(points)
        panels = list(
            figure.subplots(1, len(shares), sharey=True, squeeze=False, width_ratios=shares).ravel()
        )
        if not higher_is_better(metric) and all(item.estimate.mean > 0 for item in known):
            log_axis(panels[0])
        for panel in panels:
            panel.grid(axis="y", color="#e5e5e5")
            panel.set_axisbelow(True)
            for item in references:
                _across(panel, item, colours[item.setting.model])
        if lines:
            _draw_lines(panels[0], lines, colours)
        if points:
            _draw_points(panels[-1], points, colours)
        if lines:
            ends = {name: max(items, key=_power) for name, items in lines.items()}
            ends |= {item.setting.label: item for item in references}
            _name_lines(panels[0], ends, colours, _LABEL_HEIGHT / (height - 2))
        better = "higher" if higher_is_better(metric) else "lower"
        name = METRIC_NAMES.get(metric, metric)
        panels[0].set_ylabel(f"{name} on the test split ({better} is better)")
        figure.suptitle(f"mean and {percent(confidence)} interval over seeds", fontsize=10)
    return True


def _across(panel: Axes, item: SettingSummary, colour: str) -> None:
    estimate = item.estimate
    panel.axhline(estimate.mean, color=colour, linewidth=1, linestyle="--")
    if math.isfinite(estimate.half):
        panel.axhspan(estimate.low, estimate.high, color=colour, alpha=0.12, linewidth=0)


def _draw_lines(
    panel: Axes, lines: Mapping[str, Sequence[SettingSummary]], colours: Mapping[str, str]
) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    models: list[str] = []
    for turn, items in enumerate(lines.values()):
        models.append(items[0].setting.model)
        aside = 1 + _DODGE * (2 * turn / max(len(lines) - 1, 1) - 1)
        ordered = sorted(items, key=_power)
        panel.errorbar(
            [aside * _power(item) for item in ordered],
            [item.estimate.mean for item in ordered],
            yerr=np.nan_to_num([item.estimate.half for item in ordered]),
            color=colours[models[-1]],
            linestyle=_STYLES[(models.count(models[-1]) - 1) % len(_STYLES)],
            marker=MARKERS[turn % len(MARKERS)],
            markersize=5,
            linewidth=1.2,
            elinewidth=1.6,
        )
    powers = sorted({_power(item) for items in lines.values() for item in items})
    panel.set_xscale("log")
    panel.set_xlim(powers[0] / 1.15, powers[-1] * 1.15)
    if len(powers) <= _MOST_TICKS:
        panel.xaxis.set_major_locator(FixedLocator(powers))
        panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.set_xlabel(
        "noise level: root mean square per coordinate of the code,\nof what is added to it"
    )


def _name_lines(
    panel: Axes,
    ends: Mapping[str, SettingSummary],
    colours: Mapping[str, str],
    apart: float,
) -> None:
    """Names beside the ends of the lines, moved until they are ``apart``, a share of the height."""
    panel.autoscale_view()
    to_share = panel.transData + panel.transAxes.inverted()
    right = panel.get_xlim()[1]
    points = {name: (_power(end) or right, end.estimate.mean) for name, end in ends.items()}
    heights = {name: float(to_share.transform(point)[1]) for name, point in points.items()}
    names = sorted(heights, key=heights.__getitem__)
    for name, place in zip(names, spread([heights[n] for n in names], apart), strict=True):
        colour = colours[ends[name].setting.model]
        line = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 4}
        panel.annotate(
            name,
            points[name],
            (1.03, place),
            textcoords="axes fraction",
            va="center",
            color=colour,
            fontsize=9,
            annotation_clip=False,
            arrowprops=line,
        )


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Ascending places, moved as little as it takes for each to be ``apart`` from the next."""
    groups: list[list[float]] = []
    for place in places:
        groups.append([place])
        while len(groups) > 1 and _bottom(groups[-1], apart) < _top(groups[-2], apart) + apart:
            last = groups.pop()
            groups[-1] += last
    return [
        _bottom(group, apart) + apart * index for group in groups for index in range(len(group))
    ]


def _bottom(group: Sequence[float], apart: float) -> float:
    return sum(group) / len(group) - apart * (len(group) - 1) / 2


def _top(group: Sequence[float], apart: float) -> float:
    return _bottom(group, apart) + apart * (len(group) - 1)


def _draw_points(panel: Axes, points: Sequence[SettingSummary], colours: Mapping[str, str]) -> None:
    for place, item in enumerate(points):
        panel.errorbar(
            [place],
            [item.estimate.mean],
            yerr=np.nan_to_num([item.estimate.half]),
            color=colours[item.setting.model],
            marker="o",
            markersize=5,
            elinewidth=1.6,
        )
    names = [with_power(item.setting) for item in points]
    size = min(9.0, max(4.0, 260 / len(points)))
    panel.set_xticks(range(len(points)), names, rotation=60, ha="right", fontsize=size)
    for tick in panel.get_xticklabels():
        tick.set_rotation_mode("anchor")
    panel.set_xlim(-0.6, len(points) - 0.4)


def _power(item: SettingSummary) -> float:
    return noise_level(item.setting) or 0.0
