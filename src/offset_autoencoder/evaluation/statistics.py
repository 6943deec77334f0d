"""Statistics over seeds: means with intervals, paired tests, equivalence; their numbers in words.

What is added to the code is compared by pairs, one per seed: two runs of one seed start from the
same weights and see the same batches, so their difference says more than the two apart.

An inconclusive comparison does not show two settings equal; a test of equivalence does: the
error must be shown to change by less than a margin that is stated beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.evaluation.metrics import metric_of

EXACT_UP_TO = 40
DRAWN = 99_999
_ROUNDING = 1e-10

Alternative = Literal["two-sided", "greater", "less"]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and its interval; NaN without values, all but the mean below two."""

    mean: float
    std: float  # with n − 1
    low: float
    high: float
    count: int

    @property
    def half(self) -> float:
        """Half the width of the interval: what stands after the ±."""
        return (self.high - self.low) / 2


def mean_and_interval(values: NDArray[Any] | Sequence[float], confidence: float) -> Estimate:
    """The mean of values (n,) and Student's interval for it: ``mean ± t(n − 1)·std / √n``.

    One value has a mean and no interval; none is invented.

    Raises:
        ValueError: where the values are not one-dimensional, or the confidence is outside (0, 1).
    """
    from scipy.special import stdtrit

    values = _flat(values)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    count = len(values)
    with np.errstate(invalid="ignore"):
        mean = float(np.mean(values)) if count else math.nan
        if count < 2:
            return Estimate(mean, math.nan, math.nan, math.nan, count)
        std = float(np.std(values, ddof=1))
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * std / math.sqrt(count)
    return Estimate(mean, std, mean - half, mean + half, count)


def differences(values: NDArray[Any], baseline: NDArray[Any]) -> NDArray[np.float64]:
    """``values − baseline``, pair by pair, float64 (n,).

    Raises:
        ValueError: where the two differ in length.
    """
    values, baseline = _pairs(values, baseline)
    with np.errstate(invalid="ignore"):
        return values - baseline


def sign_flip_p(paired: NDArray[Any], alternative: Alternative = "two-sided") -> float:
    """The p of the sign-flip test that the mean paired difference is zero.

    If what is compared made no difference, each pair could as well stand the other way round:
    all 2ⁿ patterns of signs are equally likely. p is the share of them whose mean is at least
    as far from zero as the one seen, or for a one-sided test at least as far on its side. It is
    exact up to 40 pairs: the patterns' sums are those of one half of the pairs plus those of
    the other, which a sorted search counts without listing all 2ⁿ. Above, it is
    ``(b + 1) / (m + 1)`` over m = 99,999 patterns drawn with a fixed seed, which is valid too.
    Sums that differ by rounding alone count as equal. NaN without pairs, or where a difference is
    not finite.
    """
    paired = _flat(paired)
    count = len(paired)
    if count == 0 or not np.all(np.isfinite(paired)):
        return math.nan
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
    """The smallest p that :func:`sign_flip_p` can give for so many pairs; NaN without pairs.

    Up to 40 pairs that is ``2 / 2ⁿ``, or half of it for a one-sided test.
    """
    if pairs <= 0:
        return math.nan
    if pairs > EXACT_UP_TO:
        return 1 / (DRAWN + 1)
    return 2.0 ** (1 - pairs if alternative == "two-sided" else -pairs)


def holm(p: NDArray[Any]) -> NDArray[np.float64]:
    """Holm's step-down correction of p (m,), float64, for several tests of one family.

    The i-th smallest of m values of p is multiplied by ``m − i + 1``, then made no smaller than
    any before it, and cut at 1. Rejecting what is at most α keeps the chance of even one false
    rejection in the family at α, whatever the tests have to do with each other. NaN is a test
    that was not made: it does not count, and stays NaN.
    """
    p = _flat(p)
    corrected = np.full(len(p), np.nan)
    made = np.flatnonzero(~np.isnan(p))
    ordered = made[np.argsort(p[made], kind="stable")]
    factors = np.arange(len(ordered), 0, -1)
    corrected[ordered] = np.minimum(np.maximum.accumulate(p[ordered] * factors), 1.0)
    return corrected


def _patterns_above(paired: NDArray[np.float64], threshold: float) -> int:
    """Number of the 2ⁿ patterns of signs whose sum is at least ``threshold``."""
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
    """Number of DRAWN random patterns whose sum, or its size, is at least ``threshold``."""
    rng = np.random.default_rng(0)
    above, left = 0, DRAWN
    while left:
        rows = min(left, 10_000)
        signs = rng.integers(0, 2, size=(rows, len(paired)), dtype=np.int8) * 2.0 - 1.0
        sums = signs @ paired
        above += int(np.sum((np.abs(sums) if both else sums) >= threshold))
        left -= rows
    return above


