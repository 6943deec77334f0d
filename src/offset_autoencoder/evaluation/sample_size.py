"""Sample size: the seeds that an answer needs, by the power of the paired t tests.

A plan, not a finding: it takes the mean and the spread that were seen for the true ones, and
with few seeds both are known roughly. The t tests stand for the sign-flip tests that are made;
these need about as many seeds, one or two more where seeds are few. Never fewer are named than
those with which a sign-flip test can reach the level at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.evaluation import statistics
from offset_autoencoder.evaluation.statistics import Alternative, Equivalence, Estimate

MOST_SEEDS = 100_000
_NODES = 128
_TAIL = 1e-12
_FAR = 9.0  # standard deviations beyond which no normal value is ever seen


class SeedsNeeded(NamedTuple):
    """Number of seeds that an answer needs, and the answer; None if unknown or above 100,000."""

    seeds: int | None
    finds: Literal["difference", "equivalence"] | None


def seeds_needed(
    difference: Estimate, equivalence: Equivalence, *, family: int, confidence: float, power: float
) -> SeedsNeeded:
    """The fewest seeds that find a difference from the baseline or show the two equivalent.

    Both as if the difference and the spread seen were the true ones; neither is known from less
    than two seeds. The level is ``(1 − confidence) / family``, the strictest step of Holm's
    correction over a family of so many. Equivalence also needs its interval within the margin,
    so its level is at most half of ``1 − confidence``.
    """
    level = (1 - confidence) / max(family, 1)
    different = seeds_for_difference(difference.mean, difference.std, level=level, power=power)
    level = min(level, (1 - confidence) / 2)
    change, margin = equivalence.change, equivalence.margin
    equivalent = seeds_for_equivalence(change.mean, change.std, margin, level=level, power=power)
    if equivalent is not None and (different is None or equivalent < different):
        return SeedsNeeded(equivalent, "equivalence")
    return SeedsNeeded(different, None if different is None else "difference")


def seeds_for_difference(mean: float, std: float, *, level: float, power: float) -> int | None:
    """The fewest pairs with which the two-sided paired t test finds a difference.

    Mean and standard deviation are the true ones. None where one of them is not known, or it
    takes more than 100,000.

    Raises:
        ValueError: where level or power is outside (0, 1).
    """
    _check_shares(level, power)
    if not (math.isfinite(mean) and math.isfinite(std)) or mean == 0:
        return None

    def enough(seeds: int) -> bool:
        return std == 0 or difference_power(abs(mean) / std, seeds, level) >= power

    return _fewest(enough, level, "two-sided")


def seeds_for_equivalence(
    mean: float, std: float, margin: float, *, level: float, power: float
) -> int | None:
    """The fewest pairs with which two one-sided paired t tests show equivalence.

    Mean and standard deviation of the changes are the true ones; the level is that of each test,
    in (0, 0.5). None where mean or spread is not known, the mean is not within the margin, or it
    takes more than 100,000.

    Raises:
        ValueError: where level or power is outside (0, 1).
    """
    _check_shares(level, power)
    if not (math.isfinite(mean) and math.isfinite(std)) or abs(mean) >= margin:
        return None

    def enough(seeds: int) -> bool:
        return std == 0 or equivalence_power(mean, std, margin, seeds, level) >= power

    return _fewest(enough, level, "greater")


def difference_power(effect: float, seeds: int, level: float) -> float:
    """Power of the two-sided paired t test: two tails of the noncentral t distribution.

    The effect is the true mean difference over its standard deviation; at least 2 seeds.
    """
    from scipy.special import ndtr, stdtrit

    shift = effect * math.sqrt(seeds)
    critical = float(stdtrit(seeds - 1, 1 - level / 2))
    return _over_spread(
        lambda share: ndtr(shift - critical * share) + ndtr(-shift - critical * share),
        seeds - 1,
        highest=(shift + _FAR) / critical,
    )


def equivalence_power(mean: float, std: float, margin: float, seeds: int, level: float) -> float:
    """Power of two one-sided paired t tests, each at ``level``, against ``±margin``.

    Mean and standard deviation (above zero) of the changes are the true ones; at least 2 seeds.
    """
    from scipy.special import ndtr, stdtrit

    critical = float(stdtrit(seeds - 1, 1 - level))
    error = std / math.sqrt(seeds)
    reach, shift = margin / error, mean / error
    return _over_spread(
        lambda share: (
            ndtr(reach - critical * share - shift) - ndtr(critical * share - reach - shift)
        ),
        seeds - 1,
        highest=reach / critical,
    )


def _over_spread(
    chance: Callable[[NDArray[np.float64]], NDArray[np.float64]], freedom: int, highest: float
) -> float:
    """The chance that a t test rejects, over all standard deviations that a sample may show.

    Given that standard deviation as a share of the true one, a test rejects where the sample's
    mean falls into known intervals, which has a normal probability: ``chance``, none above the
    share ``highest``. Its integral over the chi distribution is the noncentral t distribution for
    one interval's end, and Owen's Q for two.
    """
    from scipy.integrate import fixed_quad
    from scipy.special import chdtri, gammaln

    low, high = (math.sqrt(float(chdtri(freedom, p)) / freedom) for p in (1 - _TAIL, _TAIL))
    high = min(high, highest)
    if high <= low:
        return 0.0

    def density(share: NDArray[np.float64]) -> NDArray[np.float64]:
        logarithm = math.log(2) + freedom / 2 * math.log(freedom / 2) - gammaln(freedom / 2)
        return np.exp(logarithm + (freedom - 1) * np.log(share) - freedom * share**2 / 2)

    integral, _ = fixed_quad(lambda share: density(share) * chance(share), low, high, n=_NODES)
    return float(integral)


def _fewest(enough: Callable[[int], bool], level: float, alternative: Alternative) -> int | None:
    """The smallest number that is enough, as are all above it, and can reach the level at all."""
    reach = (
        n
        for n in range(2, statistics.EXACT_UP_TO + 1)
        if statistics.smallest_p(n, alternative) <= level
    )
    if (least := next(reach, None)) is None:
        return None
    low, high = least - 1, least
    while not enough(high):
        if high >= MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _check_shares(level: float, power: float) -> None:
    for name, share in (("level", level), ("power", power)):
        if not 0 < share < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {share}")
