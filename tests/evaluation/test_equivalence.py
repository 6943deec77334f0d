from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from offset_autoencoder.evaluation import metrics
from offset_autoencoder.evaluation.statistics import (
    beyond_margin_p,
    equivalence_p,
    equivalences,
    relative_change,
)

Floats = NDArray[np.float64]


def _normal(mean: float, std: float, count: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(mean, std, size=count)


@given(st.lists(st.integers(-8, 8), min_size=1, max_size=8), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_p_is_the_larger_of_two_by_listing_every_pattern(whole: list[int], margin: int) -> None:
    """In whole numbers, so that ties are ties."""

    def above(values: list[int]) -> float:
        patterns = itertools.product((1, -1), repeat=len(values))
        sums = [sum(s * v for s, v in zip(signs, values, strict=True)) for signs in patterns]
        return sum(size >= sum(values) for size in sums) / len(sums)

    low, high = above([v + margin for v in whole]), above([margin - v for v in whole])
    assert equivalence_p(np.array(whole), margin) == max(low, high)
    more, less = above([v - margin for v in whole]), above([-v - margin for v in whole])
    assert beyond_margin_p(np.array(whole), margin, "greater") == more
    assert beyond_margin_p(np.array(whole), margin, "less") == less


@pytest.mark.parametrize("mean", [-0.04, 0.0, 0.03])
def test_p_is_near_that_of_two_one_sided_t_tests(mean: float) -> None:
    change = _normal(mean, 0.05, 30)
    low = stats.ttest_1samp(change, -0.05, alternative="greater").pvalue
    high = stats.ttest_1samp(change, 0.05, alternative="less").pvalue
    assert equivalence_p(change, 0.05) == pytest.approx(max(low, high), abs=0.015)


def test_settings_at_the_margin_are_seldom_called_equivalent() -> None:
    rng = np.random.default_rng(2)
    false = [equivalence_p(rng.normal(0.05, 0.02, size=8), 0.05) <= 0.05 for _ in range(800)]
    assert np.mean(false) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 800)


def test_not_told_apart_is_not_equivalent_and_told_apart_may_be() -> None:
    scattered, near, small, far = (
        _normal(0, 0.2, 10),
        _normal(0, 0.01, 10),
        _normal(0.02, 0.005, 10),
        _normal(0.08, 0.005, 10),
    )
    found = equivalences([scattered, near, small, far], 0.05, 0.95)
    assert [one.shown for one in found] == [False, True, True, False]
    assert found[2].change.low > 0
    assert found[1].p == found[2].p == 2**-10
    assert found[1].p_corrected == 4 * 2**-10  # Holm's first factor: four tests were made


def test_a_change_that_the_interval_leaves_open_is_not_shown() -> None:
    """Nine alike and one far off: a small p of the sign-flip test, but an interval too wide."""
    change = np.append(np.zeros(9), 0.17)
    (found,) = equivalences([change], 0.05, 0.95)
    assert found.p <= 0.05
    assert found.change.high > 0.05
    assert not found.shown


def test_metrics_of_the_same_reconstructions_change_alike() -> None:
    rng = np.random.default_rng(0)
    x, first, second = rng.random((3, 40, 6))
    both = [
        metrics.reconstruction_metrics(x, each, metrics.Domain((0, 1), in_unit_interval=True))
        for each in (first, 0.7 * second + 0.3 * x)
    ]
    changes = {
        name: relative_change(np.array([both[1][name]]), np.array([both[0][name]]), name)[0]
        for name in metrics.METRICS
    }
    assert changes["mse"] == pytest.approx(both[1]["mse"] / both[0]["mse"] - 1)
    assert changes["psnr"] == pytest.approx(changes["mse"])
    assert changes["explained_variance"] == pytest.approx(changes["mse"])
    assert changes["mae"] == pytest.approx(both[1]["mae"] / both[0]["mae"] - 1)
    assert all(change < 0 for change in changes.values())


@pytest.mark.parametrize(
    ("column", "perfect", "other"),
    [("mse", 0.0, 0.1), ("psnr_as_trained", np.inf, 20.0), ("explained_variance", 1.0, 0.9)],
)
def test_no_change_to_a_perfect_baseline_is_known(
    column: str, perfect: float, other: float
) -> None:
    change = relative_change(np.array([other, other]), np.array([perfect, other]), column)
    np.testing.assert_array_equal(change, [np.nan, 0])
    (found,) = equivalences([change], 0.05, 0.95)
    assert np.isnan(found.p)
    assert not found.shown


def test_a_margin_is_above_zero_and_pairs_are_pairs() -> None:
    with pytest.raises(ValueError, match="margin"):
        equivalence_p(np.zeros(3), 0.0)
    with pytest.raises(ValueError, match="pairs"):
        relative_change(np.zeros(3), np.ones(2), "mse")
