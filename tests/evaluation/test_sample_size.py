from __future__ import annotations

import math
import re

import numpy as np
import pytest
from scipy import optimize, stats

from offset_autoencoder.evaluation.sample_size import (
    Rule,
    SeedsNeeded,
    difference_power,
    equivalence_power,
    out_of_reach,
    outlook,
    seeds_for_difference,
    seeds_for_equivalence,
    seeds_needed,
)
from offset_autoencoder.evaluation.sign_flips import joint_sign_flips
from offset_autoencoder.evaluation.statistics import (
    Equivalence,
    Estimate,
    equivalences,
    mean_and_interval,
)


def _rule(level: float = 0.05, power: float = 0.8, overlap: float = 0.0) -> Rule:
    """A rule whose interval asks for no more than its test."""
    return Rule(level, 1 - level if level > 0.05 else 0.95, power, overlap)


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
    rule = _rule(level, power)
    assert seeds_for_difference(effect, 1, rule) == seeds
    assert seeds_for_difference(-3 * effect, 3, rule) == seeds


@pytest.mark.parametrize("effect", [0.0, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("seeds", [3, 10, 200])
def test_power_is_that_of_the_noncentral_t(effect: float, seeds: int) -> None:
    critical = stats.t.ppf(0.975, seeds - 1)
    shift = effect * math.sqrt(seeds)
    within = stats.nct.cdf(critical, seeds - 1, shift)
    if shift < 5:  # beyond, scipy's other tail may be NaN; it is nothing
        within -= stats.nct.cdf(-critical, seeds - 1, shift)
    assert difference_power(effect, seeds, _rule()) == pytest.approx(1 - within, abs=1e-6)


@pytest.mark.parametrize(
    ("mean", "margin", "seeds", "level"),
    [(0.0, 0.5, 36, 0.025), (0.2, 0.5, 60, 0.025), (0.0, 1.6, 10, 0.003), (0.0, 2.0, 4, 0.025)],
)
def test_power_of_equivalence_is_that_of_simulated_tests(
    mean: float, margin: float, seeds: int, level: float
) -> None:
    samples = np.random.default_rng(1).normal(mean, 1, size=(40_000, seeds))
    low = stats.ttest_1samp(samples, -margin, axis=1, alternative="greater").pvalue
    high = stats.ttest_1samp(samples, margin, axis=1, alternative="less").pvalue
    simulated = np.mean(np.maximum(low, high) <= level)
    power = equivalence_power(mean, 1, margin, seeds, _rule(level))
    assert power == pytest.approx(simulated, abs=4 * 0.5 / math.sqrt(40_000))


def test_the_seeds_named_are_the_fewest_that_are_enough() -> None:
    seeds = seeds_for_equivalence(0.01, 0.06, 0.05, _rule())
    assert seeds is not None
    assert equivalence_power(0.01, 0.06, 0.05, seeds, _rule()) >= 0.8
    assert equivalence_power(0.01, 0.06, 0.05, seeds - 1, _rule()) < 0.8
    equal = seeds_for_equivalence(0.0, 0.06, 0.05, _rule())
    assert equal is not None
    assert equal < seeds


def test_the_sign_flip_test_finds_it_with_about_as_many_seeds() -> None:
    seeds = seeds_for_difference(1, 1, _rule(0.05 / 4))
    assert seeds is not None
    samples = np.random.default_rng(3).normal(1, 1, size=(400, seeds + 1))
    p = [joint_sign_flips(sample[:, np.newaxis]).p[0] for sample in samples]
    found = np.mean(np.array(p) <= 0.05 / 4)
    assert found >= 0.8 - 3 * 0.4 / math.sqrt(400)


def test_the_interval_of_overlapping_splits_is_in_the_power() -> None:
    """Further seeds split the same samples: their mean varies by std²/n, the interval is wider."""
    seeds, overlap, effect, repetitions = 15, 0.2, 1.6, 20_000
    rng = np.random.default_rng(4)
    mean = effect + np.sqrt(1 / seeds) * rng.normal(size=repetitions)
    std = np.sqrt(rng.chisquare(seeds - 1, size=repetitions) / (seeds - 1))
    half = stats.t.ppf(0.975, seeds - 1) * std * np.sqrt(1 / seeds + overlap)
    # At the level of a family of 300, the test may be the stricter one.
    for level in (0.05, 0.05 / 300):
        test = stats.t.ppf(1 - level / 2, seeds - 1) * std / np.sqrt(seeds)
        simulated = np.mean(mean > np.maximum(half, test))
        power = difference_power(effect, seeds, _rule(level, overlap=overlap))
        assert power == pytest.approx(simulated, abs=4 * 0.5 / math.sqrt(repetitions))


def test_no_number_of_seeds_makes_up_for_overlap() -> None:
    """The interval shrinks no further than to overlap, however many seeds there are."""
    assert seeds_for_difference(1.0, 1.0, _rule(overlap=0.31)) is None
    few = seeds_for_difference(2.0, 1.0, _rule(overlap=0.31))
    plain = seeds_for_difference(2.0, 1.0, _rule())
    assert few is not None
    assert plain is not None
    assert few > plain


def test_what_overlap_leaves_of_an_interval_is_its_limit_over_seeds() -> None:
    rule = _rule(overlap=0.31)
    needed = _seeds_needed(_estimate(0.06, 0.06), overlap=0.31)
    assert needed.none_settles
    assert needed.floor == rule.floor(0.06)
    many = np.random.default_rng(0).normal(size=1_000_000)
    assert mean_and_interval(many, 0.95, 0.31).half == pytest.approx(rule.floor(1), rel=0.01)
    said = out_of_reach(needed.floor, "the change")
    assert said.startswith("if mean and spread are as seen, no number of seeds would settle it")
    assert said.endswith("leave the interval of the change at ± 6.5 % or more")
    # A difference twice as large is found; on one split more seeds would do, if very many.
    assert not _seeds_needed(_estimate(0.12, 0.06), overlap=0.31).none_settles
    tiny = _seeds_needed(_estimate(0.05 + 1e-7, 0.06))
    assert (tiny.seeds, tiny.finds) != (None, None)
    alike = Equivalence(_estimate(0.05, 0.06), 0.05, math.nan, math.nan, shown=False)
    never = seeds_needed(_estimate(1e-9, 0.06), alike, family=1, rule=_rule())
    assert (never.none_settles, never.floor) == (True, 0)
    assert "more than 100,000 seeds" in out_of_reach(never.floor, "the change")


def test_never_fewer_seeds_than_the_test_can_use() -> None:
    """However clear: 2/2ⁿ must come down to 0.05, one-sided 1/2ⁿ; the family does not matter."""
    for std in (0.0, 0.001):
        assert seeds_for_difference(1, std, _rule(0.05 / 12)) == 6
        assert seeds_for_equivalence(0, std, 1, _rule(0.05 / 12)) == 5


def test_what_cannot_be_found_has_no_number() -> None:
    assert seeds_for_difference(0, 1, _rule()) is None
    assert seeds_for_difference(1e-9, 1, _rule()) is None
    assert seeds_for_difference(1, math.nan, _rule()) is None
    assert seeds_for_equivalence(0.05, 0.01, 0.05, _rule()) is None
    with pytest.raises(ValueError, match="power"):
        seeds_for_difference(1, 1, _rule(power=1.0))


def _seeds_needed(change: Estimate, family: int = 3, overlap: float = 0.0) -> SeedsNeeded:
    within = Equivalence(change, 0.05, math.nan, math.nan, shown=False)
    return seeds_needed(change, within, family=family, rule=_rule(overlap=overlap))


def test_the_nearer_answer_is_named() -> None:
    small, large = _estimate(0.005, 0.03), _estimate(0.2, 0.03)
    near = _seeds_needed(small)
    far = _seeds_needed(large)
    assert near.finds == "equivalence"
    assert near.seeds == seeds_for_equivalence(0.005, 0.03, 0.05, _rule(0.05 / 3))
    assert far.finds == "difference"
    alone = _seeds_needed(small, family=1)
    # Its interval, of half the level, must be within the margin too.
    assert alone.seeds == seeds_for_equivalence(0.005, 0.03, 0.05, _rule(0.025))
    unknown = _seeds_needed(_estimate(0.2, math.nan, 1))
    assert unknown[:4] == (None, None, None, None)
    assert not unknown.none_settles


@pytest.mark.parametrize("std", [0.0, 1e-12])
def test_a_difference_as_good_as_certain_has_no_interval_to_look_for(std: float) -> None:
    assert _seeds_needed(_estimate(0.2, std, 3))[:4] == (6, "difference", 6, 6)


def test_a_larger_family_needs_more() -> None:
    seen = _estimate(0.2, 0.2)
    alone, among = (_seeds_needed(seen, family=family).seeds for family in (1, 20))
    assert alone == seeds_for_difference(0.2, 0.2, _rule())
    assert among == seeds_for_difference(0.2, 0.2, _rule(0.05 / 20))


def test_the_interval_of_seeds_is_that_of_the_effect() -> None:
    """At its ends the difference that was seen is at the 2.5 % and 97.5 % points of its chances."""
    needed = _seeds_needed(_estimate(0.3, 0.2), family=1)
    for chance, seeds in ((0.025, needed.low), (0.975, needed.high)):
        shift = optimize.brentq(lambda nc: stats.nct.cdf(1.5 * 10**0.5, 9, nc) - chance, 0, 20)  # noqa: B023
        assert seeds == seeds_for_difference(shift / 10**0.5, 1, _rule())
    assert needed.span == f"{needed.low} to {needed.high}"
    unclear = _seeds_needed(_estimate(0.2, 0.4))
    assert unclear.seeds is not None
    assert unclear.low is not None
    assert unclear.low < unclear.seeds
    assert (unclear.high, unclear.span) == (None, f"at least {unclear.low}")
    without_spread = _seeds_needed(_estimate(0.2, 0.0))
    assert without_spread.low == without_spread.high == without_spread.seeds == 6


@pytest.mark.parametrize(("mean", "std"), [(0.06, 0.08), (0.0, 0.04)])
def test_the_interval_of_seeds_holds_the_true_number_as_often_as_it_says(
    mean: float, std: float
) -> None:
    """Planned from twelve seeds, for a difference and for equivalence with a margin of 5 %."""
    rule = _rule()
    true = (
        seeds_for_difference(mean, std, rule) if mean else seeds_for_equivalence(0, std, 0.05, rule)
    )
    assert true is not None
    inside, made = 0, 0
    for sample in np.random.default_rng(6).normal(mean, std, size=(300, 12)):
        needed = _seeds_needed(mean_and_interval(sample, 0.95), family=1)
        if needed.finds == ("difference" if mean else "equivalence"):
            made += 1
            assert needed.low is not None
            inside += needed.low <= true <= (needed.high or math.inf)
    assert made > 100
    assert inside / made >= 0.85


def test_tests_that_go_together_need_fewer_seeds_than_are_named() -> None:
    """Bonferroni's level is a bound: settings share a baseline and, of equivalence, the margin."""
    family, std = 25, 0.04
    seeds = seeds_for_equivalence(0.0, std, 0.05, _rule(0.05 / family))
    assert seeds is not None
    rng = np.random.default_rng(0)
    shown = 0
    for _ in range(40):
        own, baseline = rng.normal(0, std / math.sqrt(2), size=(2, seeds - 3, family))
        changes = own - baseline[:, :1]
        changes[:, 1 : family // 2] += 0.3  # not equivalent
        shown += equivalences(changes, 0.05, 0.95)[0].shown
    assert shown / 40 >= 0.8


@pytest.mark.parametrize(("seeds", "tests", "overlap"), [(6, 1, 0.0), (20, 26, 0.0), (20, 26, 0.3)])
def test_the_outlook_is_the_difference_that_has_the_power(
    seeds: int, tests: int, overlap: float
) -> None:
    sentence = outlook(seeds, tests, Rule(0.05, 0.95, 0.8, overlap))
    found = re.search(r"a difference of ([\d.]+) times its standard deviation", sentence)
    assert found, sentence
    widened = stats.t.ppf(0.975, seeds - 1) * math.sqrt(1 + seeds * overlap)
    critical = max(stats.t.ppf(1 - 0.025 / tests, seeds - 1), widened)
    rng = np.random.default_rng(0)
    x = rng.normal(float(found[1]), 1, size=(20_000, seeds))
    statistic = x.mean(axis=1) / x.std(axis=1, ddof=1) * math.sqrt(seeds)
    assert np.mean(np.abs(statistic) > critical) == pytest.approx(0.8, abs=0.04)  # of two digits


def test_the_outlook_of_too_few_seeds_names_the_fewest() -> None:
    rule = Rule(0.05, 0.95, 0.8)
    assert outlook(3, 25, rule) == (
        "3 seeds: no difference can be significant at 95 % confidence; 6 are the fewest that can "
        "show one, and 5 for a verdict on an offset"
    )
    assert outlook(1, 25, rule).startswith("1 seed: no difference can be")
    assert joint_sign_flips(np.ones((5, 25))).p_corrected.min() > 0.05  # and so it is
    assert joint_sign_flips(np.ones((6, 25))).p_corrected.max() <= 0.05
    never = outlook(5, 1, Rule(1e-9, 1 - 1e-9, 0.8))
    assert never.endswith("confidence; nor with more")