def _flat(values: NDArray[Any] | Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"needs one value per seed, (n,), got the shape {values.shape}")
    return values


def _pairs(
    values: NDArray[Any], baseline: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values, baseline = _flat(values), _flat(baseline)
    if len(values) != len(baseline):
        raise ValueError(f"pairs need as many of both, got {len(values)} and {len(baseline)}")
    return values, baseline


@dataclass(frozen=True)
class Equivalence:
    """The relative change of the error, and whether it is shown to be within the margin.

    It is shown by a corrected p of at most ``1 − confidence``, and the whole interval of the
    change within the margin.
    """

    change: Estimate  # as a share of the baseline's error: 0.02 is 2 % more error
    margin: float  # the largest change that counts as equal, as such a share
    p: float  # of the two one-sided sign-flip tests; NaN where there is no change to test
    p_corrected: float  # Holm-corrected within the family
    shown: bool


def relative_change(
    values: NDArray[Any], baseline: NDArray[Any], column: str
) -> NDArray[np.float64]:
    """The change of the error as a share of the baseline's, seed by seed, of a column's values.

    ``error / baseline error − 1``, float64 (n,): above zero is worse. Each metric is taken back
    to the error behind it (:attr:`.metrics.Metric.error_ratio`), so that one margin means the
    same in all of them: mse, psnr and explained_variance of the same reconstructions change
    alike. NaN where the baseline has no error or either is not finite.

    Raises:
        ValueError: where the two differ in length.
    """
    values, baseline = _pairs(values, baseline)
    with np.errstate(invalid="ignore", over="ignore"):
        change = metric_of(column).error_ratio(values, baseline) - 1
    change[~np.isfinite(change)] = np.nan
    return change


def equivalence_p(change: NDArray[Any], margin: float) -> float:
    """The p of the two one-sided tests that the mean change lies within ``±margin``.

    After Schuirmann (1987): one test that the mean is above ``−margin``, one that it is below
    ``margin``, and the larger p of the two. Both are exact sign-flip tests of the change less
    the margin; so they take the changes to scatter alike to either side of their mean. p is
    ``2⁻ⁿ`` at the least; NaN without changes, or where one is not finite.

    Raises:
        ValueError: where the margin is not above zero.
    """
    change = _checked(change, margin)
    return max(sign_flip_p(change + margin, "greater"), sign_flip_p(change - margin, "less"))


def beyond_margin_p(
    change: NDArray[Any], margin: float, alternative: Literal["greater", "less"]
) -> float:
    """The p of the one-sided test that the mean change is above ``margin``, or below ``−margin``.

    Raises:
        ValueError: where the margin is not above zero.
    """
    beyond = margin if alternative == "greater" else -margin
    return sign_flip_p(_checked(change, margin) - beyond, alternative)


def equivalences(
    changes: Sequence[NDArray[Any]], margin: float, confidence: float
) -> list[Equivalence]:
    """Test each change of a family, (n,) over the seeds, against the margin.

    Raises:
        ValueError: where the margin is not above zero, or the confidence outside (0, 1).
    """
    p = np.array([equivalence_p(change, margin) for change in changes], dtype=np.float64)
    tested = []
    for change, one, corrected in zip(changes, p.tolist(), holm(p).tolist(), strict=True):
        estimate = mean_and_interval(change, confidence)
        within = -margin < estimate.low and estimate.high < margin
        shown = within and corrected <= 1 - confidence
        tested.append(Equivalence(estimate, margin, one, corrected, shown))
    return tested


def _checked(change: NDArray[Any], margin: float) -> NDArray[np.float64]:
    if not margin > 0:
        raise ValueError(f"margin must be above zero, got {margin}")
    return np.asarray(change, dtype=np.float64)


def number(value: float) -> str:
    """A metric's value or difference to three digits."""
    return f"{value:.3g}"


def probability(p: float) -> str:
    """A p to two digits."""
    return f"{p:.2g}"


def percent(share: float) -> str:
    """A confidence, a margin or a power as it is written: ``95 %``."""
    return f"{100 * share:g} %"


def share_percent(share: float) -> str:
    """A measured share: ``4.1 %``, ``84 %``."""
    return f"{_signed(share).removeprefix('+')} %"


def change_percent(change: Estimate) -> str:
    """A relative change with its interval: ``+0.3 % [-0.2, +0.8]``."""
    mean = f"{_signed(change.mean)} %"
    if not math.isfinite(change.half):
        return mean
    return f"{mean} [{_signed(change.low)}, {_signed(change.high)}]"


def _signed(share: float) -> str:
    """A share as a signed percentage: one decimal below ten."""
    return f"{100 * share:+z.{1 if abs(share) < 0.1 else 0}f}"
