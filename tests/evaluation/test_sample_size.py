from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from offset_autoencoder.evaluation.sample_size import (
    SeedsNeeded,
    difference_power,
    equivalence_power,
    seeds_for_difference,
    seeds_for_equivalence,
    seeds_needed,
)
from offset_autoencoder.evaluation.statistics import Equivalence, Estimate, sign_flip_p


def _estimate(mean: float, std: float, count: int = 10) -> Estimate:
    return Estimate(mean, std, math.nan, math.nan, count)


# Sample sizes of the paired t test as tables and G*Power give them.
@pytest.mark.parametrize(
    ("effect", "level", "power", "seeds"),
    [
        (0.2, 0.05, 0.8, 199),
        (0.5, 0.05, 0.8, 34),
        (0.8, 0.05, 0.8, 15),
        (1.0, 0.05, 0.8, 10),
        (0.5, 0.05, 0.9, 44),
        (0.5, 0.01, 0.8, 51),
    ],
)
def test_seeds_for_a_difference_are_the_known_ones(
    effect: float, level: float, power: float, seeds: int
) -> None:
    assert seeds_for_difference(effect, 1, level=level, power=power) == seeds
    assert seeds_for_difference(-3 * effect, 3, level=level, power=power) == seeds


@pytest.mark.parametrize("effect", [0.0, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("seeds", [3, 10, 200])
def test_power_is_that_of_the_noncentral_t(effect: float, seeds: int) -> None:
    critical = stats.t.ppf(0.975, seeds - 1)
    shift = effect * math.sqrt(seeds)
    within = stats.nct.cdf(critical, seeds - 1, shift)
    if shift < 5:  # beyond, scipy's other tail may be NaN; it is nothing
        within -= stats.nct.cdf(-critical, seeds - 1, shift)
    assert difference_power(effect, seeds, 0.05) == pytest.approx(1 - within, abs=1e-6)


@pytest.mark.parametrize(
    ("mean", "margin", "seeds", "level"),
    [(0.0, 0.5, 36, 0.05), (0.2, 0.5, 60, 0.05), (0.0, 1.6, 10, 0.003), (0.0, 2.0, 4, 0.05)],
)
def test_power_of_equivalence_is_that_of_simulated_tests(
    mean: float, margin: float, seeds: int, level: float
) -> None:
    samples = np.random.default_rng(1).normal(mean, 1, size=(40_000, seeds))
    low = stats.ttest_1samp(samples, -margin, axis=1, alternative="greater").pvalue
    high = stats.ttest_1samp(samples, margin, axis=1, alternative="less").pvalue
    simulated = np.mean(np.maximum(low, high) <= level)
    power = equivalence_power(mean, 1, margin, seeds, level)
    assert power == pytest.approx(simulated, abs=4 * 0.5 / math.sqrt(40_000))


def test_the_seeds_named_are_the_fewest_that_are_enough() -> None:
    seeds = seeds_for_equivalence(0.01, 0.06, 0.05, level=0.05, power=0.8)
    assert seeds is not None
    assert equivalence_power(0.01, 0.06, 0.05, seeds, 0.05) >= 0.8
    assert equivalence_power(0.01, 0.06, 0.05, seeds - 1, 0.05) < 0.8
    equal = seeds_for_equivalence(0.0, 0.06, 0.05, level=0.05, power=0.8)
    assert equal is not None
    assert equal < seeds


def test_the_sign_flip_test_finds_it_with_about_as_many_seeds() -> None:
    seeds = seeds_for_difference(1, 1, level=0.05 / 4, power=0.8)
    assert seeds is not None
    samples = np.random.default_rng(3).normal(1, 1, size=(400, seeds + 1))
    found = np.mean([sign_flip_p(sample) <= 0.05 / 4 for sample in samples])
    assert found >= 0.8 - 3 * 0.4 / math.sqrt(400)


def test_never_fewer_seeds_than_the_test_can_use() -> None:
    """However clear: 2/2ⁿ must come down to 0.05/12, one-sided 1/2ⁿ."""
    for std in (0.0, 0.01):
        assert seeds_for_difference(1, std, level=0.05 / 12, power=0.8) == 9
        assert seeds_for_equivalence(0, std, 1, level=0.05 / 12, power=0.8) == 8


def test_what_cannot_be_found_has_no_number() -> None:
    assert seeds_for_difference(0, 1, level=0.05, power=0.8) is None
    assert seeds_for_difference(1e-9, 1, level=0.05, power=0.8) is None
    assert seeds_for_difference(1, math.nan, level=0.05, power=0.8) is None
    assert seeds_for_equivalence(0.05, 0.01, 0.05, level=0.05, power=0.8) is None
    with pytest.raises(ValueError, match="power"):
        seeds_for_difference(1, 1, level=0.05, power=1.0)


def _seeds_needed(change: Estimate, family: int = 3) -> SeedsNeeded:
    within = Equivalence(change, 0.05, math.nan, math.nan, shown=False)
    return seeds_needed(change, within, family=family, confidence=0.95, power=0.8)


def test_the_nearer_answer_is_named() -> None:
    small, large = _estimate(0.005, 0.03), _estimate(0.2, 0.03)
    near = _seeds_needed(small)
    far = _seeds_needed(large)
    assert near.finds == "equivalence"
    assert near.seeds == seeds_for_equivalence(0.005, 0.03, 0.05, level=0.05 / 3, power=0.8)
    assert far.finds == "difference"
    alone = _seeds_needed(small, family=1)
    # Its interval, of half the level, must be within the margin too.
    assert alone.seeds == seeds_for_equivalence(0.005, 0.03, 0.05, level=0.025, power=0.8)
    unknown = _seeds_needed(_estimate(0.2, math.nan, 1))
    assert (unknown.seeds, unknown.finds) == (None, None)


def test_a_larger_family_needs_more() -> None:
    seen = _estimate(0.2, 0.2)
    alone, among = (_seeds_needed(seen, family=family).seeds for family in (1, 20))
    assert alone == seeds_for_difference(0.2, 0.2, level=0.05, power=0.8)
    assert among == seeds_for_difference(0.2, 0.2, level=0.05 / 20, power=0.8)
