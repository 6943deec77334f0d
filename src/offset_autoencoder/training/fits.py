"""Fit of one autoencoder for its own sake, with nothing added to its code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.schema import Network, Train
from offset_autoencoder.errors import InputError
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.runs.files import TrainedRun
from offset_autoencoder.training.engine import Population
from offset_autoencoder.training.pool import train_population
from offset_autoencoder.training.state import Job

# Of samples in memory: what is larger is trained on chunk by chunk.
_MEMORY_LIMIT = 512 * 2**20

Array = NDArray[np.float32]
Layer = tuple[Array, Array]

# A stream of its own: a run with the same seed would start from the same weights, and see the
# same batches, so that its own code would be almost the reference's.
_STREAM = tuple(b"reference")


@dataclass(frozen=True)
class Reference:
    """A fitted autoencoder's Dense layers, each its kernel (inputs, outputs) and bias (outputs,).

    Attributes:
        encoder: Those up to the linear code, before any unit norm.
        decoder: Those from the code to the reconstruction.
    """

    encoder: list[Layer]
    decoder: list[Layer]


def fit_reference(
    where: str,
    x: Array,
    x_validation: Array | None,
    *,
    network: Network,
    train: Train,
    seed: int,
) -> Reference:
    """Fit a plain autoencoder with the project's trainer.

    Args:
        where: The place that errors name.
        x: float32 (n, input_dim) training samples.
        x_validation: float32 (m, input_dim), which tell when to stop; None trains every epoch.
        network: Its shape, of kind ``dense``.
        train: Its training.
        seed: Of its initial weights and its batches.

    Raises:
        InputError: where the training diverged.
    """
    watched = x[:1] if x_validation is None else x_validation
    job = Job(
        id="reference",
        seed=int(np.random.SeedSequence(seed, spawn_key=_STREAM).generate_state(1)[0]),
        offset=np.zeros((len(x), network.latent_dim), np.float32),
        offset_validation=np.zeros((len(watched), network.latent_dim), np.float32),
        stddev=0.0,
        learning_rate=train.learning_rate,
        epochs=train.epochs,
        patience=None if x_validation is None else train.patience,
    )
    architecture = Architecture(network=network, input_dim=x.shape[1])
    population = Population(
        architecture, train.batch_size, train.optimizer, _MEMORY_LIMIT, most_slots=1
    )
    results: list[TrainedRun] = []
    train_population(population, [job], x, watched, lambda job, run: results.append(run))
    (run,) = results
    if run.weights is None:
        raise InputError(
            where,
            f"its reference autoencoder diverged in epoch {run.epochs}",
            "lower its learning_rate",
        )
    by_path = dict(zip(population.weight_names, run.weights, strict=True))
    numbers = range(1, len(network.hidden) + 1)
    return Reference(
        encoder=_layers(by_path, [*(f"encoder_{number}" for number in numbers), "code"]),
        decoder=_layers(by_path, [*(f"decoder_{number}" for number in numbers), "reconstruction"]),
    )


def _layers(by_path: dict[str, Array], names: Sequence[str]) -> list[Layer]:
    return [(by_path[f"{name}/kernel"], by_path[f"{name}/bias"]) for name in names]
