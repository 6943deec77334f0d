from __future__ import annotations

import numpy as np
import pytest

from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.layers import CodeNoise


def test_adds_nothing_outside_training() -> None:
    x = np.ones((4, 3), np.float32)
    np.testing.assert_array_equal(np.asarray(CodeNoise(0.5)(x, training=False)), x)


@pytest.mark.parametrize("stddev", [0.1, 2.5])
def test_noise_has_the_power_asked_for(stddev: float) -> None:
    noise = np.asarray(CodeNoise(stddev, seed=3)(np.zeros((20_000, 2), np.float32), training=True))
    np.testing.assert_allclose(noise.std(), stddev, rtol=0.02)
    np.testing.assert_allclose(noise.mean(), 0, atol=0.03 * stddev)


def test_noise_is_drawn_anew_and_repeats_by_seed() -> None:
    x = np.zeros((8, 3), np.float32)
    first, second = CodeNoise(1.0, seed=1), CodeNoise(1.0, seed=1)
    a, b = np.asarray(first(x, training=True)), np.asarray(first(x, training=True))
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(np.asarray(second(x, training=True)), a)


def test_refuses_a_negative_stddev() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        CodeNoise(-0.1)


def test_survives_serialisation() -> None:
    layer = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(CodeNoise(1.5, seed=9))
    )
    assert isinstance(layer, CodeNoise)
    assert (layer.stddev, layer.seed) == (1.5, 9)
