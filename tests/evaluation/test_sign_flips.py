from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from offset_autoencoder.evaluation.sign_flips import (
    DRAWN,
    EXACT_UP_TO,
    Alternative,
    align,
    joint_sign_flips,
    smallest_p,
)

ALTERNATIVES: list[Alternative] = ["two-sided", "greater", "less"]
_VALUES = st.sampled_from([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, math.nan])


@st.composite
def _families(draw: st.DrawFn) -> NDArray[np.float64]:
    seeds, tests = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    values = draw(st.lists(_VALUES, min_size=seeds * tests, max_size=seeds * tests))
    return np.array(values).reshape(seeds, tests)


def _p(paired: NDArray[np.float64], alternative: Alternative = "two-sided") -> float:
    return float(joint_sign_flips(paired[:, np.newaxis], alternative).p[0])


def _statistic(column: NDArray[np.float64], alternative: Alternative) -> float:
    size = math.sqrt(float(np.nansum(column**2)))
    value = float(np.nansum(column)) / size if size else 0.0
    return {"two-sided": abs(value), "greater": value, "less": -value}[alternative]


def _by_listing(
    differences: NDArray[np.float64], alternative: Alternative
) -> tuple[list[float], list[float]]:
    """p and corrected p by the definition: loops over tests and over all patterns of signs."""
    tests = range(differences.shape[1])
    made = [test for test in tests if not np.all(np.isnan(differences[:, test]))]
    seen = {test: _statistic(differences[:, test], alternative) for test in made}
    flipped = [
        {test: _statistic(differences[:, test] * np.array(signs), alternative) for test in made}
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]

    def share_at_least(members: list[int], least: float) -> float:
        largest = [max(pattern[test] for test in members) for pattern in flipped]
        return sum(value >= least - 1e-9 for value in largest) / len(largest)

    p, corrected = ([math.nan] * differences.shape[1] for _ in range(2))
    remaining, so_far = sorted(made, key=lambda test: -seen[test]), 0.0
    while remaining:
        test = remaining[0]
        p[test] = share_at_least([test], seen[test])
        corrected[test] = so_far = max(so_far, share_at_least(remaining, seen[test]))
        remaining = remaining[1:]
    return p, corrected


@given(_families(), st.sampled_from(ALTERNATIVES))
@settings(max_examples=120, deadline=None)
def test_both_p_are_those_of_listing_every_pattern(
    differences: NDArray[np.float64], alternative: Alternative
) -> None:
    """Among them ties, zeros, seeds that tests lack, one seed, and tests that were not made."""
    p, corrected = _by_listing(differences, alternative)
    found = joint_sign_flips(differences, alternative)
    np.testing.assert_allclose(found.p, p, rtol=1e-12)
    np.testing.assert_allclose(found.p_corrected, corrected, rtol=1e-12)


@given(_families(), st.sampled_from([0.1, 1e-9, 1e-300, 3e200, 1 / 3]))
@settings(max_examples=60, deadline=None)
def test_neither_scale_nor_order_matters(differences: NDArray[np.float64], scale: float) -> None:
    found = joint_sign_flips(differences)
    scaled = joint_sign_flips(differences * scale)
    shuffled = joint_sign_flips(-differences[::-1, ::-1])
    for before, same, reverse in zip(found, scaled, shuffled, strict=True):
        np.testing.assert_array_equal(same, before)
        np.testing.assert_array_equal(reverse[::-1], before)


def test_p_of_a_test_is_scipys_exact_permutation_test() -> None:
    paired = np.random.default_rng(5).normal(0.4, 1, size=11)
    for alternative in ALTERNATIVES:
        exact = stats.permutation_test(
            (paired,),
            np.mean,
            permutation_type="samples",
            n_resamples=np.inf,
            alternative=alternative,
            vectorized=True,
        )
        assert _p(paired, alternative) == pytest.approx(exact.pvalue, rel=1e-12)


