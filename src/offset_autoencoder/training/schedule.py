"""Training of runs: grouped into populations, and written to the run store as they end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

from offset_autoencoder.runs.files import CHECKPOINTS, Checkpoints, TrainedRun, write_run
from offset_autoencoder.runs.spec import IdentifiedRun
from offset_autoencoder.training.engine import Population, SampleSizes
from offset_autoencoder.training.pool import OpenJob, PopulationJobs, train_populations
from offset_autoencoder.training.state import Job, TrainingData, make_job


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
    data: Callable[[int], TrainingData],
    sizes: SampleSizes,
    store: Path,
    report: Callable[[float, int], None],
) -> None:
    """Train runs, writing each to its folder of the store as soon as it has ended.

    Args:
        runs: The runs, each of which is trained once.
        data: Opens what the runs of a seed train on; called again when nothing uses it any more.
        sizes: Its sizes, which are those of all seeds.
        store: The run store.
        report: Told (epochs done or spared, runs done) after every epoch, and after every run.
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

    opened = _OpenedData(data)
    train_populations(
        [
            PopulationJobs(population, open_jobs(members, opened), partial(keep, population))
            for population, members in group_into_populations(runs)
        ],
        sizes,
        count,
        checkpoints=Checkpoints(store / CHECKPOINTS),
    )


def open_jobs(runs: Sequence[IdentifiedRun], data: Callable[[int], TrainingData]) -> list[OpenJob]:
    """Functions that open the jobs of runs, those of one seed side by side."""

    def opened(run: IdentifiedRun) -> tuple[Job, TrainingData]:
        of_seed = data(run.run.seed)
        return make_job(run, of_seed), of_seed

    return [partial(opened, run) for run in sorted(runs, key=lambda run: run.run.seed)]


class _OpenedData:
    """Training data by seed, opened once for all runs that train at the same time."""

    def __init__(self, open_data: Callable[[int], TrainingData]) -> None:
        self._open, self._lock = open_data, threading.Lock()
        self._opened: WeakValueDictionary[int, TrainingData] = WeakValueDictionary()

    def __call__(self, seed: int) -> TrainingData:
        with self._lock:
            if (data := self._opened.get(seed)) is None:
                self._opened[seed] = data = self._open(seed)
            return data
