"""Exponential, activations and derivatives against float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numba import njit

from offset_autoencoder.models.backend import keras, tf
from offset_autoencoder.training.numba_engine import compiler
from offset_autoencoder.training.numba_engine.kernels import (
    ACTIVATIONS,
    activate,
    exp_of_negative,
    times_derivative,
)

EPSILON = float(np.finfo(np.float32).eps)
INPUTS = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.floats(-200, 200, width=32) | st.sampled_from([0.0, -0.0, 1e-45, -1e-45]),
)


@pytest.fixture(scope="module")
def exponentials() -> Any:
    """The exponential of an array, compiled with the options of the loops it becomes part of."""

    def exponentials(x: Any) -> Any:
        y = np.empty_like(x)
        for i in range(x.size):
            y[i] = exp_of_negative(x[i])
        return y

    return njit(**{**vars(compiler)["_OPTIONS"], "cache": False})(exponentials)


def derivative(name: str, x: Any) -> tuple[Any, Any, Any]:
    """Values of a compiled activation: y, dy/dx; and x, which it leaves unchanged."""
    kind, given, y, gradient = ACTIVATIONS[name], x.copy(), x.copy(), np.ones_like(x)
    activate(kind, y)
    times_derivative(kind, given, y, gradient)
    return y, gradient, given


def test_the_exponential_is_exact_to_a_few_units_in_the_last_place(exponentials: Any) -> None:
    rng = np.random.default_rng(0)
    small = -np.exp(rng.uniform(np.log(1e-38), np.log(87), 200_000))
    for x in (np.linspace(-87, 0, 500_001), small):
        x = x.astype(np.float32)
        expected = np.exp(x.astype(np.float64))
        assert np.abs(exponentials(x) / expected - 1).max() < 4.5 * EPSILON


def test_the_exponential_at_its_edges(exponentials: Any) -> None:
    x = np.array([0.0, -0.0, -1e-45, -87.0, -87.5, -104, -1e30, -np.inf], np.float32)
    least = np.exp(-87.0)
    expected = [1, 1, 1, *[least] * 5]
    np.testing.assert_allclose(exponentials(x), expected, rtol=4.5 * EPSILON)
    assert exponentials(x)[0] == exponentials(x)[1] == 1
    assert np.isnan(exponentials(np.full(20, np.nan, np.float32))).all()


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
@settings(max_examples=40, deadline=None)
@given(x=INPUTS)
def test_activations_and_derivatives_are_those_of_keras(name: str, x: Any) -> None:
    if name == "selu":  # the slope jumps at 0, and rounding takes what is nearest to 0 for it
        x = np.where(np.abs(x) < 1e-6, np.float32(0), x)
    exact = tf.constant(x.astype(np.float64))
    with tf.GradientTape() as tape:
        tape.watch(exact)
        expected = keras.activations.get(name)(exact)
    slope = tape.gradient(expected, exact)
    y, gradient, given = derivative(name, x)
    np.testing.assert_allclose(y, expected, rtol=2e-6, atol=2e-7)
    np.testing.assert_allclose(gradient, slope, rtol=2e-6, atol=4e-7)
    np.testing.assert_array_equal(given, x)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_a_derivative_multiplies_what_is_there(name: str) -> None:
    x = np.linspace(-3, 3, 28, dtype=np.float32).reshape(4, 7)
    y, slope, _ = derivative(name, x)
    above = np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    gradient = above.copy()
    times_derivative(ACTIVATIONS[name], x, y, gradient)
    np.testing.assert_allclose(gradient, above * slope, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_a_nan_stays_one(name: str) -> None:
    """It says that a run diverged; wide enough that the vector code meets it too."""
    x = np.linspace(-3, 3, 40, dtype=np.float32).reshape(1, 40)
    x[0, ::3] = np.nan
    y, _, _ = derivative(name, x)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))
