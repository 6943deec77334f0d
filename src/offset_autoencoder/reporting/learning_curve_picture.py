"""The picture of the learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from offset_autoencoder.evaluation.summary import Curve
from offset_autoencoder.evaluation.verdict_wording import percent
from offset_autoencoder.reporting.model_panels import Line, draw_model_panels


def draw_learning_curves(
    path: Path, curves: Sequence[Curve], *, colours: Mapping[str, str], confidence: float
) -> bool:
    """Draw the best validation loss so far, one panel a model, one line a setting.

    The first tenth of the longest training is left out: it would flatten all that follows.

    Args:
        path: Where the PNG goes.
        curves: The curves.
        colours: By :func:`.intervals.swept_values`.
        confidence: The share of intervals that hold the true mean, for the caption.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    if not curves:
        return False
    last = max(int(curve.epochs[-1]) for curve in curves)
    first = 1 if last <= 20 else math.ceil(last / 10)
    lines = []
    for curve in curves:
        shown = curve.epochs >= first
        values = (curve.epochs[shown], curve.mean[shown], curve.low[shown], curve.high[shown])
        lines.append(Line(curve.setting, *values))
    draw_model_panels(
        path,
        lines,
        colours=colours,
        title="best validation loss so far (a run that stopped keeps its best), "
        f"mean and {percent(confidence)} interval over seeds",
        x_label="epoch" if first == 1 else f"epoch, from {first} on",
        y_label="validation loss",
    )
    return True
