from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from offset_autoencoder.config import Params, SplitName
from offset_autoencoder.config.schema import Anomaly, Evaluate
from offset_autoencoder.evaluation import metrics, statistics
from offset_autoencoder.evaluation.comparison import compare
from offset_autoencoder.evaluation.decoding import reconstruction_metrics
from offset_autoencoder.evaluation.sign_flips import align
from offset_autoencoder.evaluation.statistics import (
    Design,
    equivalences,
    mean_and_interval,
    relative_change,
    two_way_interval,
)
from offset_autoencoder.evaluation.summary import RunRow, summarise

Floats = list[float]


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


def test_the_interval_of_overlapping_splits_is_nadeau_and_bengios() -> None:
    """Ten splits of 90 training and 10 test samples: 1/10 + 1/9 instead of 1/10, t(9) = 2.2622."""
    values = np.array([0.02, 0.01, 0.03, 0.00, 0.02, 0.01, 0.04, 0.02, 0.01, 0.03])
    estimate = mean_and_interval(values, 0.95, overlap=10 / 90)
    # By hand: sum 0.19, sum of squares 0.0049, so the variance is (0.0049 − 0.00361) / 9.
    half = 2.262157 * math.sqrt((1 / 10 + 1 / 9) * 0.00129 / 9)
    assert estimate.mean == pytest.approx(0.019)
    assert estimate.half == pytest.approx(half, rel=1e-6)
    assert estimate.std == mean_and_interval(values, 0.95).std
    with pytest.raises(ValueError, match="overlap"):
        mean_and_interval(values, 0.95, overlap=-0.1)


def test_a_design_says_what_its_intervals_cover() -> None:
    assert Design().covers == "training seeds, on one split"
    assert Design(varies=True, overlap=0.3).covers == "training seeds and splits"


def _crossed(
    seeds: int, samples: int, sizes: tuple[float, float, float], seed: int
) -> NDArray[np.float64]:
    """Values (seeds, samples) of mean zero with normal effects of seed, sample and both."""
    rng = np.random.default_rng(seed)
    return (
        sizes[0] * rng.normal(size=(seeds, 1))
        + sizes[1] * rng.normal(size=samples)
        + sizes[2] * rng.normal(size=(seeds, samples))
    )


def test_the_two_way_interval_is_that_of_the_analysis_of_variance() -> None:
    values = np.array([[1.0, 3.0, 2.0, 6.0], [2.0, 5.0, 2.0, 9.0], [0.0, 4.0, 3.0, 5.0]])
    # By hand: mean 42/12; rows 3, 4.5, 3; columns 1, 4, 7/3, 20/3; total sum of squares 67.
    of_seeds, of_samples = 4 * (0.25 + 1 + 0.25), 3 * (6.25 + 0.25 + 49 / 36 + 361 / 36)
    rest = 67 - of_seeds - of_samples
    means = of_seeds / 2, of_samples / 3, rest / 6
    variance = (means[0] + means[1] - means[2]) / 12
    freedom = (12 * variance) ** 2 / (means[0] ** 2 / 2 + means[1] ** 2 / 3 + means[2] ** 2 / 6)
    estimate = two_way_interval(values, 0.95)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(variance)
    assert (estimate.mean, estimate.count) == (3.5, 3)
    assert (estimate.low, estimate.high) == pytest.approx((3.5 - half, 3.5 + half))


def test_the_two_way_interval_is_no_narrower_than_seeds_alone() -> None:
    """Where samples do not matter, and where they differ less than chance would have it."""
    for sizes in ((1.0, 0.0, 0.0), (1.0, 0.0, 1.0)):
        for seed in range(6):
            values = _crossed(5, 40, sizes, seed)
            alone = mean_and_interval(values.mean(axis=1), 0.95)
            both = two_way_interval(values, 0.95)
            assert both.mean == pytest.approx(alone.mean)
            assert both.half >= alone.half * (1 - 1e-9)
    flat = two_way_interval(np.ones((3, 4)), 0.95)
    assert (flat.low, flat.high) == (1, 1)


def test_the_two_way_interval_covers_the_mean_as_often_as_it_says() -> None:
    """Over other seeds and other samples, where the interval over seeds alone hardly ever does."""
    both = alone = 0
    for repetition in range(400):
        values = _crossed(10, 60, (0.1, 1.0, 0.5), repetition)
        estimates = two_way_interval(values, 0.95), mean_and_interval(values.mean(axis=1), 0.95)
        both += estimates[0].low <= 0 <= estimates[0].high
        alone += estimates[1].low <= 0 <= estimates[1].high
    error = math.sqrt(0.95 * 0.05 / 400)
    assert abs(both / 400 - 0.95) < 4 * error
    assert alone / 400 < 0.8


def test_without_two_seeds_and_samples_there_is_no_two_way_interval() -> None:
    for shape in ((1, 5), (5, 1), (0, 5), (5, 0)):
        estimate = two_way_interval(np.ones(shape), 0.95)
        assert math.isnan(estimate.half)
        assert estimate.count == shape[0]
    with pytest.raises(ValueError, match="samples"):
        two_way_interval(np.ones(3), 0.95)


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


Changes = NDArray[np.float64]


def _normal(mean: float, std: float, count: int, seed: int = 0) -> Changes:
    return np.random.default_rng(seed).normal(mean, std, size=count)


def _equivalence_p(change: Changes, margin: float) -> float:
    return equivalences(change[:, np.newaxis], margin, 0.95)[0].p


