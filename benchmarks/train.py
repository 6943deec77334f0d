"""Epoch time a run: the population trainer beside stock Keras ``fit``, in one process.

    python benchmarks/train.py [--mnist FILE.npz] [--repeats 5]

Both train the same network on the same samples with the same batch size, with offsets. The
turns alternate, so that a busy machine slows both; medians and ranges over the repeats are
printed, and the ratio of the medians. Compilation and the first epoch of each are left out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from offset_autoencoder.config.architecture import Architecture
from offset_autoencoder.config.schema import Network
from offset_autoencoder.models import build_model
from offset_autoencoder.models.backend import keras
from offset_autoencoder.training.job import Job
from offset_autoencoder.training.population import Population
from offset_autoencoder.training.trainer import train_population

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    name: str
    x: Array
    network: Network
    batch_size: int
    runs: int
    epochs: int
    stddev: float = 0.0

    @property
    def architecture(self) -> Architecture:
        return Architecture(network=self.network, input_dim=self.x.shape[1])


def digits() -> Array:
    from sklearn.datasets import load_digits

    return (load_digits().data / 16).astype(np.float32)


def mnist(path: Path | None) -> tuple[str, Array]:
    if path is None:
        # The time does not depend on the values: random images stand in for MNIST.
        return "28×28 random", np.random.default_rng(0).random((60_000, 784), dtype=np.float32)
    with np.load(path, allow_pickle=False) as archive:
        return "MNIST", (archive["x_train"].reshape(-1, 784) / 255).astype(np.float32)


def population_epoch(case: Case, offset: Array, validation: Array) -> Callable[[], float]:
    """Seconds an epoch and run of the trainer; what it compiles is compiled anew each time."""
    population = Population(case.architecture, case.batch_size, "adam")

    def measure() -> float:
        jobs = [
            Job(
                id=str(seed),
                seed=seed,
                offset=offset,
                offset_validation=offset[: len(validation)],
                stddev=case.stddev,
                learning_rate=1e-3,
                epochs=case.epochs,
                patience=None,
            )
            for seed in range(case.runs)
        ]
        # Compilation is over when the first epoch of any stack has ended; that epoch's runs
        # are taken out of the count.
        ends: list[tuple[float, int]] = []

        def note(trained: Sequence[Job]) -> None:
            ends.append((time.perf_counter(), len(trained)))

        train_population(population, jobs, case.x, validation, lambda job, run: None, note)
        first, last = ends[0], ends[-1]
        trained = sum(runs for _, runs in ends[1:])
        return (last[0] - first[0]) / trained

    return measure


def stock_epoch(case: Case, offset: Array, validation: Array) -> Callable[[], float]:
    """Seconds an epoch of stock ``fit`` with validation, from the second epoch on."""

    def measure() -> float:
        model = build_model(case.architecture, stddev=case.stddev)
        model.compile(keras.optimizers.Adam(1e-3), case.network.loss)
        times: list[float] = []
        clock = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: times.append(time.perf_counter())
        )
        inputs = {"x": case.x, "offset": offset}
        held_out = {"x": validation, "offset": offset[: len(validation)]}
        model.fit(
            inputs,
            case.x,
            batch_size=case.batch_size,
            epochs=3,
            verbose=0,
            validation_data=(held_out, validation),
            validation_batch_size=len(validation),
            callbacks=[clock],
        )
        return statistics.median(np.diff(times))

    return measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, help="an npz with x_train; random images otherwise")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    small = digits()
    name, large = mnist(arguments.mnist)
    small_network = Network(latent_dim=16, hidden=[32])
    cases = [
        Case("digits 1437×64, offsets", small[:1437], small_network, 32, 60, 20),
        Case("digits 1437×64, Gaussian noise", small[:1437], small_network, 32, 60, 20, 0.1),
        *(
            Case(f"{name} 60000×784, hidden {width}", large, network, 128, 10, 4)
            for width in (64, 128)
            if (network := Network(latent_dim=32, hidden=[width]))
        ),
    ]
    table = Table(title="epoch time a run, ms: median (range)")
    for column in ("case", "runs", "stock Keras fit", "population", "ratio"):
        table.add_column(column, justify="left" if column == "case" else "right")
    for case in cases:
        dims = (len(case.x), case.network.latent_dim)
        offset = 0.1 * np.random.default_rng(1).standard_normal(dims, dtype=np.float32)
        validation = case.x[:360]
        peers = [
            stock_epoch(case, offset, validation),
            population_epoch(case, offset, validation),
        ]
        times: list[list[float]] = [[], []]
        for repeat in range(arguments.repeats):
            for which in (0, 1) if repeat % 2 else (1, 0):
                times[which].append(1000 * peers[which]())
        medians = [statistics.median(each) for each in times]
        cells = [
            f"{median:.3g} ({min(each):.3g} to {max(each):.3g})"
            for median, each in zip(medians, times, strict=True)
        ]
        table.add_row(case.name, str(case.runs), *cells, f"{medians[0] / medians[1]:.3g}×")
    Console().print(table)


if __name__ == "__main__":
    main()
