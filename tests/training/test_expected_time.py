"""The time of a training, told before it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.runs.spec import IdentifiedRun
from offset_autoencoder.training import expected_time
from offset_autoencoder.training.expected_time import Timing, estimate_seconds, seconds_of

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


def x(rows: int) -> Any:
    return RNG.random((rows, D), dtype=np.float32)


@pytest.mark.parametrize(
    ("runs", "cores", "seconds"),
    [(1, 8, 5.0), (2, 8, 5.0), (8, 8, 5.0), (9, 8, 10.0), (16, 8, 10.0), (3, 1, 15.0)],
)
def test_runs_of_one_network_train_in_rounds_of_as_many_as_there_are_cores(
    runs: int, cores: int, seconds: float
) -> None:
    workers = min(runs, cores)
    timing = Timing([100] * runs, start=0.0, epoch=0.05, side_by_side=workers, workers=workers)
    assert seconds_of([timing], cores) == pytest.approx(seconds)


def test_runs_of_many_networks_share_the_cores() -> None:
    # Of ten networks a run each, of 2 s to compile and 10 s to train.
    alone = Timing([100], start=2.0, epoch=0.1, side_by_side=1, workers=1)
    assert seconds_of([alone] * 10, cores=2) == pytest.approx(60.0)
    assert seconds_of([alone], cores=2) == pytest.approx(12.0)
    # One of them takes as long as all others together on the other core.
    long = Timing([1080], start=2.0, epoch=0.1, side_by_side=1, workers=1)
    assert seconds_of([*[alone] * 9, long], cores=2) == pytest.approx(110.0)


def test_runs_in_stacks_take_fewer_cores_than_runs() -> None:
    stack = Timing([10] * 64, start=0.0, epoch=1.0, side_by_side=32, workers=2)
    assert seconds_of([stack], cores=2) == pytest.approx(20.0)
    assert seconds_of([stack, stack], cores=2) == pytest.approx(40.0)
    half_full = Timing([10] * 16, start=0.0, epoch=1.0, side_by_side=16, workers=1)
    assert seconds_of([half_full, half_full], cores=2) == pytest.approx(10.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second goes by between two looks: with one core, an epoch of each run takes as long."""
    seconds = map(float, itertools.count())
    counter = SimpleNamespace(perf_counter=lambda: next(seconds))
    monkeypatch.setattr(expected_time, "time", counter)
    monkeypatch.setattr(expected_time, "available_cores", lambda: 1)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("epochs", [3, 300])
def test_it_is_that_of_all_epochs_of_all_runs(make_runs: MakeRuns, epochs: int) -> None:
    runs = make_runs(seeds=5, models=MODELS, train={"epochs": epochs, "batch_size": BATCH})
    timed: list[int] = []
    compiled = 3  # the first epoch of each network
    seconds = estimate_seconds(runs, x(40), X_VALIDATION, timed.append)
    assert seconds == len(runs) * epochs + compiled
    assert timed == [1, 2, 3]  # networks: the first two models share one


@pytest.mark.usefixtures("clock")
def test_epochs_of_many_batches_follow_from_64(make_runs: MakeRuns) -> None:
    runs = make_runs(seeds=2, models={"noise": MODELS["noise"]}, train={"batch_size": BATCH})
    epochs = sum(run.run.setting.train.epochs for run in runs)
    for batches, seconds in ((64, 1.0), (96, 1.5), (640, 10.0)):
        of_first = 1
        assert estimate_seconds(runs, x(batches * BATCH), X_VALIDATION) - of_first == (
            seconds * epochs
        )


def test_a_learning_rate_at_which_runs_diverge_takes_no_part(make_runs: MakeRuns) -> None:
    train = {"learning_rate": 1e30, "epochs": 10**6, "patience": 1, "batch_size": BATCH}
    runs = make_runs(seeds=3, models=MODELS, train=train)
    with np.errstate(all="raise"):
        assert estimate_seconds(runs, x(40), X_VALIDATION) > 10.0


def test_runs_whose_loss_is_never_finite_end_with_their_first_epoch(make_runs: MakeRuns) -> None:
    network = {"latent_dim": 3, "hidden": [4], "activation": "exponential", "output": "linear"}
    network |= {"loss": "mean_squared_error"}
    runs = make_runs(seeds=3, models={"noise": MODELS["noise"]}, network=network)
    assert 0 < estimate_seconds(runs, x(40) * 1e6, X_VALIDATION * 1e6) < np.inf


@pytest.mark.slow  # Keras compiles
def test_runs_that_keras_trains_side_by_side_take_the_time_of_their_stack(
    make_runs: MakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = {"latent_dim": 3, "hidden": [4], "normalize": "power", "dropout": 0.2}
    models = {"noise": MODELS["noise"]}
    runs = make_runs(seeds=3, models=models, network=network, train={"epochs": 200})
    count = expected_time._Clock.count

    def count_late(clock: Any, jobs: Any) -> None:
        time.sleep(0.2)
        count(clock, jobs)

    monkeypatch.setattr(expected_time._Clock, "count", count_late)
    # The machine may be busy: an epoch of all three sleeps for 0.2 s, 200 times, or takes longer.
    assert estimate_seconds(runs, x(40), X_VALIDATION) > 40.0
