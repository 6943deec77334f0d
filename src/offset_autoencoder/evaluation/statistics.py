"""Statistics over seeds: means with intervals, and equivalence; their numbers in words.

What is added to the code is compared by pairs, one per seed: two runs of one seed start from the
same weights and see the same batches, so their difference says more than the two apart. The
tests of the pairs are in :mod:`.sign_flips`.

An inconclusive comparison does not show two settings equal; a test of equivalence does: the
error must be shown to change by less than a margin that is stated beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import SplitName
from offset_autoencoder.evaluation.metrics import UNBOUNDED, Bounds, metric_of
from offset_autoencoder.evaluation.sign_flips import joint_sign_flips

CHANGE_BOUNDS: Bounds = (-1.0, math.inf)
"""No error is below zero, and so none changes by less than −100 %."""

_ROUNDING = 1e-9
_BLOCK_VALUES = 2**20  # of samples and seeds at a time: 8 MB, and as much again of what is computed


@dataclass(frozen=True)
class Design:
    """Design of an experiment: what differs from seed to seed, and so what intervals cover.

    All overlaps are 0 where one split is used. What is measured on test or validation samples has
    that of Nadeau and Bengio, these over training samples. What is measured on training samples
    has more in common from seed to seed: a share f = n_train / N of all samples is drawn, so the
    variance between splits is σ²/n_train · (1 − f), and that of their mean about another data set
    of N samples is σ²/N, which is f / (1 − f) times as much.
    """

    varies: bool = False  # whether each seed has a split of its own
    overlap: float = 0.0  # test samples over training samples
    validation_overlap: float = 0.0  # validation samples over training samples
    training_overlap: float = 0.0  # training samples over all others
    confidence: float = 0.95  # of every interval

    def overlap_on(self, split: SplitName) -> float:
        """Overlap of what is measured on the samples of a split."""
        return {
            "train": self.training_overlap,
            "validation": self.validation_overlap,
            "test": self.overlap,
        }[split]

    def estimate(
        self,
        values: NDArray[Any] | Sequence[float],
        split: SplitName = "test",
        bounds: Bounds = UNBOUNDED,
    ) -> Estimate:
        """The mean over seeds of what is measured on a split: see :func:`mean_and_interval`."""
        return mean_and_interval(values, self.confidence, self.overlap_on(split), bounds)

    @property
    def covers(self) -> str:
        """Sources of variation that an interval over seeds covers, in words."""
        return "training seeds and splits" if self.varies else "training seeds, on one split"

    @property
    def over(self) -> str:
        """Short form of :attr:`covers`, for titles."""
        return "seeds and splits" if self.varies else "seeds"


ONE_SPLIT = Design()


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
        """Half the width of the interval: what stands after the ± where it is not cut."""
        return (self.high - self.low) / 2

    @property
    def is_cut(self) -> bool:
        """True where the interval ends at a bound of the metric, and is none of mean ± half."""
        size = self.high - self.low + abs(self.mean)
        return abs(self.low + self.high - 2 * self.mean) > _ROUNDING * size

    def within(self, bounds: Bounds) -> Estimate:
        """The estimate with its interval cut at the bounds of what is estimated."""
        low, high = (min(max(end, bounds[0]), bounds[1]) for end in (self.low, self.high))
        return self if math.isnan(self.half) else replace(self, low=low, high=high)


def mean_and_interval(
    values: NDArray[Any] | Sequence[float],
    confidence: float,
    overlap: float = 0.0,
    bounds: Bounds = UNBOUNDED,
) -> Estimate:
    """The mean of values (n,) and its interval: ``mean ± t(n − 1)·std·√(1/n + overlap)``.

    Student's interval where the values are independent. Where each seed has a split of its own,
    training samples of one are among those of another, and their errors go together: ``overlap``,
    test samples over training samples, makes up for it. One value has a mean and no interval;
    none is invented. What lies beyond the ``bounds`` of the values is cut off: no mean is there, so
    the interval holds the true one as often as before.

    Source: Nadeau & Bengio, Inference for the generalization error (2003), section 3.

    Raises:
        ValueError: where the values are not one-dimensional, the confidence is outside (0, 1), or
            the overlap is below zero.
    """
    from scipy.special import stdtrit

    values = _flat(values)
    _check_confidence(confidence)
    if not overlap >= 0:
        raise ValueError(f"overlap must be zero or more, got {overlap}")
    count = len(values)
    with np.errstate(invalid="ignore"):
        mean = float(np.mean(values)) if count else math.nan
        if count < 2:
            return Estimate(mean, math.nan, math.nan, math.nan, count)
        std = float(np.std(values, ddof=1))
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * std * math.sqrt(1 / count + overlap)
    return Estimate(mean, std, mean - half, mean + half, count).within(bounds)


def two_way_interval(
    values: Sequence[NDArray[Any]] | NDArray[Any],
    confidence: float,
    less: Sequence[NDArray[Any]] | None = None,
) -> Estimate:
    """The mean of values (seeds, samples) and its interval over other seeds and other samples.

    With ``less``, of the same shape, it is that of their differences, value by value.

    Seeds and samples are crossed random effects: the variance of the mean is estimated by
    ``(MS_seeds + MS_samples − MS_interaction) / (seeds · samples)`` with Satterthwaite's degrees
    of freedom. The interval is no narrower than Student's over the seeds, whose variance is
    ``MS_seeds / (seeds · samples)``. The standard deviation is that over seeds; without two of
    either there is no interval.

    Source: Searle, Casella & McCulloch, Variance Components (1992), chapter 4; Satterthwaite, An
    approximate distribution of estimates of variance components (1946).

    Raises:
        ValueError: where the values are not two-dimensional, or the confidence is outside (0, 1).
    """
    from scipy.special import stdtrit

    if any(np.ndim(of_seed) != 1 for of_seed in values):
        raise ValueError(f"needs values (seeds, samples), got the shape {np.shape(values)}")
    _check_confidence(confidence)
    seeds, samples = len(values), len(values[0]) if len(values) else 0
    step = max(1, _BLOCK_VALUES // max(1, seeds))

    def blocks() -> Iterator[NDArray[np.float64]]:
        for rows in (slice(start, start + step) for start in range(0, samples, step)):
            block = np.array([of_seed[rows] for of_seed in values], np.float64)
            if less is not None:
                block -= np.array([of_seed[rows] for of_seed in less], np.float64)
            yield block

    of_seeds = np.full(seeds, np.nan)
    if samples:
        of_seeds = sum((block.sum(axis=1) for block in blocks()), np.zeros(seeds)) / samples
    estimate = mean_and_interval(of_seeds, confidence)
    if seeds < 2 or samples < 2:
        return replace(estimate, low=math.nan, high=math.nan)
    between = interaction = 0.0
    for block in blocks():
        of_samples = np.mean(block, axis=0)
        between += float(np.sum(np.square(of_samples - estimate.mean)))
        rest = block - of_seeds[:, np.newaxis] - of_samples + estimate.mean
        interaction += float(np.sum(np.square(rest)))
    # Mean squares of seeds, samples and interaction, their signs and degrees of freedom.
    freedom = np.array([seeds - 1, samples - 1, (seeds - 1) * (samples - 1)])
    squares = np.array(
        [
            samples * np.sum(np.square(of_seeds - estimate.mean)),
            seeds * between,
            interaction,
        ]
    )
    means = squares / freedom
    total = float(means[0] + means[1] - means[2])
    if not total > means[0]:
        return estimate
    half = float(stdtrit(total**2 / np.sum(means**2 / freedom), (1 + confidence) / 2))
    half = max(half * math.sqrt(total / (seeds * samples)), estimate.half)
    return replace(estimate, low=estimate.mean - half, high=estimate.mean + half)


def differences(values: NDArray[Any], baseline: NDArray[Any]) -> NDArray[np.float64]:
    """``values − baseline``, pair by pair, float64 (n,).

    Raises:
        ValueError: where the two differ in length.
    """
    values, baseline = _pairs(values, baseline)
    with np.errstate(invalid="ignore"):
        return values - baseline


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
    p_corrected: float  # corrected within the family
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


def equivalences(
    changes: NDArray[np.float64], margin: float, confidence: float, overlap: float = 0.0
) -> list[Equivalence]:
    """Test each change of a family (seeds, tests) against the margin; NaN is a seed it lacks.

    Two one-sided sign-flip tests each, that the mean is above ``−margin`` and below ``margin``,
    after Schuirmann (1987); so changes are taken to scatter alike to either side of their mean.
    All are one family, of twice as many tests as changes: either side of any change can be
    rejected falsely. Both p are the larger one of the two sides, ``2⁻ⁿ`` at the least.

    Raises:
        ValueError: where the margin is not above zero, or the confidence outside (0, 1).
    """
    if not margin > 0:
        raise ValueError(f"margin must be above zero, got {margin}")
    sides = joint_sign_flips(np.hstack([changes + margin, margin - changes]), "greater")
    p, corrected = (np.maximum(*np.split(side, 2)).tolist() for side in sides)
    tested = []
    for index, change in enumerate(changes.T):
        estimate = mean_and_interval(change[~np.isnan(change)], confidence, overlap, CHANGE_BOUNDS)
        within = -margin < estimate.low and estimate.high < margin
        shown = within and corrected[index] <= 1 - confidence
        tested.append(Equivalence(estimate, margin, p[index], corrected[index], shown))
    return tested


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")


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
    return f"{signed_percent(share).removeprefix('+')} %"


def change_percent(change: Estimate) -> str:
    """A relative change with its interval: ``+0.3 % [-0.2, +0.8]``."""
    mean = f"{signed_percent(change.mean)} %"
    if not math.isfinite(change.half):
        return mean
    return f"{mean} [{signed_percent(change.low)}, {signed_percent(change.high)}]"


def signed_percent(share: float, *, grouping: str = "") -> str:
    """A share as a signed percentage: one decimal below ten; ``grouping`` parts thousands."""
    return f"{100 * share:+z{grouping}.{1 if abs(share) < 0.1 else 0}f}"