def test_patterns_in_blocks_are_all_there() -> None:
    """Sixteen seeds fill several blocks: all alike, all but one, and one against ten."""
    assert _p(np.arange(1.0, 17.0)) == 2.0**-15
    ones = np.ones(16)
    ones[0] = -1
    assert _p(ones) == 2 * (1 + 16) / 2**16
    assert _p(ones, "greater") == (1 + 16) / 2**16
    assert _p(ones, "less") == 1 - 2.0**-16


def test_twenty_seeds_are_exact_and_more_are_drawn() -> None:
    rng = np.random.default_rng(1)
    for seeds in (EXACT_UP_TO, EXACT_UP_TO + 1, 60):
        paired = rng.normal(0.3, 1, size=(seeds, 2))
        for alternative in ALTERNATIVES:
            found = joint_sign_flips(paired, alternative)
            expected = stats.ttest_1samp(paired, 0, alternative=alternative).pvalue
            np.testing.assert_allclose(found.p, expected, atol=0.015)
            assert np.all(found.p_corrected >= found.p)
    again = joint_sign_flips(paired, alternative)
    np.testing.assert_array_equal(found, again)
    drawn = joint_sign_flips(np.ones((EXACT_UP_TO + 1, 3)), "greater")
    assert set(np.ravel(drawn)) == {1 / (DRAWN + 1)}
    assert set(np.ravel(joint_sign_flips(np.ones((60, 2)), "less"))) == {1.0}


@pytest.mark.parametrize("seeds", [4, 7])
def test_p_is_valid_under_the_null(seeds: int) -> None:
    """Over all equally likely patterns, the share of p at most a is at most a, at every a."""
    rng = np.random.default_rng(seeds)
    sizes = rng.integers(1, 5, size=(seeds, 3)).astype(float)
    smallest: tuple[list[float], list[float]] = [], []
    for signs in itertools.product((1, -1), repeat=seeds):
        found = joint_sign_flips(sizes * np.array(signs)[:, np.newaxis])
        smallest[0].append(found.p[0])
        smallest[1].append(np.min(found.p_corrected))
    for p in map(np.array, smallest):
        for level in np.unique(p):
            assert np.mean(p <= level) <= level + 1e-12


def test_a_family_costs_a_clear_difference_nothing() -> None:
    """Holm would multiply by the tests: 26 · 2/2⁶ is above 0.05, and so would all be lost."""
    rng = np.random.default_rng(2)
    differences = rng.normal(0, 1, size=(6, 26))
    differences[:, 3] = 5 + 1e-6 * rng.normal(size=6)
    found = joint_sign_flips(differences)
    assert found.p_corrected[3] == found.p[3] == smallest_p(6) == 2 / 64
    assert np.min(np.delete(found.p_corrected, 3)) > 0.05


def test_tests_that_are_one_are_corrected_as_one() -> None:
    """The correlation counts: copies of one test, in whatever unit, add nothing to it."""
    paired = np.random.default_rng(8).normal(0.8, 1, size=10)
    copies = paired[:, np.newaxis] * np.array([1.0, -2.0, 1e-3])
    found = joint_sign_flips(copies)
    np.testing.assert_allclose(found.p_corrected, found.p[0])


def test_without_an_answer() -> None:
    assert math.isnan(_p(np.array([])))
    assert math.isnan(_p(np.array([1.0, math.inf])))
    assert _p(np.array([1.0, 2.0, math.nan])) == smallest_p(2)
    assert _p(np.zeros(8)) == 1
    assert math.isnan(smallest_p(0))
    assert (smallest_p(10), smallest_p(10, "less")) == (2 / 1024, 1 / 1024)
    assert joint_sign_flips(np.zeros((3, 0))).p.shape == (0,)
    with pytest.raises(ValueError, match="seeds, tests"):
        joint_sign_flips(np.zeros(3))


def test_differences_are_aligned_by_seed() -> None:
    columns = [np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0]), np.array([6.0, math.inf])]
    matrix = align(columns, [[2, 9], [1, 2, 9], [1, 2]])
    nan = math.nan
    np.testing.assert_array_equal(matrix, [[nan, 3, nan], [1, 4, nan], [2, 5, nan]])
    assert align([], []).shape == (0, 0)
    with pytest.raises(ValueError, match="shape"):
        align([np.ones(2)], [[1, 2, 3]])
