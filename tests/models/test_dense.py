from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offset_autoencoder.config.registries import ACTIVATIONS as NAMES
from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.dense import ACTIVATIONS, forward, unit_norm
from offset_autoencoder.models.layers import UnitNorm


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", NAMES)
def test_activations_are_those_of_keras(activation: str, dtype: Any) -> None:
    x = np.linspace(-30, 30, 121, dtype=dtype)[None]
    times = 1 if activation == "exponential" else 2
    layers = [(np.eye(121, dtype=np.float32), np.zeros(121, np.float32), activation)] * times
    expected = keras.ops.convert_to_tensor(x)
    for _ in layers:
        expected = keras.activations.get(activation)(expected)
    out = forward(x, layers)
    np.testing.assert_allclose(out, np.asarray(expected), rtol=2e-6, atol=1e-9)
    assert out.dtype == dtype


def test_every_function_has_a_name_of_the_params() -> None:
    assert set(ACTIVATIONS) <= set(NAMES)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unit_norm_is_that_of_the_models(dtype: Any) -> None:
    x = np.array([[3.0, 4.0], [0.0, 0.0], [1e-7, 0.0], [-2e-6, 0.0]], dtype)
    expected = np.asarray(UnitNorm()(x.astype(np.float32)))
    np.testing.assert_allclose(unit_norm(x), expected, 1e-6)
    assert unit_norm(x).dtype == dtype
