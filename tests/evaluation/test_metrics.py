from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference

from offset_autoencoder.config import Params
from offset_autoencoder.errors import InputError
from offset_autoencoder.evaluation import metrics
from offset_autoencoder.evaluation.decoding import MetricSums, reconstruction_metrics, variance_of

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def value_of(name: str, x: NDArray[Any], reconstruction: NDArray[Any]) -> float:
    domain = metrics.Domain((0, 1), in_unit_interval=name == "binary_crossentropy")
    return reconstruction_metrics(x, reconstruction, domain)[name]


explained_variance = functools.partial(value_of, "explained_variance")
crossentropy = functools.partial(value_of, "binary_crossentropy")


def _pair(seed: int, shape: tuple[int, int] = (50, 7)) -> Pair:
    rng = np.random.default_rng(seed)
    return rng.random(shape, dtype=np.float32), rng.random(shape, dtype=np.float32)


@given(st.integers(0, 2**31), st.integers(2, 40), st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_errors_and_explained_variance_are_scikit_learns(seed: int, n: int, width: int) -> None:
    x, reconstruction = _pair(seed, (n, width))
    wide, out = x.astype(np.float64), reconstruction.astype(np.float64)
    for name, error in (
        ("mse", reference.mean_squared_error),
        ("mae", reference.mean_absolute_error),
    ):
        assert value_of(name, x, reconstruction) == pytest.approx(error(wide, out))
    assert explained_variance(x, reconstruction) == pytest.approx(
        reference.r2_score(wide, out, multioutput="variance_weighted")
    )


def test_cross_entropy_is_the_log_loss_of_each_pixel() -> None:
    x, reconstruction = _pair(0)
    total = 0.0
    for target, output in zip(x.ravel().tolist(), reconstruction.ravel().tolist(), strict=True):
        total -= target * math.log(output) + (1 - target) * math.log(1 - output)
    assert crossentropy(x, reconstruction) == pytest.approx(total / x.size)


def test_cross_entropy_of_a_certain_and_wrong_output_is_clipped_as_keras_does() -> None:
    ones = np.ones((1, 1))
    assert crossentropy(ones, 0 * ones) == pytest.approx(-math.log(1e-7))
    assert crossentropy(ones, ones) == pytest.approx(1e-7)


def test_cross_entropy_refuses_data_that_are_no_probabilities() -> None:
    with pytest.raises(ValueError, match="0, 1"):
        crossentropy(np.array([[2.0]]), np.array([[0.5]]))


def test_psnr_in_decibels_of_a_known_error() -> None:
    x = np.zeros((4, 3))

    def psnr(reconstruction: NDArray[np.float64], data_range: tuple[float, float]) -> float:
        return reconstruction_metrics(x, reconstruction, metrics.Domain(data_range))["psnr"]

    assert psnr(x + 0.1, (0, 1)) == pytest.approx(20)
    assert psnr(x + 0.1, (-1, 1)) == pytest.approx(20 + 20 * math.log10(2))
    assert psnr(x, (0, 1)) == math.inf


def test_explained_variance_of_the_mean_is_zero_and_of_constant_data_unknown() -> None:
    x, _ = _pair(1)
    mean = np.broadcast_to(x.astype(np.float64).mean(axis=0), x.shape)
    assert explained_variance(x, mean) == pytest.approx(0, abs=1e-12)
    assert explained_variance(x, x) == 1
    assert math.isnan(explained_variance(np.ones((3, 2)), np.zeros((3, 2))))


@given(st.integers(0, 2**31), st.lists(st.integers(1, 9), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_in_blocks_of_any_size_the_metrics_are_those_of_the_whole(
    seed: int, sizes: list[int]
) -> None:
    x, reconstruction = _pair(seed, (sum(sizes), 4))
    x += 100  # a mean far from zero takes no digits of the variance
    reconstruction += 100
    anomalies = np.arange(len(x)) % 2 == 0
    domain = metrics.Domain((100, 101), anomalies=anomalies if len(x) > 1 else None)
    sums = MetricSums(domain, variance_of(x), errors=["mae"])
    ends = np.cumsum(sizes)[:-1]
    for pair in zip(np.split(x, ends), np.split(reconstruction, ends), strict=True):
        sums.add(*pair)
    whole = reconstruction_metrics(x, reconstruction, domain)
    assert sums.values() == pytest.approx(whole, rel=1e-9, abs=1e-9, nan_ok=True)
    by_hand = np.abs(reconstruction.astype(np.float64) - x).mean(axis=1)
    np.testing.assert_allclose(sums.errors("mae"), by_hand)


def test_a_tiny_error_beside_large_values_is_not_lost_in_float32() -> None:
    x = np.full((2, 2), 1000, dtype=np.float32)
    off = np.nextafter(x, np.float32(np.inf))
    assert value_of("mse", x, off) == pytest.approx(float(off[0, 0] - x[0, 0]) ** 2)


def test_only_metrics_that_apply_are_given() -> None:
    x, reconstruction = _pair(2)
    domain = metrics.Domain((0, 1), in_unit_interval=True)
    every = reconstruction_metrics(x, reconstruction, domain)
    assert list(every) == [name for name, each in metrics.METRICS.items() if not each.detects]
    few = reconstruction_metrics(x, reconstruction, metrics.Domain(None))
    assert set(few) == {"mse", "mae", "explained_variance"}


def test_shapes_that_do_not_fit_are_refused_rather_than_broadcast() -> None:
    with pytest.raises(ValueError, match="shapes"):
        value_of("mse", np.zeros((3, 2)), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="shapes"):
        value_of("mse", np.zeros((0, 2)), np.zeros((0, 2)))


@pytest.mark.parametrize("key", ["evaluate.metric", "tracking.champion_metric"])
def test_a_metric_that_there_is_not_is_refused(
    key: str, make_params: Callable[..., Params]
) -> None:
    section, _, name = key.partition(".")
    expected = rf"params\.yaml: {key}: unknown value 'rmse' \(did you mean 'mse'\?\)"
    with pytest.raises(InputError, match=expected):
        metrics.check_metrics(make_params(**{section: {name: "rmse"}}))
    metrics.check_metrics(make_params(**{section: {name: "mae"}}))
    with pytest.raises(InputError, match=r"metric: unknown value 'rmse' \(did you mean 'mse'"):
        metrics.metric_of("rmse_clean")


@pytest.mark.parametrize(
    ("column", "metric", "higher"),
    [
        ("mse", "mse", False),
        ("mse_as_trained", "mse", False),
        ("psnr_clean", "psnr", True),
        ("explained_variance", "explained_variance", True),
    ],
)
def test_direction_of_a_column(column: str, metric: str, higher: bool) -> None:
    assert metrics.metric_of(column).name == metric
    assert metrics.higher_is_better(column) is higher
