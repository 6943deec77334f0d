"""Small data and runs on it, trained by :func:`train`."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

from offset_autoencoder.config.schema import Network
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.runs.files import TrainedRun
from offset_autoencoder.training.engine import Population
from offset_autoencoder.training.pool import OpenJob, train_population
from offset_autoencoder.training.state import Job, SampleSizes, TrainingData

# Whole batches: of one that is not full Keras compiles a program too.
N, M, D, L, BATCH = 64, 30, 12, 4, 16
RNG = np.random.default_rng(0)
X = RNG.random((N, D), dtype=np.float32)
X_VALIDATION = RNG.random((M, D), dtype=np.float32)
TABLE = RNG.normal(size=(N, L)).astype(np.float32)
TABLE_VALIDATION = RNG.normal(size=(M, L)).astype(np.float32)
NETWORK = Network(latent_dim=L, hidden=[8])
LINEAR = Network(latent_dim=L, hidden=[8], output="linear", loss="mean_squared_error")


@functools.cache
def samples(input_dim: int) -> tuple[Any, Any]:
    """Training and validation samples of so many features."""
    rng = np.random.default_rng(input_dim)
    x, x_validation = (rng.random((rows, input_dim), dtype=np.float32) for rows in (N, M))
    return x, x_validation


def job(name: str, seed: int = 0, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "offset": TABLE,
        "offset_validation": TABLE_VALIDATION,
        "stddev": 0.0,
        "learning_rate": 1e-2,
        "epochs": 4,
        "patience": None,
        "offset_factor": 0.1,
        **changes,
    }
    return Job(id=name, seed=seed, **values)


def population(
    network: Network = NETWORK,
    optimizer: str = "adam",
    memory_limit: int | None = None,
    batch_size: int = BATCH,
    architecture: Architecture | None = None,
) -> Population:
    architecture = architecture or Architecture(network=network, input_dim=D)
    return Population(architecture, batch_size, optimizer, memory_limit)


SIZES = SampleSizes.of(X, X_VALIDATION)


def opening(jobs: Iterable[Job]) -> list[OpenJob]:
    """Functions that open jobs on the same samples."""
    data = TrainingData(X, X_VALIDATION)
    return [functools.partial(lambda job: (job, data), job) for job in jobs]


def train(
    jobs: Iterable[Job],
    shared: Population | None = None,
    x: Any = X,
    x_validation: Any = X_VALIDATION,
    **options: Any,
) -> dict[str, TrainedRun]:
    """Results by id."""
    results: dict[str, TrainedRun] = {}
    train_population(
        shared or population(),
        jobs,
        x,
        x_validation,
        lambda job, result: results.__setitem__(job.id, result),
        **options,
    )
    return results
