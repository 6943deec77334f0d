"""A NaN anywhere ends a run at once, as one that diverged; it is never trained around."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.training.small_runs import (
    LINEAR,
    TABLE,
    TABLE_VALIDATION,
    X_VALIDATION,
    X,
    job,
    population,
    train,
)

from offset_autoencoder.config.registries import ENGINES, load
from offset_autoencoder.models.graph import Variables
from offset_autoencoder.runs.files import TrainedRun
from offset_autoencoder.training.engine import Engine

pytestmark = pytest.mark.usefixtures("compiled_once")


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

    def spoil(kind: type[Engine]) -> None:
        initial = kind.initial

        def spoiled(self: Engine, seed: int) -> Variables:
            weights, state = initial(self, seed)
            weights = [weight.copy() for weight in weights]
            weights[layer][0, 0] = np.nan
            return Variables(weights, state)

        monkeypatch.setattr(kind, "initial", spoiled)

    for record in ENGINES.values():
        spoil(load(record.implementation))
    check_diverged(train([job("x")])["x"])


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
def test_a_rate_that_is_far_too_high(optimizer: str, activation: str) -> None:
    network = LINEAR.model_copy(update={"activation": activation})
    run = train([job("x", learning_rate=1e30, epochs=9)], population(network, optimizer))["x"]
    check_diverged(run, run.epochs)
    assert run.epochs < 9
