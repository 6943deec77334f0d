"""Numbers over seeds: means with intervals, paired differences, exact tests, corrections.

What is added to the code is compared by pairs, one a seed: two runs of one seed start from the
same weights and see the same batches, so their difference says more than the two apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

EXACT_UP_TO = 40
DRAWN = 99_999
_ROUNDING = 1e-10

Alternative = Literal["two-sided", "greater", "less"]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and how well it is known.

    Attributes:
        mean: The mean; NaN without values.
        std: The standard deviation with ``n − 1``; NaN below two values.
        low: Lower end of the interval for the mean; NaN below two values.
        high: Upper end.
        count: How many values.
    """

    mean: float
    std: float
    low: float
    high: float
    count: int

    @property
    def half(self) -> float:
        """Half the width of the interval: what stands after the ±."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Wins:
    """How many pairs each side takes."""

    wins: int
    ties: int
    losses: int


def mean_and_interval(values: NDArray[Any], confidence: float) -> Estimate:
    """The mean and Student's interval for it: ``mean ± t(n − 1)·std / √n``.

    One value has a mean and no interval; none is invented.

    Args:
        values: One value a seed, (n,).
        confidence: The share of such intervals that hold the true mean, in (0, 1).

    Raises:
        ValueError: where the values are not one-dimensional, or the confidence is outside (0, 1).
    """
    from scipy.special import stdtrit

    values = _flat(values)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    count = len(values)
    nan = float("nan")
    if count == 0:
        return Estimate(nan, nan, nan, nan, 0)
    with np.errstate(invalid="ignore"):
        mean = float(np.mean(values))
        if count == 1:
            return Estimate(mean, nan, nan, nan, 1)
        std = float(np.std(values, ddof=1))
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * std / math.sqrt(count)
    return Estimate(mean, std, mean - half, mean + half, count)


def differences(values: NDArray[Any], baseline: NDArray[Any]) -> NDArray[np.float64]:
    """``values − baseline``, pair by pair, float64 (n,).

    Raises:
        ValueError: where the two differ in length.
    """
    values, baseline = _flat(values), _flat(baseline)
    if len(values) != len(baseline):
        raise ValueError(f"pairs need as many of both, got {len(values)} and {len(baseline)}")
    with np.errstate(invalid="ignore"):
        difference: NDArray[np.float64] = values - baseline
    return difference


def sign_flip_p(paired: NDArray[Any], alternative: Alternative = "two-sided") -> float:
    """The p of the sign-flip test that the mean paired difference is zero.

    If what is compared made no difference, each pair could as well stand the other way round:
    all 2ⁿ patterns of signs are equally likely. p is the share of them whose mean is at least
    as far from zero as the one seen, or for a one-sided test at least as far on its side. It is
    exact up to 40 pairs: the patterns' sums are those of one half of the pairs plus those of
    the other, which a sorted search counts without listing all 2ⁿ. Above, it is
    ``(b + 1) / (m + 1)`` over m = 99,999 patterns drawn with a fixed seed, which is valid too.
    Sums that differ by rounding alone count as equal.

    Args:
        paired: The paired differences, (n,).
        alternative: What the mean is if it is not zero: anything else, above, or below.

    Returns:
        p in (0, 1]; NaN without pairs, or where a difference is not finite.
    """
    paired = _flat(paired)
    count = len(paired)
    if count == 0 or not np.all(np.isfinite(paired)):
        return float("nan")
    scale = float(np.max(np.abs(paired)))
    if scale == 0:
        return 1.0
    # Scaled, so that neither tiny nor huge differences leave the range of a float.
    paired = paired / scale
    total = float(np.sum(paired))
    seen = {"two-sided": abs(total), "greater": total, "less": -total}[alternative]
    threshold = seen - _ROUNDING * float(np.sum(np.abs(paired)))
    sides = 2 if alternative == "two-sided" else 1
    if sides == 2 and threshold <= 0:
        return 1.0
    # The sums lie symmetrically about zero: those below are as many as those above.
    if count <= EXACT_UP_TO:
        return float(sides * _patterns_above(paired, threshold) / 2**count)
    return (_draws_above(paired, threshold, both=sides == 2) + 1) / (DRAWN + 1)


def smallest_p(pairs: int, alternative: Alternative = "two-sided") -> float:
    """The smallest p that :func:`sign_flip_p` can give for so many pairs.

    Up to 40 pairs that is ``2 / 2ⁿ``, or half of it for a one-sided test.

    Returns:
        NaN without pairs.
    """
    if pairs <= 0:
        return float("nan")
    if pairs > EXACT_UP_TO:
        return 1 / (DRAWN + 1)
    return 2.0 ** (1 - pairs if alternative == "two-sided" else -pairs)


def holm(p: NDArray[Any]) -> NDArray[np.float64]:
    """Holm's step-down correction for several tests of one family.

    The i-th smallest of m values of p is multiplied by ``m − i + 1``, then made no smaller than
    any before it, and cut at 1. Rejecting what is at most α keeps the chance of even one false
    rejection in the family at α, whatever the tests have to do with each other.

    Args:
        p: The p of each test, (m,); NaN is a test that was not made and does not count.

    Returns:
        The corrected p, float64 (m,), NaN where p is.
    """
    p = _flat(p)
    corrected = np.full(len(p), np.nan)
    made = np.flatnonzero(~np.isnan(p))
    ordered = made[np.argsort(p[made], kind="stable")]
    factors = np.arange(len(ordered), 0, -1)
    corrected[ordered] = np.minimum(np.maximum.accumulate(p[ordered] * factors), 1.0)
    return corrected


def count_wins(paired: NDArray[Any], *, higher_is_better: bool) -> Wins:
    """At how many seeds the setting is better than the baseline, ties apart.

    Args:
        paired: The paired differences, setting − baseline, (n,). One that is not a number is
            neither win nor tie nor loss.
        higher_is_better: Whether larger values of the metric are better.
    """
    gain = _flat(paired) if higher_is_better else -_flat(paired)
    return Wins(int(np.sum(gain > 0)), int(np.sum(gain == 0)), int(np.sum(gain < 0)))


def _patterns_above(paired: NDArray[np.float64], threshold: float) -> int:
    """How many of the 2ⁿ patterns of signs have a sum of at least ``threshold``."""
    middle = len(paired) // 2
    # A search for sorted values walks through memory once instead of jumping about in it.
    first, second = (np.sort(_all_sums(half)) for half in (paired[:middle], paired[middle:]))
    above = len(second) - np.searchsorted(second, threshold - first, side="left")
    return int(np.sum(above))


def _all_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sums of the values under every pattern of signs, (2ⁿ,)."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def _draws_above(paired: NDArray[np.float64], threshold: float, *, both: bool) -> int:
    rng = np.random.default_rng(0)
    above, left = 0, DRAWN
    while left:
        rows = min(left, 10_000)
        signs = rng.integers(0, 2, size=(rows, len(paired)), dtype=np.int8) * 2.0 - 1.0
        sums = signs @ paired
        above += int(np.sum((np.abs(sums) if both else sums) >= threshold))
        left -= rows
    return above


def _flat(values: NDArray[Any]) -> NDArray[np.float64]:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"needs one value a seed, (n,), got the shape {values.shape}")
    return values
