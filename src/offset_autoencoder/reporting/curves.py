"""Learning curves over seeds: how the validation loss of each setting went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from offset_autoencoder.evaluation.summary import Curve
from offset_autoencoder.reporting.intervals import swept_values

CURVE_COLUMNS = ("setting", "model", "values", "epoch", "mean", "low", "high", "runs", "colour")


def curve_rows(curves: Sequence[Curve], colours: Mapping[str, str]) -> list[dict[str, Any]]:
    """The curves as rows of ``reports/plots/learning_curves.csv``.

    Args:
        curves: The curves.
        colours: By :func:`.intervals.swept_values`.
    """
    return [
        {
            "setting": curve.setting.label,
            "model": curve.setting.model,
            "values": swept_values(curve.setting),
            "epoch": int(curve.epochs[point]),
            "mean": float(curve.mean[point]),
            "low": float(curve.low[point]),
            "high": float(curve.high[point]),
            "runs": curve.runs,
            "colour": colours[swept_values(curve.setting)],
        }
        for curve in curves
        for point in range(len(curve.epochs))
    ]
