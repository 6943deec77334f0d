from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from offset_autoencoder import build_autoencoder
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


def test_the_code_has_unit_norm() -> None:
    model = build_autoencoder(12, 5, seed=1)
    encoder = keras.Model(model.inputs, model.get_layer("unit_code").output)
    code = np.asarray(encoder({"x": X, "offset": OFFSET}))
    np.testing.assert_allclose(np.linalg.norm(code, axis=1), 1, rtol=1e-6)


def test_a_seed_decides_the_weights_whatever_the_noise() -> None:
    plain = build_autoencoder(12, 5, seed=3).get_weights()
    keras.utils.set_random_seed(99)
    noisy = build_autoencoder(12, 5, seed=3, stddev=0.3).get_weights()
    other = build_autoencoder(12, 5, seed=4).get_weights()
    for a, b in zip(plain, noisy, strict=False):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(plain[0], other[0])


def test_no_two_layers_start_alike() -> None:
    model = build_autoencoder(6, 6, (6,), seed=0)
    kernels = [w.ravel() for w in model.get_weights() if w.ndim == 2]
    assert len({kernel.tobytes() for kernel in kernels}) == len(kernels)


def test_no_hidden_layer() -> None:
    model = build_autoencoder(12, 5, (), output="linear", normalize=False)
    assert [tuple(w.shape) for w in model.get_weights()] == [(12, 5), (5,), (5, 12), (12,)]


def test_the_askers_three_lines() -> None:
    model = build_autoencoder(12, 5)
    model.compile("adam", "binary_crossentropy")
    history = model.fit({"x": X, "offset": OFFSET}, X, epochs=3, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


def test_loads_in_safe_mode_in_a_process_of_its_own(tmp_path: Path) -> None:
    model = build_autoencoder(12, 5, stddev=0.1, seed=2)
    model.save(tmp_path / "model.keras")
    np.savez(
        tmp_path / "data.npz", x=X, offset=OFFSET, y=np.asarray(model({"x": X, "offset": OFFSET}))
    )
    program = (
        "import numpy as np, keras, offset_autoencoder.models.layers\n"
        "model = keras.saving.load_model('model.keras', safe_mode=True)\n"
        "d = np.load('data.npz')\n"
        "y = np.asarray(model({'x': d['x'], 'offset': d['offset']}))\n"
        "np.testing.assert_array_equal(y, d['y'])\n"
        "assert sorted(i.name for i in model.inputs) == ['offset', 'x']\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=300)
