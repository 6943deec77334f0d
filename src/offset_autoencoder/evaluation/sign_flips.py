"""Joint sign flips: paired tests of a family of comparisons, corrected by step-down max-t.

If what is compared made no difference, all differences of a seed could as well stand the other
way round. So the sign of a seed is flipped in all tests of a family at once, and how large the
largest statistic gets by chance is seen with the correlation that the tests have, such as that
of a baseline that they share. Nothing is lost to a bound that holds for any correlation, as
Holm's does: the smallest corrected p is ``2 / 2ⁿ`` however many tests there are.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

EXACT_UP_TO = 20
DRAWN = 99_999
_BLOCK_BITS = 13  # log2 of the patterns in a block, which a core's cache holds
_ROUNDING = 1e-10

Alternative = Literal["two-sided", "greater", "less"]


class SignFlipTests(NamedTuple):
    """Values of p of a family of tests, float64 (tests,); NaN for a test that was not made."""

    p: NDArray[np.float64]  # of each test by itself
    p_corrected: NDArray[np.float64]  # within the family


def joint_sign_flips(
    differences: NDArray[Any], alternative: Alternative = "two-sided"
) -> SignFlipTests:
    """Test that the mean paired difference is zero, for each column of (seeds, tests).

    The statistic of a test is ``|Σ d| / √(Σ d²)``, of which ``|t|`` is a monotone function since
    flips leave ``Σ d²`` as it is; for a one-sided test without the ``| |``. p is the share of the
    2ⁿ patterns of signs whose statistic is at least the one seen; the corrected p the share in
    which the largest statistic of this test and all less extreme ones is, made no smaller than
    that of any more extreme test (step-down). Rejecting what is at most α keeps the chance of
    even one false rejection at α, whichever tests are true, where the vectors of the
    differences of true tests are symmetric about zero. Exact up to 20 seeds; above, it is
    ``(b + 1) / (m + 1)`` over m = 99,999 patterns drawn with a fixed seed, which is valid too.

    NaN is a seed that a test lacks: it adds nothing under any flip. A column without a number,
    or with an infinite one, is a test not made. Sums that differ by rounding alone count as
    equal; a test whose differences are all zero has a p of 1.

    Source: Westfall & Young, Resampling-Based Multiple Testing (1993), algorithms 2.8 and 4.1;
    Romano & Wolf, Exact and approximate stepdown methods for multiple hypothesis testing (2005).

    Raises:
        ValueError: where the differences are not two-dimensional.
    """
    differences = np.asarray(differences, dtype=np.float64)
    if differences.ndim != 2:
        raise ValueError(f"needs differences (seeds, tests), got the shape {differences.shape}")
    present = ~np.isnan(differences)
    made = np.flatnonzero(present.any(axis=0) & ~np.isinf(differences).any(axis=0))
    p, p_corrected = np.full((2, differences.shape[1]), np.nan)
    if not len(made):
        return SignFlipTests(p, p_corrected)
    rows = np.where(present, differences, 0.0)[present[:, made].any(axis=1)][:, made].T
    # Scaled, so that neither tiny nor huge differences leave the range of a float.
    largest_of = np.max(np.abs(rows), axis=1, keepdims=True)
    rows = rows / np.where(largest_of > 0, largest_of, 1.0)
    rows /= np.maximum(np.sqrt(np.sum(rows**2, axis=1, keepdims=True)), 1.0)
    if alternative == "less":
        rows = -rows
    two_sided = alternative == "two-sided"
    observed = np.abs(np.sum(rows, axis=1)) if two_sided else np.sum(rows, axis=1)
    order = np.argsort(observed, kind="stable")
    thresholds = (observed[order] - _ROUNDING).tolist()
    extreme, largest_extreme = np.zeros((2, len(order)), dtype=np.int64)
    patterns = 0
    largest = np.empty(2**_BLOCK_BITS)
    for size, statistics in _flipped(rows[order], two_sided=two_sided):
        patterns += size
        largest[:size] = -np.inf
        for index, (statistic, threshold) in enumerate(zip(statistics, thresholds, strict=True)):
            extreme[index] += np.count_nonzero(statistic >= threshold)
            np.maximum(largest[:size], statistic, out=largest[:size])
            largest_extreme[index] += np.count_nonzero(largest[:size] >= threshold)
    # Drawn patterns are no more than a sample, to which the one seen is added.
    seen = int(rows.shape[1] > EXACT_UP_TO)
    p[made[order]] = (extreme + seen) / (patterns + seen)
    stepwise = (largest_extreme + seen) / (patterns + seen)
    p_corrected[made[order]] = np.maximum.accumulate(stepwise[::-1])[::-1]
    return SignFlipTests(p, p_corrected)


def smallest_p(pairs: int, alternative: Alternative = "two-sided") -> float:
    """The smallest p, corrected or not, that so many pairs can give; NaN without pairs.

    That of differences all alike: ``2 / 2ⁿ`` up to 20 pairs, half of it for a one-sided test.
    """
    if pairs <= 0:
        return math.nan
    if pairs > EXACT_UP_TO:
        return 1 / (DRAWN + 1)
    return 2.0 ** (1 - pairs if alternative == "two-sided" else -pairs)


def fewest_pairs(level: float, alternative: Alternative = "two-sided") -> int | None:
    """The fewest pairs with which a p of at most this level is possible; None: there are none."""
    counts = range(1, EXACT_UP_TO + 2)
    return next((count for count in counts if smallest_p(count, alternative) <= level), None)


def align(
    columns: Sequence[NDArray[np.float64]], seeds: Sequence[Sequence[int]]
) -> NDArray[np.float64]:
    """A family's differences, float64 (seeds, tests), from those of each test and their seeds.

    NaN where a test lacks a seed; a column with a value that is not finite is NaN altogether.
    Seeds of a test are ascending; rows are all seeds of any test, ascending.

    Raises:
        ValueError: where a test has not one difference per seed.
    """
    every = sorted({seed for own in seeds for seed in own})
    matrix = np.full((len(every), len(columns)), np.nan)
    for index, (column, own) in enumerate(zip(columns, seeds, strict=True)):
        if np.all(np.isfinite(column)):
            matrix[np.searchsorted(every, own), index] = column
    return matrix


def _flipped(
    rows: NDArray[np.float64], *, two_sided: bool
) -> Iterator[tuple[int, Iterator[NDArray[np.float64]]]]:
    """The statistics of rows (tests, seeds), flipped: patterns in a block, then test by test.

    Up to 20 seeds under every pattern, but half of them for a two-sided test, as the other half
    mirrors it; above, under patterns drawn at random. An array is to be read before the next.
    """
    seeds = rows.shape[1]
    if seeds > EXACT_UP_TO:
        for signs in _drawn_signs(seeds):
            sums = rows @ signs.astype(np.float64)
            yield sums.shape[1], (np.abs(row, out=row) if two_sided else row for row in sums)
        return
    # The first seed is never flipped; the last ones are flipped within a block.
    first = max(1, seeds - _BLOCK_BITS)
    inner = rows[:, first:] @ _all_signs(seeds - first)
    outer = rows[:, :1] + rows[:, 1:first] @ _all_signs(first - 1)
    # One row at a time, which a core's cache holds with all that is done to it.
    row = np.empty(inner.shape[1])
    for fixed in outer.T.tolist():
        pairs = list(zip(inner, fixed, strict=True))
        flipped = (np.add(own, by, out=row) for own, by in pairs)
        if two_sided:
            yield len(row), (np.abs(each, out=row) for each in flipped)
        else:
            yield len(row), flipped
            yield len(row), (np.subtract(-by, own, out=row) for own, by in pairs)


@functools.lru_cache(maxsize=2)
def _drawn_signs(seeds: int) -> tuple[NDArray[np.int8], ...]:
    """Blocks of patterns of signs drawn with a fixed seed, (seeds, patterns): the same each time.

    Kept, since drawing them takes as long as a family's tests.
    """
    rng = np.random.default_rng(0)
    sizes = (min(2**_BLOCK_BITS, DRAWN - start) for start in range(0, DRAWN, 2**_BLOCK_BITS))
    bits = (rng.integers(0, 2, size=(seeds, size), dtype=np.int8) for size in sizes)
    return tuple(2 * block - 1 for block in bits)


def _all_signs(seeds: int) -> NDArray[np.float64]:
    """Every pattern of signs, (seeds, 2 to the seeds), without signs one pattern."""
    bits = np.arange(2**seeds) >> np.arange(seeds)[:, np.newaxis] & 1
    return 1.0 - 2.0 * bits.astype(np.float64)
