from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from offset_autoencoder.evaluation import statistics

Floats = list[float]
_whole = st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=9)


def _by_listing(paired: Floats) -> float:
    """The sign-flip p from the definition, in whole numbers so that ties are ties."""
    seen = abs(sum(paired))
    sums = [
        abs(sum(sign * value for sign, value in zip(signs, paired, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(paired))
    ]
    return sum(size >= seen for size in sums) / len(sums)


@given(_whole)
@settings(max_examples=80, deadline=None)
def test_sign_flip_p_is_that_of_listing_every_pattern(paired: Floats) -> None:
    assert statistics.sign_flip_p(np.array(paired)) == _by_listing(paired)


@given(_whole, st.sampled_from([0.1, 1e-9, 1e-300, 3e200, 1 / 3]))
@settings(max_examples=60, deadline=None)
def test_sign_flip_p_knows_no_scale_and_no_rounding(paired: Floats, scale: float) -> None:
    scaled = np.array(paired) * scale
    assert statistics.sign_flip_p(scaled) == statistics.sign_flip_p(np.array(paired))


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_sign_flip_p_does_not_depend_on_order_or_side(paired: Floats) -> None:
    values = np.array(paired)
    p = statistics.sign_flip_p(values)
    assert statistics.sign_flip_p(-values) == p
    assert statistics.sign_flip_p(np.sort(values)) == p
    assert statistics.smallest_p(len(paired)) <= p <= 1


def test_sign_flip_p_is_scipys_exact_permutation_test() -> None:
    paired = np.random.default_rng(5).normal(0.4, 1, size=11)
    exact = stats.permutation_test(
        (paired,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert statistics.sign_flip_p(paired) == pytest.approx(exact.pvalue, rel=1e-12)


@given(_whole)
@settings(max_examples=60, deadline=None)
def test_one_sided_sign_flip_p_is_that_of_listing_every_pattern(paired: Floats) -> None:
    sums = [
        sum(sign * value for sign, value in zip(signs, paired, strict=True))
        for signs in itertools.product((1, -1), repeat=len(paired))
    ]
    above = sum(size >= sum(paired) for size in sums) / len(sums)
    assert statistics.sign_flip_p(np.array(paired), "greater") == above
    assert statistics.sign_flip_p(-np.array(paired), "less") == above


def test_one_sided_sign_flip_p_of_many_pairs_is_near_students() -> None:
    for pairs in (39, 100):  # counted, drawn
        paired = np.random.default_rng(pairs).normal(0.1, 1, size=pairs)
        for side in ("greater", "less"):
            p = statistics.sign_flip_p(paired, side)
            expected = stats.ttest_1samp(paired, 0, alternative=side).pvalue
            assert p == pytest.approx(expected, abs=0.01)
    assert statistics.sign_flip_p(np.ones(10), "greater") == statistics.smallest_p(10, "greater")
    assert statistics.sign_flip_p(np.ones(100), "less") == 1


def test_sign_flip_p_of_twenty_and_more_pairs_is_exact_too() -> None:
    for pairs in (20, 31, 40):
        assert statistics.sign_flip_p(np.arange(1.0, pairs + 1)) == 2.0 ** (1 - pairs)
        # One pair against all others: the patterns as extreme are that one, all, and mirrors.
        ones = np.ones(pairs)
        ones[0] = -1
        assert statistics.sign_flip_p(ones) == 2 * (1 + pairs) / 2**pairs


def test_sign_flip_p_of_very_many_pairs_is_drawn_and_near_the_normal_one() -> None:
    paired = np.random.default_rng(0).normal(0.2, 1, size=100)
    p = statistics.sign_flip_p(paired)
    assert p == statistics.sign_flip_p(paired)
    assert p == pytest.approx(stats.ttest_1samp(paired, 0).pvalue, abs=0.01)
    assert statistics.sign_flip_p(np.ones(100)) == statistics.smallest_p(100) == 1e-5


@pytest.mark.parametrize("pairs", [4, 7])
def test_sign_flip_p_is_valid_under_the_null(pairs: int) -> None:
    """Over all equally likely patterns, the share of p at most a is at most a, at every a."""
    sizes = np.random.default_rng(pairs).integers(1, 5, size=pairs).astype(float)
    patterns = np.array(list(itertools.product((1, -1), repeat=pairs)))
    p = np.array([statistics.sign_flip_p(row) for row in patterns * sizes])
    for level in np.unique(p):
        assert np.mean(p <= level) == pytest.approx(level)


def test_sign_flip_p_without_an_answer() -> None:
    assert math.isnan(statistics.sign_flip_p(np.array([])))
    assert math.isnan(statistics.sign_flip_p(np.array([1.0, math.nan])))
    assert math.isnan(statistics.sign_flip_p(np.array([1.0, math.inf])))
    assert statistics.sign_flip_p(np.zeros(8)) == 1
    assert math.isnan(statistics.smallest_p(0))
    assert statistics.smallest_p(10) == 2 / 1024


def _holm_by_rejection(p: Floats, index: int) -> float:
    """The smallest level at which the step-down procedure, as Holm wrote it, rejects a test."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    needed = 0.0
    for step, test in enumerate(order):
        needed = max(needed, p[test] * (len(p) - step))
        if test == index:
            return min(1.0, needed)
    raise AssertionError


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_holm_is_the_step_down_procedure(p: Floats) -> None:
    corrected = statistics.holm(np.array(p))
    for index, value in enumerate(corrected):
        assert value == pytest.approx(_holm_by_rejection(p, index))
    assert np.all(corrected >= p)
    assert np.all(corrected <= np.minimum(1, len(p) * np.array(p)) + 1e-15)


def test_holm_on_a_textbook_family_and_without_the_tests_not_made() -> None:
    corrected = statistics.holm(np.array([0.01, np.nan, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(corrected, [0.03, np.nan, 0.06, 0.06, 0.02])
    assert len(statistics.holm(np.array([]))) == 0


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=12), st.sampled_from([0.5, 0.9, 0.95]))
@settings(max_examples=40, deadline=None)
def test_interval_is_students(values: Floats, confidence: float) -> None:
    estimate = statistics.mean_and_interval(np.array(values), confidence)
    error = stats.sem(values)
    low, high = (
        stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=error)
        if error > 0
        else (estimate.mean, estimate.mean)
    )
    assert estimate.low == pytest.approx(low, abs=1e-9)
    assert estimate.high == pytest.approx(high, abs=1e-9)
    assert estimate.half == pytest.approx((high - low) / 2, abs=1e-9)
    assert estimate.std == pytest.approx(np.std(values, ddof=1))


def test_no_interval_is_invented() -> None:
    one = statistics.mean_and_interval(np.array([3.0]), 0.95)
    assert (one.mean, one.count) == (3.0, 1)
    assert all(math.isnan(value) for value in (one.std, one.low, one.high, one.half))
    none = statistics.mean_and_interval(np.array([]), 0.95)
    assert none.count == 0
    assert math.isnan(none.mean)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_is_a_share(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        statistics.mean_and_interval(np.array([1.0, 2.0]), confidence)


def test_pairing_removes_what_the_seeds_share() -> None:
    rng = np.random.default_rng(1)
    shared = rng.normal(0, 10, size=10)
    setting = shared + 1 + rng.normal(0, 0.01, size=10)
    paired = statistics.differences(setting, shared)
    estimate = statistics.mean_and_interval(paired, 0.95)
    assert estimate.mean == pytest.approx(1, abs=0.02)
    assert estimate.half < 0.02
    with pytest.raises(ValueError, match="pairs"):
        statistics.differences(setting, shared[:-1])
