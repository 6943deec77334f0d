from __future__ import annotations

import numpy as np
import pytest

from offset_autoencoder.models.backend import keras, tf
from offset_autoencoder.training.stacked.optimizers import OPTIMIZERS

KERAS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_follows_keras_for_each_run_with_its_own_rate(name: str) -> None:
    rng = np.random.default_rng(0)
    start = rng.normal(size=(3, 4, 2)).astype(np.float32)
    gradients = rng.normal(size=(25, 3, 4, 2)).astype(np.float32) * 0.1
    rates = np.array([1e-3, 1e-2, 0.1], np.float32)

    rule = OPTIMIZERS[name]
    weight = tf.constant(start)
    moments = [tf.zeros_like(start)] * rule.moments
    for step, gradient in enumerate(gradients, start=1):
        number = tf.constant(float(step))
        weight, *moments = rule.update(
            weight, tf.constant(gradient), tuple(moments), rates.reshape(3, 1, 1), number
        )

    for run, rate in enumerate(rates):
        variable = keras.Variable(start[run])
        optimizer = KERAS[name](learning_rate=float(rate))
        for gradient in gradients[:, run]:
            optimizer.apply([tf.constant(gradient)], [variable])
        np.testing.assert_allclose(weight[run], np.asarray(variable.value), rtol=2e-5, atol=2e-6)


def test_rates_of_stacked_runs_do_not_mix() -> None:
    weight = tf.ones([2, 3])
    new, *_ = OPTIMIZERS["sgd"].update(weight, weight, (), tf.constant([[0.0], [1.0]]), 1.0)
    np.testing.assert_array_equal(new, [[1, 1, 1], [0, 0, 0]])
