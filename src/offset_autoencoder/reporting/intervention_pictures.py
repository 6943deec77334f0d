"""The pictures of the interventions: what each costs, and curves over noise and offset scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from offset_autoencoder.evaluation.intervention_summary import InterventionSummary
from offset_autoencoder.evaluation.metrics import higher_is_better
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.evaluation.verdict import percent
from offset_autoencoder.reporting.figure import PALETTE, WIDTH, panels_of, written_figure
from offset_autoencoder.reporting.intervals import swept_values
from offset_autoencoder.reporting.interventions import levels_of, shown_changes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLES = {
    "none": "no offset",
    "permuted": "another sample's",
    "gaussian": "Gaussian noise",
    "alone": "no code",
}
_NAMES = {
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "binary_crossentropy": "binary cross-entropy, nats",
    "psnr": "PSNR, dB",
    "explained_variance": "explained variance, share",
}
# What a change of these is one of, as :func:`.equivalence.relative_change` takes them.
_ERRORS = {**_NAMES, "psnr": _NAMES["mse"], "explained_variance": _NAMES["mse"]}
_LINEAR_PERCENT = 10.0
_LEGEND_LETTERS = 110


def draw_interventions(
    path: Path,
    summaries: Sequence[InterventionSummary],
    *,
    metric: str,
    confidence: float,
    margin: float | None = None,
) -> bool:
    """Draw what each intervention on the offset does to the error, one row a setting.

    Args:
        path: Where the PNG goes.
        summaries: The interventions; other metrics, and those with a level, are passed over.
        metric: The metric whose error to draw: its change in percent of the own, on an axis
            that is linear up to 10 % and logarithmic beyond.
        confidence: The share of intervals that hold the true change, for the caption.
        margin: A change, as a share of the own error, that is as good as none: a grey band.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    chosen = shown_changes(summaries, metric)
    if not chosen:
        return False
    labels = list(dict.fromkeys(item.setting.label for item in chosen))
    models = list(dict.fromkeys(item.setting.model for item in chosen))
    names = [name for name in _TITLES if any(item.intervention.name == name for item in chosen)]
    with written_figure(path, (WIDTH, 1.5 + 0.26 * len(labels))) as figure:
        panels = panels_of(figure, 1, len(names), share_x=True, share_y=True)
        for panel, name in zip(panels, names, strict=True):
            if margin is not None:
                panel.axvspan(-100 * margin, 100 * margin, color="#dddddd", linewidth=0)
            panel.axvline(0, color="black", linewidth=1)
            for item in chosen:
                if item.intervention.name == name:
                    colour = PALETTE[models.index(item.setting.model) % len(PALETTE)]
                    _interval(panel, item, labels.index(item.setting.label), colour)
            panel.set_title(_TITLES[name], loc="left", fontweight="bold")
            panel.grid(axis="both", color="#e5e5e5")
            panel.set_axisbelow(True)
        panels[0].set_yticks(range(len(labels)), labels)
        panels[0].set_ylim(len(labels) - 0.5, -0.5)
        _percent_axis(panels[0], [item.relative for item in chosen])
        name = _ERRORS[metric].partition(",")[0]
        figure.supxlabel(f"change of the {name}, % of its own", fontsize=10)
        band = "" if margin is None else f"; grey: within ± {100 * margin:g} %"
        figure.suptitle(
            "what the offset is exchanged for at test time, mean and "
            f"{percent(confidence)} interval over seeds\nright of zero is worse{band}",
            fontsize=10,
        )
    return True


def draw_robustness(
    path: Path, summaries: Sequence[InterventionSummary], *, metric: str, confidence: float
) -> bool:
    """Draw the error against the Gaussian noise put on the code at test time.

    Args:
        path: Where the PNG goes.
        summaries: The interventions; all but ``noise`` in this metric are passed over.
        metric: The metric to draw.
        confidence: The share of intervals that hold the true mean, for the caption.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    label = "standard deviation of the noise,\na coordinate of the code"
    title = "Gaussian noise on top of the code at test time"
    return _draw_levels(path, summaries, metric, "noise", label, title, confidence)


def draw_offset_scales(
    path: Path, summaries: Sequence[InterventionSummary], *, metric: str, confidence: float
) -> bool:
    """Draw the error against the factor that the offset is multiplied by at test time.

    Args:
        path: Where the PNG goes.
        summaries: The interventions; all but ``scaled`` in this metric are passed over.
        metric: The metric to draw.
        confidence: The share of intervals that hold the true mean, for the caption.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    label = "the offset, times its own"
    title = "the offset scaled at test time (1: as it is, 0: none)"
    return _draw_levels(path, summaries, metric, "scaled", label, title, confidence)


