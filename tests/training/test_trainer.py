"""Each run against its company: when it ends, what it leaves, and what it shares."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.training.small_runs import (
    LINEAR,
    NETWORK,
    SIZES,
    TABLE_VALIDATION,
    X_VALIDATION,
    D,
    L,
    X,
    job,
    opening,
    population,
    train,
)

from offset_autoencoder.config.schema import Network
from offset_autoencoder.errors import InputError
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.runs.files import TrainedRun
from offset_autoencoder.training.engine import Population
from offset_autoencoder.training.keras_engine import runs_per_stack
from offset_autoencoder.training.pool import PopulationJobs, train_population, train_populations
from offset_autoencoder.training.state import Job, Progress

pytestmark = pytest.mark.usefixtures("compiled_once", "engine")


def test_a_run_does_not_depend_on_its_company() -> None:
    crowd = [
        job(f"{seed}/{factor}", seed, offset_factor=factor, patience=3, epochs=25)
        for seed in range(12)
        for factor in (0, 1)
    ]
    together = train(crowd, workers=2)
    for name in ("0/0", "3/1", "11/1"):
        alone = train([run for run in crowd if run.id == name])[name]
        assert alone.epochs == together[name].epochs
        np.testing.assert_array_equal(alone.val_loss, together[name].val_loss)
        for a, b in zip(alone.weights or [], together[name].weights or [], strict=True):
            np.testing.assert_array_equal(a, b)


def test_early_stopping_keeps_the_best_weights() -> None:
    # A rate this high makes the validation loss rise again soon.
    results = train([job("stops", patience=2, epochs=60, learning_rate=0.3), job("goes on")])
    stopped = results["stops"]
    best = int(np.argmin(stopped.val_loss)) + 1
    assert stopped.best_epoch == best
    assert stopped.stopped_early
    assert stopped.epochs == best + 2
    assert results["goes on"].epochs == 4
    assert not results["goes on"].stopped_early
    model = build_model(Architecture(network=NETWORK, input_dim=D))
    model.set_weights(stopped.weights)
    model.compile(loss=NETWORK.loss)
    inputs = {"x": X_VALIDATION, "offset": TABLE_VALIDATION * np.float32(0.1)}
    val_loss = model.evaluate(inputs, X_VALIDATION, verbose=0)
    np.testing.assert_allclose(val_loss, stopped.val_loss.min(), rtol=1e-5)


def test_without_patience_the_last_weights_are_kept() -> None:
    run = train([job("x", epochs=30, learning_rate=0.3)])["x"]
    assert run.epochs == run.best_epoch == 30
    assert run.val_loss.argmin() + 1 < 30


def test_every_result_is_handed_over_once_and_counted() -> None:
    seen: list[str] = []
    epochs: dict[str, int] = {}
    lock = threading.Lock()

    def count(jobs: Sequence[Job]) -> None:
        with lock:
            for member in jobs:
                epochs[member.id] = epochs.get(member.id, 0) + 1

    jobs = [job(str(seed), seed, epochs=1 + seed % 3) for seed in range(40)]
    keep = lambda member, _: seen.append(member.id)  # noqa: E731
    train_population(population(), jobs, X, X_VALIDATION, keep, count, workers=2)
    assert sorted(seen) == sorted(member.id for member in jobs)
    assert epochs == {member.id: member.epochs for member in jobs}


def test_an_error_while_keeping_a_run_ends_the_training() -> None:
    def fail(job: Job, result: TrainedRun) -> None:
        raise OSError("disk full")

    kept: list[str] = []
    works = [
        PopulationJobs(population(), opening([job("x")]), fail),
        PopulationJobs(
            population(LINEAR), opening([job("y", epochs=100_000)]), lambda j, _: kept.append(j.id)
        ),
    ]
    with pytest.raises(OSError, match="disk full"):
        train_populations(works, SIZES, workers=2)
    assert kept == []


@pytest.mark.parametrize("workers", [1, 3])
def test_populations_side_by_side_leave_what_each_leaves_alone(workers: int) -> None:
    networks = {"a": NETWORK, "b": LINEAR}
    jobs = {name: [job(f"{name}{seed}", seed, epochs=2) for seed in range(20)] for name in networks}
    found: dict[str, TrainedRun] = {}
    works = [
        PopulationJobs(
            population(network),
            opening(jobs[name]),
            lambda job, run: found.__setitem__(job.id, run),
        )
        for name, network in networks.items()
    ]
    works.append(PopulationJobs(population(), [], print))
    train_populations(works, SIZES, workers=workers)
    assert found.keys() == {job.id for each in jobs.values() for job in each}
    alone = train(jobs["b"][7:8], population(LINEAR))["b7"]
    np.testing.assert_array_equal(found["b7"].val_loss, alone.val_loss)


def test_nothing_to_train_is_no_error() -> None:
    train_population(population(), [], X, X_VALIDATION, print)
    train_populations([], SIZES)


def test_large_networks_train_in_smaller_stacks() -> None:
    assert runs_per_stack(population()) == 16
    large = Architecture(network=Network(hidden=[128], latent_dim=32), input_dim=784)
    assert runs_per_stack(Population(large, 128, "adam")) == 1
    images = Network(kind="convolutional", filters=[2])
    small = Architecture(network=images, input_dim=16, image_shape=[4, 4])
    assert runs_per_stack(Population(small, 128, "adam")) == 1


@pytest.mark.parametrize("engine", ["numba"], indirect=True)
def test_a_run_names_its_engine_and_the_loop_says_what_it_does_not_know() -> None:
    known, unknown = population(), population(Network(latent_dim=L, hidden=[8], dropout=0.1))
    engines = [train([job("x", epochs=1)], shared)["x"].engine for shared in (known, unknown)]
    assert engines == ["numba", "keras"]
    numba = dataclasses.replace(unknown, engine="numba")
    with pytest.raises(InputError) as caught:
        train([job("x", epochs=1)], numba)
    assert str(caught.value) == (
        "train.engine: 'numba' cannot train a network of 'additive': it does not know layer "
        "'encoder_1_dropout', Dropout (take auto, or keras, which trains every network)"
    )


def test_patience_and_the_best_weights_wait_for_the_end_of_the_warm_up() -> None:
    """A loss that only rises would end a run after two epochs, and keep its first weights."""
    place = Progress(job("x", epochs=9, patience=2, warmup=5))
    for epoch in range(1, 8):
        assert epoch == 1 or not place.should_stop
        place.record([1.0, float(epoch), float(epoch)], 0.0, 0.0)
    assert (place.best_epoch, place.should_stop) == (5, True)
    rising: dict[str, Any] = {"learning_rate": 1e-6, "patience": 1, "epochs": 6}
    waits = train([job("waits", warmup=4, **rising), job("ends", **rising)])
    assert waits["waits"].epochs >= 5
    assert (waits["waits"].best_epoch or 0) >= 4


def test_dense_networks_are_trained_without_keras() -> None:
    """In a process of its own, as the tests import Keras."""
    program = """
import sys
from tests.training.small_runs import job, train
assert train([job("x")])["x"].engine == "numba"
print(sorted({"keras", "tensorflow"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr
