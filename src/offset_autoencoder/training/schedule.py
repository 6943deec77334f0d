"""Which runs train together, and their training."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.runs.files import CHECKPOINTS, Checkpoints, TrainedRun, write_run
from offset_autoencoder.runs.spec import IdentifiedRun
from offset_autoencoder.training.added_offset import no_offset
from offset_autoencoder.training.hall import Work
from offset_autoencoder.training.job import Job
from offset_autoencoder.training.population import Population
from offset_autoencoder.training.trainer import train_populations

Array = NDArray[np.float32]


@dataclass(frozen=True)
class TrainingData:
    """What every run trains on.

    Attributes:
        x: (n, D) float32 training samples.
        x_validation: (m, D) float32 validation samples.
        tables: By (offset, latent dim): f(x) of both, (n, L) and (m, L) float32, unscaled.
    """

    x: Array
    x_validation: Array
    tables: Mapping[tuple[str, int], tuple[Array, Array]]

    def table(self, offset: str | None, latent_dim: int) -> tuple[Array, Array]:
        """The table of an offset, zeros where there is none."""
        if offset is not None:
            return self.tables[offset, latent_dim]
        return no_offset(len(self.x), latent_dim), no_offset(len(self.x_validation), latent_dim)


def group_into_populations(
    runs: Sequence[IdentifiedRun],
) -> Iterator[tuple[Population, list[IdentifiedRun]]]:
    """The runs that train in the same way, each id once, in the order of the first of each."""
    groups: dict[str, tuple[Population, list[IdentifiedRun]]] = {}
    for run in {run.id: run for run in runs}.values():
        train = run.run.setting.train
        population = Population(
            run.spec.architecture,
            train.batch_size,
            train.optimizer,
            train.memory_limit,
            train.engine,
        )
        groups.setdefault(population.key, (population, []))[1].append(run)
    yield from groups.values()


def make_jobs(runs: Sequence[IdentifiedRun], data: TrainingData) -> list[Job]:
    """What the trainer needs to know of each run, those of one seed side by side."""
    jobs = []
    for run in sorted(runs, key=lambda run: run.run.seed):
        setting = run.run.setting
        offset, offset_validation = data.table(setting.spec.offset, setting.network.latent_dim)
        jobs.append(
            Job(
                id=run.id,
                seed=run.run.seed,
                offset=offset,
                offset_validation=offset_validation,
                # A system that learns its noise scales standard normal draws itself.
                stddev=1.0 if setting.spec.system_record.learns_noise else setting.spec.stddev,
                learning_rate=setting.train.learning_rate,
                epochs=setting.train.epochs,
                patience=setting.train.patience,
                warmup=setting.spec.warmup,
                offset_factor=run.spec.offset_factor,
                checkpoint_seconds=setting.train.checkpoint_seconds,
            )
        )
    return jobs


def train_runs(
    runs: Sequence[IdentifiedRun],
    data: TrainingData,
    store: Path,
    report: Callable[[float, int], None],
) -> None:
    """Train runs, writing each to the store as soon as it has ended.

    Args:
        runs: The runs to train.
        data: What they train on.
        store: The folder that takes a folder a run.
        report: Told (epochs done or spared, runs done) after every epoch of a stack, and after
            every run.
    """
    left = {run.id: run.run.setting.train.epochs for run in runs}
    worked = done = 0
    lock = threading.Lock()
    by_id = {run.id: run for run in runs}

    def keeper(population: Population) -> Callable[[Job, TrainedRun], None]:
        def keep(job: Job, trained: TrainedRun) -> None:
            nonlocal worked, done
            write_run(store / job.id, by_id[job.id].spec, trained, population.weight_names)
            with lock:
                worked += left[job.id]
                left[job.id] = 0
                done += 1
                report(worked, done)

        return keep

    def count(jobs: Sequence[Job]) -> None:
        nonlocal worked
        with lock:
            for job in jobs:
                left[job.id] -= 1
            worked += len(jobs)
            report(worked, done)

    train_populations(
        [
            Work(population, make_jobs(members, data), keeper(population))
            for population, members in group_into_populations(runs)
        ],
        data.x,
        data.x_validation,
        count,
        checkpoints=Checkpoints(store / CHECKPOINTS),
    )