def _draw_levels(
    path: Path,
    summaries: Sequence[InterventionSummary],
    metric: str,
    name: str,
    x_label: str,
    title: str,
    confidence: float,
) -> bool:
    """One panel a model, one line a setting; in all panels the first setting for comparison."""
    curves = [
        [item for item in group if math.isfinite(item.estimate.mean)]
        for group in levels_of(summaries, metric, name)
    ]
    curves = [curve for curve in curves if curve]
    if not any(len(curve) > 1 for curve in curves):
        return False
    models = list(dict.fromkeys(curve[0].setting.model for curve in curves))
    swept = list(dict.fromkeys(swept_values(curve[0].setting) for curve in curves))
    first = curves[0] if not curves[0][0].setting.sweep and len(models) > 1 else None
    columns = min(3, len(models))
    rows = math.ceil(len(models) / columns)
    with written_figure(path, (WIDTH, 1.1 + 2.4 * rows)) as figure:
        panels = panels_of(figure, rows, columns, share_x=True, share_y=True)
        for curve in curves:
            setting = curve[0].setting
            _curve(panels[models.index(setting.model)], curve, _look(swept, swept_values(setting)))
        for index, panel in enumerate(panels):
            panel.set_visible(index < len(models))
            panel.set_title(models[index] if index < len(models) else "", loc="left", weight="bold")
            panel.grid(color="#e5e5e5")
            if first is not None and 0 < index < len(models):
                places = [item.intervention.level or 0.0 for item in first]
                means = [item.estimate.mean for item in first]
                panel.plot(places, means, color="#777777", linewidth=1.2, linestyle="--")
            # The last panel of a column names the levels, also where the row below is not full.
            if index + columns >= len(models):
                panel.set_xlabel(x_label)
                panel.tick_params(labelbottom=True)
        if all(item.estimate.mean > 0 for curve in curves for item in curve) and (
            not higher_is_better(metric)
        ):
            _log_axis(panels[0])
        figure.supylabel(f"{_NAMES[metric]}, test split", fontsize=10)
        for values in swept:
            colour, style = _look(swept, values)
            label = values or "nothing swept"
            panels[0].plot([], [], f"o{style}", color=colour, linewidth=2, label=label)
        if first is not None:
            label = f"{first[0].setting.model}, for comparison"
            panels[0].plot([], [], color="#777777", linewidth=1.2, linestyle="--", label=label)
        widest = max([8 + len(values) for values in swept] + [24] * (first is not None))
        figure.legend(
            loc="outside upper center",
            ncols=max(1, min(len(swept) + (first is not None), _LEGEND_LETTERS // widest)),
            frameon=False,
            title=f"{title}, mean and {percent(confidence)} interval over seeds",
        )
    return True


def _look(swept: Sequence[str], values: str) -> tuple[str, str]:
    """Colour and line style: the colours once around, then again with another line."""
    turn, place = divmod(swept.index(values), len(PALETTE))
    return PALETTE[place], ("-", "--", ":", "-.")[turn % 4]


def _curve(panel: Axes, curve: Sequence[InterventionSummary], look: tuple[str, str]) -> None:
    colour, style = look
    places = np.array([item.intervention.level or 0.0 for item in curve])
    mean, low, high = (
        np.array([getattr(item.estimate, name) for item in curve])
        for name in ("mean", "low", "high")
    )
    panel.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
    panel.plot(places, mean, f"o{style}", color=colour, linewidth=1.5, markersize=3.5)


def _interval(panel: Axes, item: InterventionSummary, place: int, colour: str) -> None:
    change = item.relative
    if not math.isfinite(change.mean):
        return
    if math.isfinite(change.half):
        ends = [100 * change.low, 100 * change.high]
        panel.plot(ends, [place] * 2, color=colour, linewidth=2.5)
    panel.plot([100 * change.mean], [place], "o", color=colour, markersize=4.5)


def _percent_axis(panel: Axes, changes: Sequence[Estimate]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    ends = [end for change in changes for end in (change.mean, change.low, change.high)]
    finite = [100 * end for end in ends if math.isfinite(end)]
    low, high = min([-_LINEAR_PERCENT, *finite]), max([_LINEAR_PERCENT, *finite])
    panel.set_xscale("symlog", linthresh=_LINEAR_PERCENT, linscale=0.6)
    panel.set_xlim(1.5 * low, 1.5 * high)
    ticks = [sign * 10.0**power for power in range(1, 9) for sign in (-1, 1)]
    panel.xaxis.set_major_locator(FixedLocator([0, *(t for t in ticks if low <= t <= high)]))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))


def _log_axis(panel: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())
