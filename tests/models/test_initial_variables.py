"""Initial weights of a run: those of a Keras model built with the run's seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offset_autoencoder.config.schema import NETWORK_KINDS, Network, NetworkKind
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import build_model, initial_variables
from offset_autoencoder.models.graph import Node, layer
from offset_autoencoder.models.inference import open_inference
from offset_autoencoder.models.network_kinds import decode_dense


def check(architecture: Architecture, seed: int) -> list[Any]:
    model = build_model(architecture, 0, noise_input=True)
    drawn = initial_variables(architecture, model, seed)
    built = build_model(architecture, seed, noise_input=True)
    assert len(drawn.state) == len(built.non_trainable_variables)
    for value, variable in zip(drawn.weights, built.trainable_variables, strict=True):
        np.testing.assert_array_equal(value, np.asarray(variable), err_msg=variable.path)
    states = {v.path: np.asarray(v) for v in built.non_trainable_weights}
    for value, variable in zip(drawn.state, model.non_trainable_variables, strict=True):
        if variable.path in states:  # seed generators are not used where noise is an input
            np.testing.assert_array_equal(value, states[variable.path], err_msg=variable.path)
    return drawn.weights


def test_every_system_starts_from_the_weights_of_a_stock_model(architecture: Architecture) -> None:
    check(architecture, 7)


def encode_recurrent(
    architecture: Architecture, x: Node, prefix: str, *, activation: str, trainable: bool
) -> Node:
    shape = (architecture.input_dim, 1)
    sequence = layer("Reshape", f"{prefix}sequence", x, target_shape=shape)
    initializers = {"kernel_initializer": "he_normal", "recurrent_initializer": "orthogonal"}
    options = {"units": 5, "trainable": trainable, **initializers}
    return layer("LSTM", f"{prefix}encoder_1", sequence, **options)


RECURRENT = NetworkKind(
    "recurrent",
    keys=(),
    encode=f"{__name__}:encode_recurrent",
    decode=f"{decode_dense.__module__}:{decode_dense.__name__}",
)


@pytest.mark.parametrize("system", ["additive", "two_encoder", "ensemble", "vae"])
def test_a_kind_with_several_random_weights_in_a_layer(
    monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    monkeypatch.setitem(NETWORK_KINDS, "recurrent", RECURRENT)
    network = Network(kind="recurrent", latent_dim=3)
    architecture = Architecture(
        system=system,
        network=network,
        input_dim=6,
        second_activation="tanh",
        encoders=2 if system == "ensemble" else None,
    )
    one, other = check(architecture, 1), check(architecture, 2)
    matrices = [(a, b) for a, b in zip(one, other, strict=True) if a.ndim > 1]
    assert matrices
    assert not any(np.array_equal(a, b) for a, b in matrices)
    model = build_model(architecture, 1)
    x, offset = np.ones((4, 6), np.float32), np.ones((4, 3), np.float32)
    weights = {w.path: np.asarray(w) for w in model.weights}
    ((_, opened),) = open_inference({0: architecture}, lambda _: weights)
    encoded = opened.encode(x, offset)
    np.testing.assert_allclose(
        opened.decoder(x)(encoded.code, encoded.offset),
        np.asarray(model({"x": x, "offset": offset})),
        rtol=1e-5,
    )
