"""This project: the runs of a population, trained side by side.

Each turn trains a population from the beginning. A run's own time an epoch is taken from its
second epoch on, so that neither compilation nor the building of a run counts, and divided by
the number of runs that train at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from benchmarks.peers.task import Outcome, Task, Turn

Groups = Mapping[tuple[str, ...], Sequence[float]]


def start(task: Task) -> Turn:
    """A turn of the trainer: all runs, an epoch more than are timed."""
    from offset_autoencoder.config.schema import Network
    from offset_autoencoder.models.architecture import Architecture
    from offset_autoencoder.training.engine import Population
    from offset_autoencoder.training.pool import train_population
    from offset_autoencoder.training.state import Job

    x, validation = task.x, task.validation
    network = Network(latent_dim=task.latent_dim, hidden=list(task.hidden))
    population = Population(
        Architecture(network=network, input_dim=x.shape[1]), task.batch_size, "adam"
    )
    jobs = [
        Job(
            id=str(seed),
            seed=seed,
            offset=task.offset(len(x)),
            offset_validation=task.offset(len(validation)),
            stddev=task.stddev,
            learning_rate=1e-3,
            epochs=task.epochs + 1,
            patience=None,
        )
        for seed in range(task.runs)
    ]

    def turn() -> Outcome:
        ended: dict[tuple[str, ...], list[float]] = {}
        losses: list[float] = []

        def note(trained: Sequence[Any]) -> None:
            ended.setdefault(tuple(job.id for job in trained), []).append(time.perf_counter())

        started = time.perf_counter()
        train_population(
            population,
            jobs,
            x,
            validation,
            lambda job, run: losses.append(float(run.val_loss[0])),
            note,
        )
        return Outcome(
            first_epoch=min(times[0] for times in ended.values()) - started,
            epoch=seconds_a_run(ended),
            first_loss=float(np.mean(losses)),
        )

    return turn


def seconds_a_run(ended: Groups) -> float:
    """Seconds an epoch and run, from when the epochs of each group of runs ended.

    Args:
        ended: By the runs that trained in step: the times at which their epochs ended, at least
            two. What came before the first does not count.

    Returns:
        The mean over the groups of their time an epoch and run, over the groups at work at once.
    """
    spans = [(times[0], times[-1]) for times in ended.values()]
    at_once = max(sum(first <= moment < last for first, last in spans) for moment, _ in spans)
    each = [(times[-1] - times[0]) / (len(times) - 1) / len(runs) for runs, times in ended.items()]
    return float(np.mean(each)) / at_once
