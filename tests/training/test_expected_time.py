"""The time of a training, told before it: by a clock that takes a second for each epoch."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.runs.spec import IdentifiedRun
from offset_autoencoder.training import expected_time
from offset_autoencoder.training.expected_time import estimate_seconds

MakeRuns = Callable[..., list[IdentifiedRun]]
D, BATCH = 6, 8
RNG = np.random.default_rng(0)
X_VALIDATION = RNG.random((10, D), dtype=np.float32)
MODELS: dict[str, dict[str, Any]] = {
    "offset": {"offset": "frozen"},
    "noise": {"stddev": 0.1},
    "vae": {"system": "vae"},
    "tanh": {"activation": "tanh"},
}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on by a second when it is looked at, which is once per epoch of each run."""
    seconds = map(float, itertools.count())
    counter = SimpleNamespace(perf_counter=lambda: next(seconds))
    monkeypatch.setattr(expected_time, "time", counter)


def x(rows: int) -> Any:
    return RNG.random((rows, D), dtype=np.float32)


@pytest.mark.parametrize("epochs", [3, 300])
def test_it_is_that_of_all_epochs_of_all_runs(make_runs: MakeRuns, epochs: int) -> None:
    runs = make_runs(seeds=5, models=MODELS, train={"epochs": epochs, "batch_size": BATCH})
    timed: list[int] = []
    assert estimate_seconds(runs, x(40), X_VALIDATION, timed.append) == len(runs) * epochs
    assert timed == [1, 2, 3]  # populations: the first two models share one


def test_epochs_of_many_batches_follow_from_64(make_runs: MakeRuns) -> None:
    runs = make_runs(seeds=2, models={"noise": MODELS["noise"]}, train={"batch_size": BATCH})
    epochs = sum(run.run.setting.train.epochs for run in runs)
    for batches, seconds in ((64, 1.0), (96, 1.5), (640, 10.0)):
        assert estimate_seconds(runs, x(batches * BATCH), X_VALIDATION) == seconds * epochs


def test_a_learning_rate_at_which_runs_diverge_takes_no_part(make_runs: MakeRuns) -> None:
    train = {"learning_rate": 1e30, "epochs": 4, "patience": 1, "batch_size": BATCH}
    runs = make_runs(seeds=3, models=MODELS, train=train)
    with np.errstate(all="raise"):
        assert estimate_seconds(runs, x(40), X_VALIDATION) == len(runs) * 4


@pytest.mark.slow  # Keras compiles
def test_runs_that_keras_trains_side_by_side(make_runs: MakeRuns) -> None:
    network = {"latent_dim": 3, "hidden": [4], "normalize": "power", "dropout": 0.2}
    runs = make_runs(seeds=3, models={"noise": MODELS["noise"]}, network=network)
    assert 0 < estimate_seconds(runs, x(40), X_VALIDATION) < np.inf
