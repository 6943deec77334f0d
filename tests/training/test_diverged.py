"""A NaN anywhere ends a run at once, as one that diverged; it is never trained around."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.config.schema import Network
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import Variables
from offset_autoencoder.runs.files import TrainedRun
from offset_autoencoder.training.engine import Population
from offset_autoencoder.training.pool import train_population
from offset_autoencoder.training.state import Job

pytestmark = pytest.mark.usefixtures("compiled_once")
N, M, D, L, BATCH = 70, 30, 12, 4, 16
RNG = np.random.default_rng(0)
X = RNG.random((N, D), dtype=np.float32)
X_VALIDATION = RNG.random((M, D), dtype=np.float32)
TABLE = RNG.normal(size=(N, L)).astype(np.float32)
TABLE_VALIDATION = RNG.normal(size=(M, L)).astype(np.float32)
NETWORK = Network(latent_dim=L, hidden=[8])


def job(name: str, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "offset": TABLE,
        "offset_validation": TABLE_VALIDATION,
        "stddev": 0.0,
        "learning_rate": 1e-2,
        "epochs": 4,
        "patience": 2,
        **changes,
    }
    return Job(id=name, seed=0, **values)


def train(
    jobs: Sequence[Job],
    network: Network = NETWORK,
    optimizer: str = "adam",
    x: Any = X,
    x_validation: Any = X_VALIDATION,
) -> dict[str, TrainedRun]:
    results: dict[str, TrainedRun] = {}
    train_population(
        Population(Architecture(network=network, input_dim=D), BATCH, optimizer),
        jobs,
        x,
        x_validation,
        lambda job, result: results.__setitem__(job.id, result),
    )
    return results


def with_one(array: Any, value: float) -> Any:
    """A copy with one number exchanged, in a row of the last batch."""
    changed = array.copy()
    changed[-2, 1] = value
    return changed


def check_diverged(run: TrainedRun, epochs: int = 1) -> None:
    assert (run.status, run.epochs) == ("diverged", epochs)
    assert run.weights is None
    assert run.best_epoch is None
    assert not run.stopped_early
    assert not np.isfinite([run.loss[-1], run.val_loss[-1]]).all()


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_offset_that_is_no_number(value: float) -> None:
    runs = [
        job("train", offset=with_one(TABLE, value)),
        job("validation", offset_validation=with_one(TABLE_VALIDATION, value)),
        job("good"),
    ]
    results = train(runs)
    check_diverged(results["train"])
    if np.isnan(value):  # an infinite one need not be the end of a unit that is dead to it
        check_diverged(results["validation"])
    assert results["good"].status == "finished"
    np.testing.assert_array_equal(results["good"].loss, train([job("good")])["good"].loss)


@pytest.mark.usefixtures("engine")
def test_a_sample_that_is_no_number() -> None:
    check_diverged(train([job("x")], x=with_one(X, np.nan))["x"])
    check_diverged(train([job("x")], x_validation=with_one(X_VALIDATION, np.nan))["x"])


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("layer", [0, 2])
def test_weights_that_are_no_numbers(layer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those before the unit norm too, which gives a code without direction zeros."""
    initial = Population.initial

    def spoiled(self: Population, seed: int) -> Variables:
        weights, state = initial(self, seed)
        weights = [weight.copy() for weight in weights]
        weights[layer][0, 0] = np.nan
        return Variables(weights, state)

    monkeypatch.setattr(Population, "initial", spoiled)
    check_diverged(train([job("x")])["x"])


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
def test_a_rate_that_is_far_too_high(optimizer: str, activation: str) -> None:
    linear = Network(
        latent_dim=L,
        hidden=[8],
        activation=activation,
        output="linear",
        loss="mean_squared_error",
    )
    run = train([job("x", learning_rate=1e30, epochs=9)], linear, optimizer)["x"]
    check_diverged(run, run.epochs)
    assert run.epochs < 9
