from __future__ import annotations

import numpy as np
import pytest

from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.training.engine import Population


@pytest.mark.parametrize("seed", [0, 7])
def test_a_run_starts_from_the_weights_of_a_stock_model(
    architecture: Architecture, seed: int
) -> None:
    population = Population(architecture, 8, "adam")
    model = build_model(architecture, seed, noise_input=True)
    initial = population.weights_of(population.initial(seed))
    expected = {weight.path: np.asarray(weight) for weight in model.weights}
    assert sorted(population.weight_names) == sorted(expected)
    for name, value in zip(population.weight_names, initial, strict=True):
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
