from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.inference import split_encoder_decoder

N, L = 9, 4
RNG = np.random.default_rng(0)
OFFSET = RNG.normal(size=(N, L)).astype(np.float32)


def test_the_halves_make_the_whole(architecture: Any) -> None:
    model = build_model(architecture, 5, 0.0 if architecture.system == "vae" else 0.3)
    x = RNG.random((N, architecture.input_dim), dtype=np.float32)
    whole = np.asarray(model({"x": x, "offset": OFFSET}))
    parts = split_encoder_decoder(model, architecture.system)
    assert parts is not None
    encoded = parts[0]({"x": x, "offset": OFFSET})
    assert encoded["code"].shape == encoded["offset"].shape == (N, L)
    halves = np.asarray(parts[1]([encoded["code"], encoded["offset"]]))
    np.testing.assert_allclose(halves, whole, rtol=1e-5, atol=1e-6)


def test_the_code_is_what_it_is_before_anything_is_added(architecture: Any) -> None:
    model = build_model(architecture, 5)
    parts = split_encoder_decoder(model, architecture.system)
    assert parts is not None
    x = RNG.random((N, architecture.input_dim), dtype=np.float32)
    one, other = (parts[0]({"x": x, "offset": f * OFFSET}) for f in (0.0, 1.0))
    np.testing.assert_array_equal(one["code"], other["code"])
    added = np.asarray(other["offset"]) - np.asarray(one["offset"])
    np.testing.assert_allclose(added, OFFSET, rtol=1e-4, atol=1e-6)
    code = np.asarray(one["code"])
    if architecture.network.normalize == "unit" and architecture.system not in ("vae", "ensemble"):
        np.testing.assert_allclose(np.linalg.norm(code, axis=1), 1, rtol=1e-5)
    second = np.asarray(one["offset"])
    assert second.any() == (architecture.system == "two_encoder")
    if architecture.second_rms:
        power = np.sqrt(np.mean(second.astype(np.float64) ** 2, axis=1))
        np.testing.assert_allclose(power, architecture.second_rms, rtol=1e-5)


def users_model(*, name: str | None, reads_x: bool = False, sees_offset: bool = False) -> Any:
    x, offset = keras.Input((6,), name="x"), keras.Input((2,), name="offset")
    seen = keras.layers.Concatenate()([x, offset]) if sees_offset else x
    z = keras.layers.Dense(2, name=name)(seen) + offset
    if reads_x:
        z = keras.layers.Concatenate()([z, x])
    return keras.Model({"x": x, "offset": offset}, keras.layers.Dense(6)(z))


@pytest.mark.parametrize(
    "model",
    [
        {"name": None},
        {"name": "unit_code"},
        {"name": "code", "reads_x": True},
        {"name": "code", "sees_offset": True},
    ],
    ids=str,
)
def test_what_cannot_be_taken_apart_is_none(model: dict[str, Any]) -> None:
    assert split_encoder_decoder(users_model(**model), "function") is None
