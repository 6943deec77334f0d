"""Whether two settings are as good as equal: the change of the error, tested against a margin.

That two settings are not told apart does not show them equal. This does: the error must be
shown to change by less than a margin that is stated beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.evaluation.metrics import split_condition
from offset_autoencoder.evaluation.statistics import (
    Estimate,
    holm,
    mean_and_interval,
    sign_flip_p,
)


@dataclass(frozen=True)
class Equivalence:
    """The relative change of the error, and whether it is shown to be within the margin.

    Attributes:
        change: The change as a share of the baseline's error: 0.02 is 2 % more error.
        margin: The largest change that counts as equal, as such a share.
        p: p of the two one-sided sign-flip tests; NaN where there is no change to test.
        p_corrected: The same, Holm-corrected within the family.
        shown: Whether the error is shown to change by less than the margin: a corrected p of
            at most ``1 − confidence``, and the whole interval of the change within the margin.
    """

    change: Estimate
    margin: float
    p: float
    p_corrected: float
    shown: bool


def relative_change(
    values: NDArray[Any], baseline: NDArray[Any], column: str
) -> NDArray[np.float64]:
    """The change of the error as a share of the baseline's, seed by seed.

    Each metric is taken back to the error behind it, so that one margin means the same in all
    of them: mse, mae and cross-entropy are errors themselves, explained variance leaves
    ``1 − share`` unexplained, and a PSNR of d decibels is a mean squared error of
    ``10^(−d / 10)`` in units of the squared data range. mse, psnr and explained_variance of the
    same reconstructions thus change alike.

    Args:
        values: The metric, one value a seed, (n,).
        baseline: The baseline's at the same seeds, (n,).
        column: The metric's column in ``runs.csv``.

    Returns:
        ``error / baseline error − 1``, float64 (n,): above zero is worse, for every metric. NaN
        where the baseline has no error or either is not finite.

    Raises:
        ValueError: where the two differ in shape.
    """
    values, baseline = np.asarray(values, np.float64), np.asarray(baseline, np.float64)
    if values.shape != baseline.shape:
        raise ValueError(f"pairs need as many of both, got {values.shape} and {baseline.shape}")
    metric, _ = split_condition(column)
    change = np.full(values.shape, np.nan)
    with np.errstate(invalid="ignore", over="ignore"):
        if metric == "psnr":
            change = 10 ** ((baseline - values) / 10) - 1
        else:
            if metric == "explained_variance":
                values, baseline = 1 - values, 1 - baseline
            np.divide(values, baseline, out=change, where=baseline > 0)
            change -= 1
    change[~np.isfinite(change)] = np.nan
    return change


def equivalence_p(change: NDArray[Any], margin: float) -> float:
    """The p of the two one-sided tests that the mean change lies within ``±margin``.

    After Schuirmann (1987): one test that the mean is above ``−margin``, one that it is below
    ``margin``, and the larger p of the two. Both are exact sign-flip tests of the change less
    the margin; so they take the changes to scatter alike to either side of their mean.

    Args:
        change: The relative changes, one a seed, (n,).
        margin: The largest change that counts as equal, above zero.

    Returns:
        p in (0, 1], ``2⁻ⁿ`` at the least; NaN without changes, or where one is not finite.

    Raises:
        ValueError: where the margin is not above zero.
    """
    change = _checked(change, margin)
    return max(sign_flip_p(change + margin, "greater"), sign_flip_p(change - margin, "less"))


def beyond_margin_p(
    change: NDArray[Any], margin: float, alternative: Literal["greater", "less"]
) -> float:
    """The p of the one-sided sign-flip test that the mean change is beyond the margin.

    Args:
        change: As in :func:`equivalence_p`.
        margin: As in :func:`equivalence_p`.
        alternative: On which side: above ``margin``, or below ``−margin``.

    Raises:
        ValueError: where the margin is not above zero.
    """
    change = _checked(change, margin)
    return sign_flip_p(
        change - margin if alternative == "greater" else change + margin, alternative
    )


def equivalences(
    changes: Sequence[NDArray[Any]], margin: float, confidence: float
) -> list[Equivalence]:
    """Test each change of a family against the margin.

    Args:
        changes: For each comparison of the family its relative changes, one a seed, (n,).
        margin: The largest change that counts as equal, above zero.
        confidence: The share of intervals that hold the true change.

    Returns:
        One a comparison, in order.

    Raises:
        ValueError: where the margin is not above zero, or the confidence outside (0, 1).
    """
    p = np.array([equivalence_p(change, margin) for change in changes], dtype=np.float64)
    corrected = holm(p)
    tested = []
    for index, change in enumerate(changes):
        estimate = mean_and_interval(change, confidence)
        within = -margin < estimate.low and estimate.high < margin
        shown = bool(within and corrected[index] <= 1 - confidence)
        tested.append(
            Equivalence(estimate, margin, float(p[index]), float(corrected[index]), shown)
        )
    return tested


def _checked(change: NDArray[Any], margin: float) -> NDArray[np.float64]:
    if not margin > 0:
        raise ValueError(f"margin must be above zero, got {margin}")
    return np.asarray(change, dtype=np.float64)
