from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from offset_autoencoder import InputError, build_autoencoder
from offset_autoencoder.models.backend import keras

X = np.random.default_rng(0).random((20, 12), dtype=np.float32)
OFFSET = np.random.default_rng(1).normal(size=(20, 5)).astype(np.float32)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("normalize", [True, False])
def test_computes_the_equation(normalize: bool) -> None:
    model = build_autoencoder(12, 5, (8, 6), normalize=normalize, seed=4)
    w = [np.asarray(v, np.float64) for v in model.get_weights()]
    code = relu(relu(X @ w[0] + w[1]) @ w[2] + w[3]) @ w[4] + w[5]
    if normalize:
        code = code / np.linalg.norm(code, axis=1, keepdims=True)
    hidden = relu(relu((code + OFFSET) @ w[6] + w[7]) @ w[8] + w[9])
    expected = sigmoid(hidden @ w[10] + w[11])
    actual = np.asarray(model({"x": X, "offset": OFFSET}))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def test_no_hidden_layer() -> None:
    model = build_autoencoder(12, 5, (), output="linear", normalize=False)
    assert [tuple(w.shape) for w in model.get_weights()] == [(12, 5), (5,), (5, 12), (12,)]


def test_the_askers_three_lines() -> None:
    model = build_autoencoder(12, 5)
    model.compile("adam", "binary_crossentropy")
    history = model.fit({"x": X, "offset": OFFSET}, X, epochs=3, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


@pytest.mark.parametrize(
    ("keys", "widths"),
    [
        ({"hidden": 7}, [7]),
        ({"hidden": np.int64(7), "latent_dim": np.int32(5)}, [7]),
        ({"hidden": np.array([8, 6])}, [8, 6]),
        ({"activation": keras.layers.LeakyReLU(0.1), "hidden": 7}, [7]),
        ({"activation": keras.ops.tanh, "output": keras.ops.sigmoid}, [32]),
        ({"activation": keras.activations.gelu, "output": None}, [32]),
        ({"activation": "swish", "output": keras.activations.sigmoid}, [32]),
        ({"activation": "hard_swish"}, [32]),
    ],
)
def test_takes_what_keras_takes(keys: dict[str, Any], widths: list[int]) -> None:
    model = build_autoencoder(12, **{"latent_dim": 5, **keys})
    assert model.get_layer("encoder_1").units == widths[0]
    activation = keras.activations.get(keys.get("activation", "relu"))
    dense = model.get_layer("encoder_1")
    np.testing.assert_allclose(dense(X), activation(X @ dense.kernel + dense.bias), rtol=1e-5)
    output = keras.activations.get(keys.get("output", "sigmoid"))
    last = model.layers[-1]
    hidden = np.ones((3, last.kernel.shape[0]), np.float32)
    expected = output(hidden @ last.kernel + last.bias)
    np.testing.assert_allclose(last(hidden), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"activation": keras.layers.LeakyReLU},
            "activation: must be a Keras activation, its name, ",
        ),
        ({"activation": 3}, "activation: must be a Keras activation, its name, or a function of "),
        ({"output": "sigmod"}, "output: unknown value 'sigmod' (did you mean 'sigmoid'?)"),
        ({"hidden": 3.5}, "hidden[0]: should be a valid integer"),
        ({"hidden": [8, 0]}, "hidden[1]: should be greater than or equal to 1, got 0"),
        ({"latent_dim": "a"}, "latent_dim: should be a valid integer"),
        ({"input_dim": 0}, "input_dim: should be greater than or equal to 1, got 0"),
        ({"stddev": -1}, "stddev: should be greater than or equal to 0, got -1"),
        ({"seed": None}, "seed: should be a valid integer, got None"),
        ({"hiden": 8}, "hiden: unknown key (did you mean 'hidden'?)"),
    ],
)
def test_a_wrong_argument_is_one_line_that_names_it(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"build_autoencoder.{message}")) as caught:
        build_autoencoder(**{"input_dim": 12, **keys})
    assert "\n" not in str(caught.value)
