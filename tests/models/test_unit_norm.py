from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from offset_autoencoder.models.backend import keras, tf
from offset_autoencoder.models.layers import UnitNorm


@settings(max_examples=30, deadline=None)
@given(arrays(np.float32, (3, 5), elements=st.floats(-100, 100, width=32)))
def test_length_is_one_or_the_vector_has_none(x: np.ndarray) -> None:
    y = np.asarray(UnitNorm()(x))
    long_enough = np.linalg.norm(x.astype(float), axis=1) > 2e-6
    np.testing.assert_allclose(np.linalg.norm(y[long_enough], axis=1), 1, rtol=1e-6)
    assert np.isfinite(y).all()


def test_direction_is_kept() -> None:
    x = np.array([[3.0, -4.0]], np.float32)
    np.testing.assert_allclose(np.asarray(UnitNorm()(x)), [[0.6, -0.8]], rtol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-7, 1.0, 1e18])
def test_gradient_is_finite(scale: float) -> None:
    x = tf.constant(np.full((2, 4), scale, np.float32))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(UnitNorm()(x) * [[1.0, 2.0, 3.0, 4.0]])
    gradient = np.asarray(tape.gradient(y, x))
    assert np.isfinite(gradient).all()
    if scale < 1e-6:
        assert not gradient.any()


def test_gradient_agrees_with_the_closed_form() -> None:
    x = np.random.default_rng(0).normal(size=(1, 4))
    v = np.array([[1.0, -2.0, 0.5, 3.0]])
    variable = tf.constant(x, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        y = tf.reduce_sum(UnitNorm()(variable) * v.astype(np.float32))
    norm = np.linalg.norm(x)
    unit = x / norm
    expected = (v - unit * (unit @ v.T)) / norm
    np.testing.assert_allclose(np.asarray(tape.gradient(y, variable)), expected, rtol=1e-5)


def test_survives_serialisation() -> None:
    layer = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(UnitNorm(epsilon=1e-3, name="unit"))
    )
    assert isinstance(layer, UnitNorm)
    assert (layer.epsilon, layer.name) == (1e-3, "unit")
