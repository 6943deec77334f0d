"""Dropout of every kind of network, and codes of mean squared norm 1 over the training split."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.training.small_runs import X_VALIDATION, D, L, X, job, population, train

from offset_autoencoder.config.schema import Network
from offset_autoencoder.config.systems import Model
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.models.dense import DenseNetwork
from offset_autoencoder.training.engine import Population

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.mark.parametrize("memory_limit", [None, X.nbytes // 2])
def test_the_mean_power_of_codes_is_one_over_the_training_split(memory_limit: int | None) -> None:
    """By hand from the weights: with dropout off, for one sample as for all, and at an Eb/N0."""
    network = Network(latent_dim=L, hidden=[8], normalize="power", dropout=0.4)
    shared = replace(population(network, memory_limit=memory_limit), most_slots=1)
    run = train([job("a", 3, epochs=3)], shared)["a"]
    weights = dict(zip(shared.weight_names, run.weights or [], strict=True))
    hidden = np.maximum(X @ weights["encoder_1/kernel"] + weights["encoder_1/bias"], 0)
    code = hidden @ weights["code/kernel"] + weights["code/bias"]
    power = float(np.mean(np.sum(np.square(code, dtype=np.float64), axis=1)))
    assert weights["power_code/power"] == pytest.approx(power, rel=1e-5)
    ours = DenseNetwork(shared.architecture, weights)

    def encode(x: Any) -> Any:
        return ours.encode(x, np.zeros((len(x), L), np.float32)).code

    for x, expected in zip(X[:3], code[:3] / math.sqrt(power), strict=True):
        np.testing.assert_allclose(encode(x[None]), [expected], rtol=1e-4)
    codes = encode(X)
    energy_per_bit = np.mean(np.sum(np.square(codes), axis=1)) / 4
    noise_density = 2 * Model.model_validate({"ebn0_db": 3.0, "bits": 4}).stddev ** 2
    assert 10 * math.log10(energy_per_bit / noise_density) == pytest.approx(3.0, abs=1e-4)


KINDS: dict[str, dict[str, Any]] = {
    "dense": {"hidden": [6]},
    "convolutional_1d": {"filters": [3], "kernel_size": 3},
    "recurrent": {"hidden": [4], "cell": "gru"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_acts_in_training_alone_and_repeats_by_seed(kind: str) -> None:
    network = Network.model_validate({"kind": kind, "latent_dim": L, "dropout": 0.5, **KINDS[kind]})
    architecture = Architecture(
        network=network, input_dim=D, sequence_shape=None if kind == "dense" else [D // 2, 2]
    )
    nothing = np.zeros((len(X_VALIDATION), L), np.float32)
    inputs = {"x": X_VALIDATION, "offset": nothing}
    model = build_model(architecture, 3)
    dropped = [np.asarray(model(inputs, training=True)) for _ in range(2)]
    kept = [np.asarray(model(inputs, training=False)) for _ in range(2)]
    assert not np.allclose(dropped[0], dropped[1])
    np.testing.assert_array_equal(kept[0], kept[1])
    np.testing.assert_array_equal(build_model(architecture, 3)(inputs, training=True), dropped[0])
    places = {layer.name for layer in model.layers if layer.name.endswith("_dropout")}
    assert {name[:7] for name in places} == {"encoder", "decoder"}
    shared = Population(architecture, len(X), "adam")
    runs = [job("a", 3, epochs=2, offset_factor=0.0), job("b", 4, epochs=2, offset_factor=0.0)]
    once, again = train(runs, shared), train(runs[:1], shared)
    for ours, same in zip(once["a"].weights or [], again["a"].weights or [], strict=True):
        np.testing.assert_array_equal(ours, same)
    assert not np.array_equal(once["a"].loss, once["b"].loss)
    model.set_weights(once["a"].weights)
    y = np.asarray(model(inputs, training=False), np.float64)
    entropy = -np.mean(X_VALIDATION * np.log(y) + (1 - X_VALIDATION) * np.log(1 - y))
    assert once["a"].val_loss[-1] == pytest.approx(entropy, rel=1e-4)
