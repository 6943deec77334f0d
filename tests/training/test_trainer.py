"""The population trainer against stock Keras, and each run against its company."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.config.schema import Network
from offset_autoencoder.models.backend import keras
from offset_autoencoder.training.batches import batch_weights, epoch_noise, epoch_order
from offset_autoencoder.training.population import Population, build_model
from offset_autoencoder.training.results import TrainedRun
from offset_autoencoder.training.trainer import Job, train_population

N, M, D, L, BATCH = 70, 30, 12, 4, 16
RNG = np.random.default_rng(0)
X = RNG.random((N, D), dtype=np.float32)
X_VALIDATION = RNG.random((M, D), dtype=np.float32)
TABLE = RNG.normal(size=(N, L)).astype(np.float32)
TABLE_VALIDATION = RNG.normal(size=(M, L)).astype(np.float32)
NETWORK = Network(latent_dim=L, hidden=[8])


def job(name: str, seed: int = 0, **changes: Any) -> Job:
    factor = np.float32(changes.pop("factor", 0.1))
    values: dict[str, Any] = {
        "offset": TABLE * factor,
        "offset_validation": TABLE_VALIDATION * factor,
        "stddev": 0.0,
        "learning_rate": 1e-2,
        "epochs": 4,
        "patience": None,
        **changes,
    }
    return Job(id=name, seed=seed, **values)


def train(
    jobs: Sequence[Job], network: Network = NETWORK, optimizer: str = "adam", **options: Any
) -> dict[str, TrainedRun]:
    results: dict[str, TrainedRun] = {}
    train_population(
        Population(network, D, BATCH, optimizer),
        jobs,
        X,
        X_VALIDATION,
        lambda job, result: results.__setitem__(job.id, result),
        **options,
    )
    return results


def stock_fit(run: Job, network: Network, optimizer: Any) -> tuple[list[Any], list[float], Any]:
    """The same run by ``train_on_batch`` of a compiled Keras model, batch by batch."""
    model = build_model(network, D, run.seed)
    optimizer.learning_rate = run.learning_rate
    model.compile(optimizer, network.loss)
    weights = batch_weights(N, BATCH)
    losses, val_losses = [], []
    for epoch in range(1, run.epochs + 1):
        order, total = epoch_order(run.seed, epoch, N, BATCH), 0.0
        noise = epoch_noise(run.seed, epoch, N, BATCH, L)
        for rows, weight, drawn in zip(order, weights, noise, strict=True):
            real = rows[weight > 0]
            added = run.offset[real] + np.float32(run.stddev) * drawn[weight > 0]
            loss = model.train_on_batch({"x": X[real], "offset": added}, X[real])
            model.reset_metrics()
            total += float(loss) * len(real)
        losses.append(total / N)
        val_losses.append(
            model.evaluate(
                {"x": X_VALIDATION, "offset": run.offset_validation}, X_VALIDATION, verbose=0
            )
        )
    return losses, val_losses, model.get_weights()


@pytest.mark.parametrize(
    ("network", "optimizer"),
    [
        (NETWORK, "adam"),
        (Network(latent_dim=L, hidden=[8, 6], activation="tanh", normalize=False), "rmsprop"),
        (Network(latent_dim=L, hidden=[], output="linear", loss="mean_squared_error"), "sgd"),
        (
            Network(latent_dim=L, hidden=[8], output="softmax", loss="categorical_crossentropy"),
            "adamw",
        ),
    ],
)
def test_agrees_with_stock_keras(network: Network, optimizer: str) -> None:
    runs = [
        job("offset", seed=3),
        job("noise", seed=3, stddev=0.3),
        job("rate", learning_rate=3e-3),
    ]
    results = train(runs, network, optimizer)
    for run in runs:
        stock = {
            "adam": keras.optimizers.Adam,
            "adamw": keras.optimizers.AdamW,
            "rmsprop": keras.optimizers.RMSprop,
            "sgd": keras.optimizers.SGD,
        }[optimizer]()
        losses, val_losses, weights = stock_fit(run, network, stock)
        result = results[run.id]
        np.testing.assert_allclose(result.loss, losses, rtol=1e-4)
        np.testing.assert_allclose(result.val_loss, val_losses, rtol=1e-4)
        assert result.weights is not None
        for ours, theirs in zip(result.weights, weights, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)


def test_a_run_does_not_depend_on_its_company() -> None:
    crowd = [
        job(f"{seed}/{f}", seed, factor=f, patience=3, epochs=25)
        for seed in range(12)
        for f in (0, 1)
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
    model = build_model(NETWORK, D)
    model.set_weights(stopped.weights)
    model.compile(loss=NETWORK.loss)
    inputs = {"x": X_VALIDATION, "offset": TABLE_VALIDATION * np.float32(0.1)}
    val_loss = model.evaluate(inputs, X_VALIDATION, verbose=0)
    np.testing.assert_allclose(val_loss, stopped.val_loss.min(), rtol=1e-5)


def test_without_patience_the_last_weights_are_kept() -> None:
    run = train([job("x", epochs=30, learning_rate=0.3)])["x"]
    assert run.epochs == run.best_epoch == 30
    assert run.val_loss.argmin() + 1 < 30


def test_a_run_that_diverges_stays_alone() -> None:
    network = Network(latent_dim=L, hidden=[8], output="linear", loss="mean_squared_error")
    runs = [job("good"), job("bad", learning_rate=1e30, epochs=9)]
    results = train(runs, network)
    assert results["bad"].status == "diverged"
    assert results["bad"].weights is None
    assert results["bad"].best_epoch is None
    assert results["bad"].epochs < 9
    alone = train(runs[:1], network)["good"]
    np.testing.assert_array_equal(results["good"].val_loss, alone.val_loss)


def test_equal_seeds_start_alike() -> None:
    results = train(
        [job("a", epochs=1), job("b", epochs=1, stddev=0.0), job("c", seed=1, epochs=1)]
    )
    np.testing.assert_array_equal(results["a"].loss, results["b"].loss)
    assert results["a"].loss[0] != results["c"].loss[0]


def test_every_result_is_handed_over_once_and_counted() -> None:
    seen: list[str] = []
    epochs: dict[str, int] = {}
    lock = threading.Lock()

    def count(jobs: Sequence[Job]) -> None:
        with lock:
            for member in jobs:
                epochs[member.id] = epochs.get(member.id, 0) + 1

    jobs = [job(str(seed), seed, epochs=1 + seed % 3) for seed in range(40)]
    train_population(
        Population(NETWORK, D, BATCH, "adam"),
        jobs,
        X,
        X_VALIDATION,
        lambda member, _: seen.append(member.id),
        count,
        workers=2,
    )
    assert sorted(seen) == sorted(member.id for member in jobs)
    assert epochs == {member.id: member.epochs for member in jobs}


def test_an_error_while_keeping_a_run_ends_the_training() -> None:
    def fail(job: Job, result: TrainedRun) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        train_population(Population(NETWORK, D, BATCH, "adam"), [job("x")], X, X_VALIDATION, fail)


def test_large_networks_train_in_smaller_stacks() -> None:
    assert Population(NETWORK, D, BATCH, "adam").stack == 16
    assert Population(Network(hidden=[128], latent_dim=32), 784, 128, "adam").stack == 1
