"""Training of runs: grouped into populations, and written to the run store as they end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from offset_autoencoder.runs.files import CHECKPOINTS, Checkpoints, TrainedRun, write_run
from offset_autoencoder.runs.spec import IdentifiedRun
from offset_autoencoder.training.engine import Population
from offset_autoencoder.training.pool import PopulationJobs, train_populations
from offset_autoencoder.training.state import Job, TrainingData, make_jobs


def group_into_populations(
    runs: Sequence[IdentifiedRun],
) -> Iterator[tuple[Population, list[IdentifiedRun]]]:
    """Runs grouped by how they train, each id once, in the order of the first of each."""
    groups: dict[str, tuple[Population, list[IdentifiedRun]]] = {}
    for run in {run.id: run for run in runs}.values():
        train = run.run.setting.train
        how = (train.batch_size, train.optimizer, train.memory_limit, train.engine)
        population = Population(run.spec.architecture, *how)
        groups.setdefault(population.key, (population, []))[1].append(run)
    yield from groups.values()


def train_runs(
    runs: Sequence[IdentifiedRun],
    data: TrainingData,
    store: Path,
    report: Callable[[float, int], None],
) -> None:
    """Train runs, writing each to its folder of the store as soon as it has ended.

    ``report`` is told (epochs done or spared, runs done) after every epoch, and after every run.
    """
    remaining = {run.id: run.run.setting.train.epochs for run in runs}
    epochs = done = 0
    lock = threading.Lock()
    by_id = {run.id: run for run in runs}

    def keep(population: Population, job: Job, trained: TrainedRun) -> None:
        nonlocal epochs, done
        write_run(store / job.id, by_id[job.id].spec, trained, population.weight_names)
        with lock:
            epochs += remaining[job.id]
            remaining[job.id] = 0
            done += 1
            report(epochs, done)

    def count(jobs: Sequence[Job]) -> None:
        nonlocal epochs
        with lock:
            for job in jobs:
                remaining[job.id] -= 1
            epochs += len(jobs)
            report(epochs, done)

    train_populations(
        [
            PopulationJobs(population, make_jobs(members, data), partial(keep, population))
            for population, members in group_into_populations(runs)
        ],
        data.x,
        data.x_validation,
        count,
        checkpoints=Checkpoints(store / CHECKPOINTS),
    )
