from __future__ import annotations

import numpy as np
import pytest

from offset_autoencoder import build_autoencoder

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
