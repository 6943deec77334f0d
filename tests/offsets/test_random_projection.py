from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from offset_autoencoder.config.offset_kinds import RandomProjectionOffset
from offset_autoencoder.offsets import linear, random_projection
from offset_autoencoder.offsets.kind import Float32, Samples, State, Training

WHERE = "params.yaml: offsets.projection"


def fit(x: Float32, latent_dim: int, seed: int = 0) -> State:
    return random_projection.fit(WHERE, RandomProjectionOffset(seed=seed), Training(x), latent_dim)


def samples(n: int, input_dim: int, seed: int = 1) -> Float32:
    return np.random.default_rng(seed).random((n, input_dim), dtype=np.float32)


def test_matrix_is_gaussian_with_variance_one_over_latent_dim() -> None:
    matrix = fit(samples(5, 400), 50)["projection"]
    assert matrix.shape == (400, 50)
    assert stats.kstest((matrix * np.sqrt(50)).ravel(), "norm").pvalue > 1e-4


def test_keeps_squared_norms_and_distances_on_average() -> None:
    x = samples(100, 500)
    table = random_projection.apply(WHERE, fit(x, 300), Samples(x)).astype(np.float64)
    centred = x - x.mean(axis=0)
    ratios = (table**2).sum(axis=1) / (centred**2).sum(axis=1)
    assert abs(ratios.mean() - 1) < 0.05
    distances = ((table[:50] - table[50:]) ** 2).sum(axis=1)
    np.testing.assert_allclose(distances, ((x[:50] - x[50:]) ** 2).sum(axis=1), rtol=0.5)


def test_is_the_centred_sample_times_the_matrix() -> None:
    x, other = samples(40, 7), samples(9, 7, seed=2)
    state = fit(x, 3)
    mean = x.mean(axis=0)
    expected = [
        [
            sum((float(v) - float(m)) * float(p) for v, m, p in zip(row, mean, column, strict=True))
            for column in state["projection"].T
        ]
        for row in other
    ]
    got = random_projection.apply(WHERE, state, Samples(other))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_seed_decides_and_shared_numbers_are_not_drawn_elsewhere() -> None:
    x = samples(10, 12)
    assert np.array_equal(fit(x, 4)["projection"], fit(x, 4)["projection"])
    assert not np.array_equal(fit(x, 4)["projection"], fit(x, 4, seed=1)["projection"])
    plain = np.random.default_rng(0).standard_normal((12, 4)) / 2
    assert not np.any(np.isclose(fit(x, 4)["projection"], plain))


def test_many_rows_are_multiplied_in_float32_and_as_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    x = samples(3000, 200)
    state = fit(x, 16)
    expected = (x.astype(np.float64) - state["mean"]) @ state["projection"]
    exact = random_projection.apply(WHERE, state, Samples(x))
    np.testing.assert_array_equal(exact, expected.astype(np.float32))
    monkeypatch.setattr(linear, "_MANY_VALUES", 1000)
    monkeypatch.setattr(linear, "_PRODUCT_ROWS", 700)
    got = random_projection.apply(WHERE, state, Samples(x))
    assert not np.array_equal(got, exact)  # another way was taken
    error = np.linalg.norm(got - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert error.max() < 3e-6


def test_many_rows_far_from_the_origin_lose_no_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "_MANY_VALUES", 1000)
    x = np.random.default_rng(0).integers(0, 3, (3000, 200)).astype(np.float32) + 1e6
    state = fit(x, 16)
    expected = (x.astype(np.float64) - state["mean"]) @ state["projection"]
    got = random_projection.apply(WHERE, state, Samples(x))
    np.testing.assert_array_equal(got, expected.astype(np.float32))
