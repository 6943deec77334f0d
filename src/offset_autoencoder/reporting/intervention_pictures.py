"""The pictures of the interventions: what each costs, and curves over noise and offset scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from offset_autoencoder.evaluation.interventions import InterventionSummary
from offset_autoencoder.evaluation.metrics import higher_is_better
from offset_autoencoder.evaluation.verdict_wording import percent
from offset_autoencoder.reporting.axes import ROW_HEIGHT, draw_row, percent_axis, rows_by_name
from offset_autoencoder.reporting.figure import WIDTH, written_figure
from offset_autoencoder.reporting.interventions import levels_of, shown_changes
from offset_autoencoder.reporting.metric_names import METRIC_NAMES, error_name
from offset_autoencoder.reporting.model_panels import Line, draw_model_panels

_TITLES = {
    "omitted": "no offset",
    "permuted": "another sample's",
    "gaussian": "Gaussian noise",
    "offset_only": "no code",
}


def draw_interventions(
    path: Path,
    summaries: Sequence[InterventionSummary],
    *,
    metric: str,
    colours: Mapping[str, str],
    confidence: float,
    margin: float | None = None,
) -> bool:
    """Draw what each intervention on the offset does to the error, one row a setting.

    Args:
        path: Where the PNG goes.
        summaries: The interventions; other metrics, and those with a level, are passed over.
        metric: The metric whose error to draw: its change in percent of the own, on an axis
            that is linear up to 10 % and logarithmic beyond.
        colours: By model.
        confidence: The share of intervals that hold the true change, for the caption.
        margin: A change, as a share of the own error, that is as good as none: a grey band.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    chosen = shown_changes(summaries, metric)
    if not chosen:
        return False
    labels = list(dict.fromkeys(item.setting.label for item in chosen))
    names = [name for name in _TITLES if any(item.intervention.name == name for item in chosen)]
    with written_figure(path, (WIDTH, 1.5 + ROW_HEIGHT * len(labels))) as figure:
        panels = rows_by_name(figure, labels, [_TITLES[name] for name in names])
        for panel, name in zip(panels, names, strict=True):
            if margin is not None:
                panel.axvspan(-100 * margin, 100 * margin, color="#dddddd", linewidth=0)
            panel.axvline(0, color="black", linewidth=1)
            for item in chosen:
                if item.intervention.name == name:
                    colour = colours[item.setting.model]
                    draw_row(panel, item.relative, labels.index(item.setting.label), colour)
        percent_axis(panels[0], [item.relative for item in chosen])
        figure.supxlabel(f"change of the {error_name(metric)}, % of its own", fontsize=10)
        band = "" if margin is None else f"; grey: within ± {100 * margin:g} %"
        figure.suptitle(
            "what the offset is exchanged for at test time, mean and "
            f"{percent(confidence)} interval over seeds\nright of zero is worse{band}",
            fontsize=10,
        )
    return True


def draw_robustness(
    path: Path,
    summaries: Sequence[InterventionSummary],
    *,
    metric: str,
    colours: Mapping[str, str],
    confidence: float,
) -> bool:
    """Draw the error against the Gaussian noise put on the code at test time.

    Args:
        path: Where the PNG goes.
        summaries: The interventions; all but ``noise`` in this metric are passed over.
        metric: The metric to draw.
        colours: By :func:`.intervals.swept_values`.
        confidence: The share of intervals that hold the true mean, for the caption.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    label = "standard deviation of the noise, a coordinate of the code"
    title = "Gaussian noise on top of the code at test time"
    title += f", mean and {percent(confidence)} interval over seeds"
    return _draw_levels(path, summaries, metric, "noise", colours, label, title)


def draw_offset_scales(
    path: Path,
    summaries: Sequence[InterventionSummary],
    *,
    metric: str,
    colours: Mapping[str, str],
    confidence: float,
) -> bool:
    """Draw the error against the factor that the offset is multiplied by at test time.

    Args:
        path: Where the PNG goes.
        summaries: The interventions; all but ``scaled`` in this metric are passed over.
        metric: The metric to draw.
        colours: By :func:`.intervals.swept_values`.
        confidence: The share of intervals that hold the true mean, for the caption.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    label = "the offset, times its own"
    title = "the offset scaled at test time (1: as it is, 0: none)"
    title += f", mean and {percent(confidence)} interval over seeds"
    return _draw_levels(path, summaries, metric, "scaled", colours, label, title)


def _draw_levels(
    path: Path,
    summaries: Sequence[InterventionSummary],
    metric: str,
    name: str,
    colours: Mapping[str, str],
    x_label: str,
    title: str,
) -> bool:
    curves = [
        [item for item in group if math.isfinite(item.estimate.mean)]
        for group in levels_of(summaries, metric, name)
    ]
    lines = [_line(curve) for curve in curves if curve]
    if not any(len(line.x) > 1 for line in lines):
        return False
    draw_model_panels(
        path,
        lines,
        colours=colours,
        title=title,
        x_label=x_label,
        y_label=f"{METRIC_NAMES[metric]}, test split",
        log=not higher_is_better(metric) and all((line.mean > 0).all() for line in lines),
        marker="o",
    )
    return True


def _line(curve: Sequence[InterventionSummary]) -> Line:
    mean, low, high = (
        np.array([getattr(item.estimate, end) for item in curve]) for end in ("mean", "low", "high")
    )
    levels = np.array([item.intervention.level or 0.0 for item in curve])
    return Line(curve[0].setting, levels, mean, low, high)
