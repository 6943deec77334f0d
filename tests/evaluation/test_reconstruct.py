from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offset_autoencoder.config.schema import Network
from offset_autoencoder.evaluation.reconstruct import compile_reconstruction, reconstruct
from offset_autoencoder.training.population import Population, build_model

N, D, L = 23, 6, 3
RNG = np.random.default_rng(0)
X = RNG.random((N, D), dtype=np.float32)
RUNS = 18  # more than one stack
ADDED = [RNG.normal(size=(N, L)).astype(np.float32) for _ in range(RUNS)]


@pytest.fixture(scope="module")
def population() -> Population:
    return Population(Network(latent_dim=L, hidden=[5]), D, 1, "sgd")


@pytest.fixture(scope="module")
def weights(population: Population) -> list[Any]:
    return [population.initial_weights(seed) for seed in range(RUNS)]


@pytest.fixture(scope="module")
def program(population: Population) -> Any:
    return compile_reconstruction(population)


@pytest.fixture(scope="module")
def outputs(population: Population, program: Any, weights: list[Any]) -> list[Any]:
    return list(reconstruct(population, program, weights, X, ADDED))


def test_every_run_gives_what_its_keras_model_predicts(
    population: Population, outputs: list[Any], weights: list[Any]
) -> None:
    assert population.stack < RUNS
    assert len(outputs) == RUNS
    model = build_model(population.network, D)
    for output, own, added in zip(outputs, weights, ADDED, strict=True):
        model.set_weights(own)
        expected = model.predict({"x": X, "offset": added}, verbose=0)
        assert output.dtype == np.float32
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)


def test_a_run_does_not_depend_on_its_company(
    population: Population, program: Any, outputs: list[Any], weights: list[Any]
) -> None:
    for chosen in ([17], [3, 0], [16, 5, 17]):
        few = reconstruct(
            population, program, [weights[i] for i in chosen], X, [ADDED[i] for i in chosen]
        )
        for number, output in zip(chosen, few, strict=True):
            np.testing.assert_array_equal(output, outputs[number])


def test_no_runs_no_reconstructions(population: Population, program: Any) -> None:
    assert list(reconstruct(population, program, [], X, [])) == []


def test_a_large_network_is_taken_run_by_run() -> None:
    large = Population(Network(latent_dim=L, hidden=[20_000]), D, 1, "sgd")
    assert large.stack == 1
    weights = [large.initial_weights(seed) for seed in range(2)]
    first, second = reconstruct(large, compile_reconstruction(large), weights, X, ADDED[:2])
    assert first.shape == second.shape == (N, D)
    assert not np.array_equal(first, second)
