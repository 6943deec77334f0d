from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offset_autoencoder.models.backend import keras, tf
from offset_autoencoder.training.stacked.losses import reconstruction_loss, sigmoid_crossentropy


def by_hand(x: Any, logits: Any) -> Any:
    """Binary cross-entropy in float64: log(1 + exp(l)) − l·x, the mean over everything."""
    x, logits = np.asarray(x, np.float64), np.asarray(logits, np.float64)
    return np.mean(np.logaddexp(0, logits) - logits * x)


@settings(max_examples=40, deadline=None)
@given(
    features=st.sampled_from([1, 2, 12, 63, 64, 67, 128, 130, 784]),
    batch=st.integers(1, 5),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 30.0, 1e4]),
    seed=st.integers(0, 99),
)
def test_the_entropy_and_its_gradient_are_those_of_the_definition(
    features: int, batch: int, scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.random((batch, features), dtype=np.float32)
    x[rng.random(x.shape) < 0.3] = rng.integers(2)
    logits = (scale * rng.normal(size=x.shape)).astype(np.float32)
    variable = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        loss = 3 * sigmoid_crossentropy(x, variable)
    np.testing.assert_allclose(float(loss), 3 * by_hand(x, logits), rtol=2e-6, atol=1e-7)
    sigmoid = np.exp(-np.logaddexp(0, -logits.astype(np.float64)))
    expected = 3 * (sigmoid - x) / x.size
    gradient = np.asarray(tape.gradient(loss, variable))
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6 / x.size)


@pytest.mark.parametrize(
    ("loss", "activation"),
    [
        ("binary_crossentropy", "sigmoid"),
        ("categorical_crossentropy", "softmax"),
        ("mean_squared_error", "sigmoid"),
        ("mean_squared_error", "linear"),
    ],
)
@pytest.mark.parametrize("hidden", [True, False])
def test_every_loss_is_the_one_that_keras_reports(loss: str, activation: str, hidden: bool) -> None:
    # Where something follows the sigmoid, its logits are not at hand.
    rng = np.random.default_rng(0)
    x = rng.random((9, 12), dtype=np.float32)
    logits = rng.normal(size=x.shape).astype(np.float32)
    output = keras.activations.get(activation)(tf.constant(logits))
    output = tf.reshape(output, (9, 12)) if hidden else output
    model = keras.Sequential([keras.Input((12,)), keras.layers.Activation(activation)])
    model.compile(loss=loss)
    expected = model.evaluate(logits, x, batch_size=9, verbose=0)
    assert float(reconstruction_loss(loss, x, output)) == pytest.approx(expected, rel=1e-5)
