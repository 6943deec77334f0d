"""The pictures of a report: PNG files whose bytes depend on the numbers alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from offset_autoencoder.evaluation.comparison import Comparison
from offset_autoencoder.evaluation.matching import power
from offset_autoencoder.evaluation.metrics import higher_is_better
from offset_autoencoder.evaluation.summary import SettingSummary
from offset_autoencoder.evaluation.verdict import OUTCOMES, percent
from offset_autoencoder.reporting.curves import Curve
from offset_autoencoder.reporting.figure import MARKERS, PALETTE, WIDTH, panels_of, written_figure
from offset_autoencoder.reporting.intervals import series, swept_values

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OUTCOME_COLOURS = dict(
    zip(
        OUTCOMES,
        ("#0072B2", "#D55E00", "#009E73", "#777777", "#E69F00", "#CC79A7"),
        strict=True,
    )
)
_UNITS = {"psnr": "PSNR, dB", "binary_crossentropy": "binary cross-entropy, nats"}


def draw_comparison(
    path: Path, comparisons: Sequence[Comparison], *, metric: str, confidence: float
) -> bool:
    """Draw the difference of each setting to each baseline, with its interval.

    Args:
        path: Where the PNG goes.
        comparisons: The comparisons; those in other metrics are passed over.
        metric: The metric to draw.
        confidence: The share of intervals that hold the true difference, for the caption.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    chosen = [item for item in comparisons if item.metric == metric]
    if not chosen:
        return False
    baselines = list(dict.fromkeys(item.baseline.model for item in chosen))
    labels = list(dict.fromkeys(item.setting.label for item in chosen))
    with written_figure(path, (WIDTH, 1.5 + 0.26 * len(labels))) as figure:
        panels = panels_of(figure, 1, len(baselines), share_x=True, share_y=True)
        for panel, baseline in zip(panels, baselines, strict=True):
            panel.axvline(0, color="black", linewidth=1)
            for item in chosen:
                if item.baseline.model == baseline:
                    _interval(panel, item, labels.index(item.setting.label))
            panel.set_title(f"against {baseline}", loc="left", fontweight="bold")
            panel.set_xlabel(f"difference in {_named(metric)}")
            panel.grid(axis="y", color="#e5e5e5")
            panel.locator_params(axis="x", nbins=6)
            panel.set_axisbelow(True)
        panels[0].set_yticks(range(len(labels)), labels)
        panels[0].set_ylim(len(labels) - 0.5, -0.5)
        better = "right" if higher_is_better(metric) else "left"
        shown = [outcome for outcome in OUTCOMES if any(i.outcome == outcome for i in chosen)]
        for outcome in shown:
            colour = _OUTCOME_COLOURS[outcome]
            panels[0].plot([], [], "o-", color=colour, label=outcome)
        figure.legend(
            loc="outside upper center",
            ncols=len(shown),
            frameon=False,
            title=f"setting − baseline at the same seed, mean and {percent(confidence)} interval; "
            f"{better} of zero is better",
        )
    return True


