from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offset_autoencoder.errors import InputError
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.inference import KerasNetwork, split_encoder_decoder
from offset_autoencoder.models.nested import all_layers, layers_named

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


def nested_model(how: str) -> Any:
    """A user's model whose code is that of a model within it."""
    x, offset = keras.Input((6,), name="x"), keras.Input((2,), name="offset")
    h = keras.Input((6,), name="h")
    layers = keras.layers
    hidden = layers.Dense(5, "tanh")(h)
    if how == "a model is the code":
        code = keras.Model(h, layers.Dense(2)(hidden), name="code")(x)
    elif how == "a sequential model is the code":
        code = keras.Sequential([layers.Dense(3, "tanh"), layers.Dense(2)], name="code")(x)
    elif how == "the last layer of a model":
        code = keras.Model(h, layers.Dense(2, name="code")(hidden), name="encoder")(x)
    elif how == "the last layer of a sequential model":
        parts = [keras.Input((6,)), layers.Dense(3, "tanh"), layers.Dense(2, name="code")]
        code = keras.Sequential(parts, name="encoder")(x)
    elif how == "a layer that others follow":
        raw = layers.Dense(2, name="code")(hidden)
        code = keras.Model(h, layers.Rescaling(0.5)(layers.Activation("tanh")(raw)))(x)
    elif how == "one of several outputs":
        both = layers.Dense(2, name="code")(hidden), layers.Dense(2, name="other")(hidden)
        code, _ = keras.Model(h, both, name="encoder")(x)
    elif how == "two models deep":
        inner = keras.Model(h, layers.Dense(2, name="code")(hidden), name="inner")
        g = keras.Input((6,), name="g")
        code = keras.Model(g, inner(layers.Dense(6)(g)), name="encoder")(x)
    else:  # the whole of it within a model, which takes both
        a, b = keras.Input((6,), name="a"), keras.Input((2,), name="b")
        z = layers.Add()([layers.Dense(2, name="code")(layers.Dense(4, "tanh")(a)), b])
        whole = keras.Model({"a": a, "b": b}, layers.Dense(6)(z), name="whole")
        return keras.Model({"x": x, "offset": offset}, whole({"a": x, "b": offset}))
    decoder = keras.Sequential([layers.Dense(5, "tanh"), layers.Dense(6)], name="decoder")
    return keras.Model({"x": x, "offset": offset}, decoder(code + offset))


@pytest.mark.parametrize(
    ("how", "has_code"),
    [
        ("a model is the code", True),
        ("a sequential model is the code", True),
        ("the last layer of a model", True),
        ("the last layer of a sequential model", True),
        ("a layer that others follow", True),
        ("one of several outputs", True),
        ("two models deep", True),
        ("within a model that takes the offset too", False),
    ],
)
def test_a_code_within_a_model_is_found(how: str, has_code: bool) -> None:
    model = nested_model(how)
    x, offset = RNG.random((N, 6), dtype=np.float32), OFFSET[:, :2]
    whole = np.asarray(model({"x": x, "offset": offset}))
    parts = split_encoder_decoder(model, "function")
    assert (parts is not None) is has_code
    network = KerasNetwork(model, "function")
    assert network.has_code is has_code
    np.testing.assert_array_equal(np.asarray(model({"x": x, "offset": offset})), whole)
    if parts is None:
        with pytest.raises(InputError, match="its layer 'code' sees more than x"):
            network.code(x)
        return
    encoded = parts[0]({"x": x, "offset": offset})
    np.testing.assert_array_equal(encoded["offset"], offset)
    halves = parts[1]([encoded["code"], encoded["offset"]])
    np.testing.assert_allclose(halves, whole, rtol=1e-5, atol=1e-6)
    # The layer itself, called by hand on what comes before it.
    (layer,) = layers_named(model, "code")
    kernel, bias = layer.get_weights()[-2:]
    hidden = x
    for kind in _hidden_weights(model, layer):
        hidden = kind(hidden)
    np.testing.assert_allclose(encoded["code"], hidden @ kernel + bias, rtol=1e-4, atol=1e-5)


def _hidden_weights(model: Any, layer: Any) -> list[Any]:
    """The dense layers before the code, in their order."""
    before: list[Any] = []
    inner = layer.layers if hasattr(layer, "layers") else [layer]
    for part in all_layers(model):
        if part is inner[-1]:
            return before
        if isinstance(part, keras.layers.Dense) and part.name != "other":
            before.append(part)
    raise AssertionError
