"""Learning curves over seeds: how the validation loss of each setting went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.statistics import mean_and_interval
from offset_autoencoder.reporting.intervals import swept_values

MOST_POINTS = 100
CURVE_COLUMNS = ("setting", "model", "values", "epoch", "mean", "low", "high", "runs", "colour")


@dataclass(frozen=True)
class Curve:
    """The best validation loss so far, over the runs of a setting.

    Attributes:
        setting: Which setting.
        epochs: The epochs shown, from 1, int64 (points,).
        mean: Mean over the runs, float64 (points,).
        low: Lower end of its interval, float64 (points,); NaN with a single run.
        high: Upper end.
        runs: How many runs.
    """

    setting: Setting
    epochs: NDArray[np.int64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    runs: int


def best_so_far(val_loss: NDArray[Any], epochs: int) -> NDArray[np.float64]:
    """The validation loss of the weights that a run would keep, were it to end at each epoch.

    ``best(t) = min over s ≤ min(t, T) of val_loss(s)`` for a run of T epochs: a run that stopped
    keeps its best weights, so it keeps its best loss while others go on. Averaging only the runs
    still in training would make the mean jump whenever one stops.

    Args:
        val_loss: The validation loss of each epoch, (T,).
        epochs: How many epochs to give.

    Returns:
        float64 (epochs,).

    Raises:
        ValueError: where there is no epoch.
    """
    val_loss = np.asarray(val_loss, dtype=np.float64)
    if val_loss.ndim != 1 or not len(val_loss):
        raise ValueError(f"needs one value an epoch, (epochs,), got the shape {val_loss.shape}")
    best = np.fmin.accumulate(val_loss)[:epochs]
    return np.concatenate([best, np.full(epochs - len(best), best[-1])])


def learning_curves(
    histories: Iterable[tuple[Setting, Sequence[NDArray[Any]]]],
    *,
    confidence: float,
    most_points: int = MOST_POINTS,
) -> list[Curve]:
    """The curve of each setting, up to the last epoch that a run of it reached.

    Args:
        histories: For each setting the validation losses of its finished runs, each (epochs,)
            from the first epoch on. A setting without runs has no curve.
        confidence: The share of intervals that hold the true mean.
        most_points: The most epochs that a curve shows, the first and the last among them,
            denser towards the first.

    Raises:
        ValueError: where a run has no epoch.
    """
    curves = []
    for setting, losses in histories:
        if not losses:
            continue
        last = max(len(loss) for loss in losses)
        best = np.stack([best_so_far(loss, last) for loss in losses])
        epochs = shown_epochs(last, most_points)
        estimates = [mean_and_interval(best[:, epoch - 1], confidence) for epoch in epochs]
        curves.append(
            Curve(
                setting=setting,
                epochs=epochs,
                mean=np.array([estimate.mean for estimate in estimates]),
                low=np.array([estimate.low for estimate in estimates]),
                high=np.array([estimate.high for estimate in estimates]),
                runs=len(losses),
            )
        )
    return curves


def shown_epochs(last: int, most_points: int = MOST_POINTS) -> NDArray[np.int64]:
    """The epochs of a curve, ascending, from 1 to ``last``; all of them where they are few.

    Half are equally far apart, half at equal ratios, since a curve bends most at its start.

    Args:
        last: The last epoch.
        most_points: The most epochs to give, at least 2.
    """
    if last <= most_points:
        return np.arange(1, last + 1)
    even = np.linspace(1, last, most_points // 2)
    ratio = np.geomspace(1, last, most_points - most_points // 2)
    return np.unique(np.rint(np.concatenate([even, ratio])).astype(np.int64))


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