def draw_test_metric(path: Path, summaries: Sequence[SettingSummary], *, confidence: float) -> bool:
    """Draw a metric against the power of what is added to the code, one line a model.

    A setting without a power is a horizontal line with its interval as a band.

    Args:
        path: Where the PNG goes.
        summaries: The settings in one metric.
        confidence: The share of intervals that hold the true mean, for the caption.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    known = [summary for summary in summaries if math.isfinite(summary.estimate.mean)]
    if not known:
        return False
    groups: dict[str, list[SettingSummary]] = {}
    for summary in known:
        groups.setdefault(series(summary.setting), []).append(summary)
    powers = sorted({value for item in known if (value := power(item.setting)) is not None})
    place = {value: index for index, value in enumerate(powers)}
    lines = [name for name, group in groups.items() if _powered(group)]
    with written_figure(path, (WIDTH, 5.0)) as figure:
        (axes,) = panels_of(figure, 1, 1)
        for index, (name, group) in enumerate(groups.items()):
            if not _powered(group):
                _band(axes, name, group[0], "black" if not index else PALETTE[index % 8], index)
                continue
            turn = lines.index(name)
            shift = 0.5 * ((turn + 0.5) / len(lines) - 0.5)
            ordered = sorted(group, key=lambda item: power(item.setting) or 0.0)
            mean = np.array([item.estimate.mean for item in ordered])
            axes.errorbar(
                [place[power(item.setting) or 0.0] + shift for item in ordered],
                mean,
                yerr=np.nan_to_num([item.estimate.half for item in ordered]),
                color=PALETTE[turn % len(PALETTE)],
                marker=MARKERS[turn % len(MARKERS)],
                markersize=6,
                linewidth=1.2,
                elinewidth=1.8,
                label=name,
            )
        axes.set_xticks(range(len(powers)), [f"{value:g}" for value in powers])
        axes.set_xlim(-0.5, max(len(powers), 1) - 0.5)
        axes.set_xlabel("power of what is added: root mean square a coordinate of the code")
        metric = known[0].metric
        better = "higher" if higher_is_better(metric) else "lower"
        axes.set_ylabel(f"{_named(metric)} on the test split ({better} is better)")
        axes.grid(axis="y", color="#e5e5e5")
        figure.legend(
            loc="outside right upper",
            frameon=False,
            title=f"mean and {percent(confidence)}\ninterval over seeds",
            alignment="left",
        )
    return True


def draw_learning_curves(path: Path, curves: Sequence[Curve], *, confidence: float) -> bool:
    """Draw the best validation loss so far, one panel a model, one line a setting.

    The first tenth of the longest training is left out: it would flatten all that follows.

    Args:
        path: Where the PNG goes.
        curves: The curves.
        confidence: The share of intervals that hold the true mean, for the caption.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    if not curves:
        return False
    models = list(dict.fromkeys(curve.setting.model for curve in curves))
    swept = list(dict.fromkeys(swept_values(curve.setting) for curve in curves))
    last = max(int(curve.epochs[-1]) for curve in curves)
    first = 1 if last <= 20 else math.ceil(last / 10)
    columns = min(3, len(models))
    rows = math.ceil(len(models) / columns)
    with written_figure(path, (WIDTH, 0.9 + 2.4 * rows)) as figure:
        panels = panels_of(figure, rows, columns, share_x=True, share_y=True)
        for curve in curves:
            panel = panels[models.index(curve.setting.model)]
            shown = curve.epochs >= first
            colour = PALETTE[swept.index(swept_values(curve.setting)) % len(PALETTE)]
            panel.fill_between(
                curve.epochs[shown],
                curve.low[shown],
                curve.high[shown],
                color=colour,
                alpha=0.18,
                linewidth=0,
            )
            panel.plot(curve.epochs[shown], curve.mean[shown], color=colour, linewidth=1.5)
        for index, panel in enumerate(panels):
            panel.set_visible(index < len(models))
            panel.set_title(models[index] if index < len(models) else "", loc="left", weight="bold")
            panel.grid(axis="y", color="#e5e5e5")
            # The last panel of a column names the epochs, also where the row below is not full.
            if index + columns >= len(models):
                panel.set_xlabel("epoch" if first == 1 else f"epoch, from {first} on")
                panel.tick_params(labelbottom=True)
            if index % columns == 0:
                panel.set_ylabel("validation loss")
        for index, values in enumerate(swept):
            colour = PALETTE[index % len(PALETTE)]
            panels[0].plot([], [], color=colour, linewidth=3, label=values or "nothing swept")
        figure.legend(
            loc="outside upper center",
            ncols=min(len(swept), 5),
            frameon=False,
            title="best validation loss so far (a run that stopped keeps its best), "
            f"mean and {percent(confidence)} interval over seeds",
        )
    return True


def _interval(panel: Axes, item: Comparison, place: int) -> None:
    colour = _OUTCOME_COLOURS[item.outcome]
    if not math.isfinite(item.difference.mean):
        return
    if math.isfinite(item.difference.half):
        panel.plot([item.difference.low, item.difference.high], [place] * 2, color=colour, lw=2.2)
    panel.plot([item.difference.mean], [place], "o", color=colour, markersize=5.5)


def _powered(group: Sequence[SettingSummary]) -> bool:
    return power(group[0].setting) is not None


def _band(axes: Axes, name: str, summary: SettingSummary, colour: str, index: int) -> None:
    estimate = summary.estimate
    style = ("-", "--", ":", "-.")[index % 4]
    axes.axhline(estimate.mean, color=colour, linewidth=1.2, linestyle=style, label=name)
    if math.isfinite(estimate.half):
        axes.axhspan(estimate.low, estimate.high, color=colour, alpha=0.1, linewidth=0)


def _named(metric: str) -> str:
    return _UNITS.get(metric, metric.replace("_", " "))