@given(st.lists(st.integers(-8, 8), min_size=1, max_size=8), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_p_is_the_larger_of_two_by_listing_every_pattern(whole: list[int], margin: int) -> None:
    """In whole numbers, so that ties are ties."""

    def above(values: list[int]) -> float:
        patterns = itertools.product((1, -1), repeat=len(values))
        sums = [sum(s * v for s, v in zip(signs, values, strict=True)) for signs in patterns]
        return sum(size >= sum(values) for size in sums) / len(sums)

    change = np.array(whole, dtype=np.float64)
    low, high = above([v + margin for v in whole]), above([margin - v for v in whole])
    assert _equivalence_p(change, margin) == max(low, high)


@pytest.mark.parametrize("mean", [-0.04, 0.0, 0.03])
def test_p_is_near_that_of_two_one_sided_t_tests(mean: float) -> None:
    change = _normal(mean, 0.05, 30)
    low = stats.ttest_1samp(change, -0.05, alternative="greater").pvalue
    high = stats.ttest_1samp(change, 0.05, alternative="less").pvalue
    assert _equivalence_p(change, 0.05) == pytest.approx(max(low, high), abs=0.015)


def test_settings_at_the_margin_are_seldom_called_equivalent() -> None:
    """Half of a family at either margin: even one that is called equivalent is a false one."""
    rng = np.random.default_rng(2)
    ends = np.array([0.05, -0.05, 0.05, -0.05])
    false = [
        any(one.p_corrected <= 0.05 for one in equivalences(changes, 0.05, 0.95))
        for changes in ends + 0.02 * rng.normal(size=(800, 8, 4))
    ]
    assert np.mean(false) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 800)


def test_not_told_apart_is_not_equivalent_and_told_apart_may_be() -> None:
    scattered, near, small, far = (
        _normal(0, 0.2, 10),
        _normal(0, 0.01, 10),
        _normal(0.02, 0.005, 10),
        _normal(0.08, 0.005, 10),
    )
    found = equivalences(np.stack([scattered, near, small, far], axis=1), 0.05, 0.95)
    assert [one.shown for one in found] == [False, True, True, False]
    assert found[2].change.low > 0
    assert found[1].p == found[2].p == 2**-10
    # Little is lost to the family: Holm's first factor would be four.
    assert found[1].p_corrected == 2 * 2**-10


def test_a_change_that_the_interval_leaves_open_is_not_shown() -> None:
    """Nine alike and one far off: a small p of the sign-flip test, but an interval too wide."""
    change = np.append(np.zeros(9), 0.17)
    (found,) = equivalences(change[:, np.newaxis], 0.05, 0.95)
    assert found.p <= 0.05
    assert found.change.high > 0.05
    assert not found.shown


def test_metrics_of_the_same_reconstructions_change_alike() -> None:
    rng = np.random.default_rng(0)
    x, first, second = rng.random((3, 40, 6))
    both = [
        reconstruction_metrics(x, each, metrics.Domain((0, 1), in_unit_interval=True))
        for each in (first, 0.7 * second + 0.3 * x)
    ]
    changes = {
        name: relative_change(np.array([both[1][name]]), np.array([both[0][name]]), name)[0]
        for name in both[0]
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
    (found,) = equivalences(align([change], [[0, 1]]), 0.05, 0.95)
    assert np.isnan(found.p)
    assert not found.shown


def test_a_margin_is_above_zero_and_pairs_are_pairs() -> None:
    with pytest.raises(ValueError, match="margin"):
        equivalences(np.zeros((3, 1)), 0.0, 0.95)
    with pytest.raises(ValueError, match="pairs"):
        relative_change(np.zeros(3), np.ones(2), "mse")


@pytest.mark.parametrize(("split", "size"), [("train", 65), ("validation", 15), ("test", 20)])
def test_intervals_over_splits_cover_another_data_set(split: SplitName, size: int) -> None:
    """Errors that the samples alone decide: each split measures some of the same samples."""
    samples, seeds, rng = 100, 20, np.random.default_rng(5)
    design = Design(True, 20 / 65, validation_overlap=15 / 65, training_overlap=65 / 35)
    covered = 0
    for _ in range(400):
        errors = rng.standard_normal(samples)
        means = [errors[rng.permutation(samples)[:size]].mean() for _ in range(seeds)]
        estimate = mean_and_interval(means, 0.95, design.overlap_on(split))
        covered += estimate.low <= 0 <= estimate.high
    assert covered / 400 > 0.92  # of training samples 0.6 by the overlap of test samples


def test_intervals_end_where_a_metric_does(make_params: Callable[..., Params]) -> None:
    """Of means, differences and changes; what they rest on, mean and standard deviation, stays."""
    models = {"none": {"offset": "none"}, "gaussian": {"offset": "none", "stddev": 0.1}}
    params = make_params(seeds=2, models=models)
    values = {"none": (0.5, 0.99), "gaussian": (0.99, 0.6)}
    rows = [
        RunRow(run.label, run, "finished", {"auroc": values[run.setting.label][run.seed]})
        for run in params.runs
    ]
    both = summarise(rows, params.settings, "auroc")
    by_label = {item.setting.label: item.estimate for item in both}
    for label, own in values.items():
        whole, cut = mean_and_interval(own, 0.95), by_label[label]
        assert whole.high > 1
        assert (cut.mean, cut.std) == (whole.mean, whole.std)
        assert (cut.low, cut.high) == (max(whole.low, 0), 1)
        assert (whole.is_cut, cut.is_cut) == (False, True)
    evaluate = Evaluate(metric="auroc", baselines=["none"], anomaly=Anomaly(normal=[0]))
    (item,) = compare(rows, params.settings, evaluate)[:1]
    assert (item.difference.low, item.difference.high) == (-1, 1)
    assert item.equivalence.change.low == -1
    assert item.equivalence.change.is_cut
