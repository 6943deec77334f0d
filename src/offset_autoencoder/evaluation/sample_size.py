"""Sample size: the seeds that an answer needs, by the power of paired t tests and intervals.

A plan, not a finding: it takes the mean and the spread that were seen for those of all seeds on
these samples, and with few seeds both are known roughly, so it comes with an interval. Where splits
vary, further seeds split the same samples: their mean then scatters by ``std/√n`` about that of
all seeds, while the interval, which is about other samples, keeps the part of the overlap. The t
tests stand for the sign-flip tests that are made; these need about as many seeds, one or two more
where seeds are few.
Never fewer are named than those with which a sign-flip test can reach the level at all.

The level of a test among others is Bonferroni's, a share of the family's, since how the tests
will go together is not known. Max-t asks for less where they do, as comparisons with one baseline,
and tests of equivalence even more, which have the margin in common; so it is a number at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.evaluation import statistics
from offset_autoencoder.evaluation.sign_flips import Alternative, fewest_pairs, smallest_p
from offset_autoencoder.evaluation.statistics import Equivalence, Estimate, share_percent

MOST_SEEDS = 100_000
_NODES = 128
_TAIL = 1e-12
_CERTAIN = 1e4  # standard deviations: a mean so far from zero needs no more seeds
_FAR = 9.0  # standard deviations beyond which no normal value is ever seen


class Rule(NamedTuple):
    """Requirements of a finding: levels, power and overlap.

    That is a p of at most ``level``, of a two-sided test for a difference and of either
    one-sided test for equivalence, and the whole interval on the right side.
    """

    level: float
    confidence: float  # of the interval; 1 − confidence is the level of the family
    power: float
    overlap: float = 0.0  # of splits, as in mean_and_interval

    def critical(self, seeds: int, tail: float) -> float:
        """The least distance of the mean that is a finding, in units of ``std/√seeds``.

        ``tail`` is the level of a one-sided test; the test itself knows of no overlap.
        """
        from scipy.special import stdtrit

        test, interval = stdtrit(seeds - 1, [1 - tail, (1 + self.confidence) / 2])
        return max(float(test), float(interval) * math.sqrt(1 + seeds * self.overlap))

    def floor(self, std: float) -> float:
        """Half the interval that is left with any number of seeds: that of the overlap alone."""
        from scipy.special import ndtri

        return float(ndtri((1 + self.confidence) / 2)) * std * math.sqrt(self.overlap)


class SeedsNeeded(NamedTuple):
    """Number of seeds that an answer needs, its interval, and the answer.

    None where unknown or above 100,000; ``high`` is None too where no number of seeds is enough
    at the near end of the interval. ``floor`` is half the interval of the change of the error, a
    share, that is left with any number of seeds; NaN where unknown.
    """

    seeds: int | None
    finds: Literal["difference", "equivalence"] | None
    low: int | None = None
    high: int | None = None
    floor: float = math.nan

    @property
    def none_settles(self) -> bool:
        """True where mean and spread are known, and no number of seeds would settle it."""
        return self.seeds is None and math.isfinite(self.floor)

    @property
    def span(self) -> str:
        """The interval in words: ``9 to 85``, or ``at least 9``."""
        return f"at least {self.low}" if self.high is None else f"{self.low} to {self.high}"


def out_of_reach(floor: float, what: str) -> str:
    """Clause on what no number of seeds settles, with the least half of its interval, a share."""
    if not floor:
        return f"if it is as seen, more than {MOST_SEEDS:,} seeds would be needed"
    return (
        "if mean and spread are as seen, no number of seeds would settle it: splits of the same "
        f"samples leave the interval of {what} at ± {share_percent(floor)} or more"
    )


def seeds_needed(
    difference: Estimate, equivalence: Equivalence, *, family: int, rule: Rule
) -> SeedsNeeded:
    """The fewest seeds that find a difference from the baseline or show the two equivalent.

    Both as if the difference and the spread seen were the true ones; neither is known from less
    than two seeds. The rule's level is that of a whole family of so many. The interval is that of
    the mean's distance from zero or the nearer margin, in standard deviations, by the noncentral t
    distribution (Steiger & Fouladi, Noncentrality interval estimation, 1997).
    """
    rule = rule._replace(level=rule.level / max(family, 1))
    needed = _needed(difference, equivalence, rule)
    return needed._replace(floor=rule.floor(equivalence.change.std))


def _needed(difference: Estimate, equivalence: Equivalence, rule: Rule) -> SeedsNeeded:
    different = seeds_for_difference(difference.mean, difference.std, rule)
    change, margin = equivalence.change, equivalence.margin
    equivalent = seeds_for_equivalence(change.mean, change.std, margin, rule)
    if equivalent is not None and (different is None or equivalent < different):
        distance = margin - abs(change.mean)

        def equivalent_at(effect: float) -> int | None:
            return seeds_for_equivalence(change.mean, distance / effect, margin, rule)

        span = _span(distance, change, rule, equivalent_at)
        return SeedsNeeded(equivalent, "equivalence", *(span or (equivalent, equivalent)))
    if different is None:
        return SeedsNeeded(None, None)

    def different_at(effect: float) -> int | None:
        return seeds_for_difference(effect, 1.0, rule)

    span = _span(abs(difference.mean), difference, rule, different_at)
    return SeedsNeeded(different, "difference", *(span or (different, different)))


def _span(
    distance: float, seen: Estimate, rule: Rule, seeds_at: Callable[[float], int | None]
) -> tuple[int | None, int | None] | None:
    """Seeds at the far and at the near end of the interval of an effect; None without spread."""
    from scipy.special import nctdtrinc

    # As good as no spread: the interval of the ratio would be narrow, and takes SciPy minutes.
    if not abs(distance) < _CERTAIN * seen.std:
        return None
    root = math.sqrt(seen.count)
    ends = [(1 - rule.confidence) / 2, (1 + rule.confidence) / 2]
    far, near = nctdtrinc(seen.count - 1, ends, root * distance / seen.std) / root
    return seeds_at(float(far)), seeds_at(float(near)) if near > 0 else None


def outlook(seeds: int, tests: int, rule: Rule) -> str:
    """Sentence on what so many seeds can show, before anything is trained.

    ``tests`` are the settings that are compared with one baseline; the rule's level is that of all
    of them together. The difference is in its own standard deviations from seed to seed.
    """
    from scipy.optimize import brentq

    said = "1 seed" if seeds == 1 else f"{seeds} seeds"
    at = f"at {statistics.percent(rule.confidence)} confidence"
    if not smallest_p(seeds) <= rule.level:
        two, one = fewest_pairs(rule.level), fewest_pairs(rule.level, "greater")
        mend = f"{two} are the fewest that can show one, and {one} for a verdict on an offset"
        return f"{said}: no difference can be significant {at}; {mend if two else 'nor with more'}"
    each = rule._replace(level=rule.level / max(tests, 1))

    def missing(effect: float) -> float:
        return difference_power(effect, seeds, each) - rule.power

    effect = float(brentq(missing, 1e-3, _CERTAIN, rtol=1e-6))
    among = f"among {tests} comparisons with a baseline" if tests > 1 else "against a baseline"
    return (
        f"{said}: {among}, a difference of {effect:.2g} times its standard deviation from seed to "
        f"seed is found significant {at} with {statistics.percent(rule.power)} power"
    )


def seeds_for_difference(
    mean: float, std: float, rule: Rule, alternative: Alternative = "two-sided"
) -> int | None:
    """The fewest pairs with which the paired t test finds a difference, on the side that it is on.

    Mean and standard deviation are the true ones. None where one of them is not known, or it
    takes more than 100,000.

    Raises:
        ValueError: where a share of the rule is outside (0, 1).
    """
    _check(rule)
    if not (math.isfinite(mean) and math.isfinite(std)) or mean == 0:
        return None

    def enough(seeds: int) -> bool:
        return std == 0 or difference_power(abs(mean) / std, seeds, two_sided) >= rule.power

    two_sided = rule if alternative == "two-sided" else rule._replace(level=2 * rule.level)
    return _fewest(enough, rule, alternative, abs(mean) / std if std else math.inf)


def seeds_for_equivalence(mean: float, std: float, margin: float, rule: Rule) -> int | None:
    """The fewest pairs with which two one-sided paired t tests show equivalence.

    Mean and standard deviation of the changes are the true ones; the level is that of each test.
    None where mean or spread is not known, the mean is not within the margin, or it takes more
    than 100,000.

    Raises:
        ValueError: where a share of the rule is outside (0, 1).
    """
    _check(rule)
    if not (math.isfinite(mean) and math.isfinite(std)) or abs(mean) >= margin:
        return None

    def enough(seeds: int) -> bool:
        return std == 0 or equivalence_power(mean, std, margin, seeds, rule) >= rule.power

    return _fewest(enough, rule, "greater", (margin - abs(mean)) / std if std else math.inf)


def difference_power(effect: float, seeds: int, rule: Rule) -> float:
    """Power of the two-sided paired t test: two tails of the noncentral t distribution.

    The effect is the true mean difference over its standard deviation; at least 2 seeds.
    """
    from scipy.special import ndtr

    shift = effect * math.sqrt(seeds)
    critical = rule.critical(seeds, rule.level / 2)
    return _over_spread(
        lambda share: ndtr(shift - critical * share) + ndtr(-shift - critical * share),
        seeds - 1,
        highest=(shift + _FAR) / critical,
    )


def equivalence_power(mean: float, std: float, margin: float, seeds: int, rule: Rule) -> float:
    """Power of two one-sided paired t tests, each at the rule's level, against ``±margin``.

    Mean and standard deviation (above zero) of the changes are the true ones; at least 2 seeds.
    """
    from scipy.special import ndtr

    critical = rule.critical(seeds, rule.level)
    reach, shift = (math.sqrt(seeds) * size / std for size in (margin, mean))
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


def _fewest(
    enough: Callable[[int], bool], rule: Rule, alternative: Alternative, effect: float
) -> int | None:
    """The smallest number that is enough, as are all above it, and can reach the level at all."""
    from scipy.special import ndtri

    reached = fewest_pairs(1 - rule.confidence, alternative) or MOST_SEEDS
    low, high = max(reached, 2) - 1, MOST_SEEDS
    if not enough(high):
        return None
    # A guess by the normal distribution spares most steps.
    guess = (float(ndtri(1 - rule.level / 2) + ndtri(rule.power)) / effect) ** 2
    for place in (int(guess / 2), int(guess), int(1.2 * guess) + 4):
        if low < place < high:
            low, high = (low, place) if enough(place) else (place, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _check(rule: Rule) -> None:
    for name in ("level", "confidence", "power"):
        if not 0 < getattr(rule, name) < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {getattr(rule, name)}")
