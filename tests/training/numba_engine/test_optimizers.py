"""The compiled optimizers against those of Keras."""

from __future__ import annotations

import numpy as np
import pytest

from offset_autoencoder.config.registries import OPTIMIZERS as RECORDS
from offset_autoencoder.models.backend import keras, tf
from offset_autoencoder.training.numba_engine.kernels import MOMENTS, OPTIMIZERS, update

KERAS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


@pytest.mark.parametrize("rate", [1e-3, 0.1])
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_follows_keras_step_by_step(name: str, rate: float) -> None:
    rng = np.random.default_rng(0)
    start = rng.normal(size=37).astype(np.float32)
    gradients = rng.normal(size=(25, 37)).astype(np.float32) * 0.1
    gradients[:, 5] = 0  # as behind a dead unit
    gradients[:, 6] *= 1e-6  # so that it shows where epsilon stands

    kind, weights = OPTIMIZERS[name], start.copy()
    moments = np.zeros((MOMENTS[kind], 37), np.float32)
    variable, optimizer = keras.Variable(start), KERAS[name](learning_rate=rate)
    for step, gradient in enumerate(gradients, start=1):
        for part in ((0, 20), (20, 37)):
            update(kind, weights, gradient, moments, *part, rate, step)
        optimizer.apply([tf.constant(gradient)], [variable])
        expected = np.asarray(variable.value)
        # Moments nearly cancel: a step is exact to a share of the rate, not of itself.
        np.testing.assert_allclose(weights, expected, rtol=2e-5, atol=1e-4 * rate)


def test_every_optimizer_that_can_be_asked_for_is_here() -> None:
    slots = {name: MOMENTS[kind] for name, kind in OPTIMIZERS.items()}
    assert slots == {name: RECORDS[name].slots for name in OPTIMIZERS}


def test_no_unknown_kind_is_taken_for_another() -> None:
    weights = np.ones(3, np.float32)
    with pytest.raises(ValueError, match="unknown kind of optimizer"):
        update(len(OPTIMIZERS), weights, weights, np.zeros((2, 3), np.float32), 0, 3, 0.1, 1)
    np.testing.assert_array_equal(weights, 1)
