"""Training of runs: grouped into populations, and written to the run store as they end."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from offset_autoencoder.runs.files import CHECKPOINTS, Checkpoints, TrainedRun, write_run
from offset_autoencoder.runs.spec import IdentifiedRun
from offset_autoencoder.training.engine import Population
from offset_autoencoder.training.pool import OpenJob, PopulationJobs, train_populations
from offset_autoencoder.training.state import (
    Job,
    SampleSizes,
    TrainingData,
    make_job,
)

Report = Callable[[float, int, Callable[[], str]], None]


class RunProgress:
    """Progress of all runs of a training, told to ``report`` after every epoch and every run.

    What is told is (epochs done or spared, runs done, note): the note is a function, as few of
    those that are told are shown. Any thread may add to it.
    """

    def __init__(self, runs: Sequence[IdentifiedRun], report: Report) -> None:
        self._remaining = {run.id: run.run.setting.train.epochs for run in runs}
        self._epochs, self._runs, self._report = 0, 0, report
        self._trained, self._began = 0, time.monotonic()
        self._newest: float | None = None
        self._lock = threading.Lock()

    def count(self, epochs: Mapping[str, int]) -> None:
        """Add epochs trained, by id; those that a run trains again after a fault do not count."""
        with self._lock:
            for run_id, trained in epochs.items():
                counted = min(trained, self._remaining[run_id])
                self._remaining[run_id] -= counted
                self._epochs += counted
                self._trained += trained
            self._report(self._epochs, self._runs, self._note)

    def end(self, run_id: str, loss: float | None = None) -> None:
        """Add a run that has ended, its validation loss, and the epochs that it was spared."""
        with self._lock:
            self._epochs += self._remaining[run_id]
            self._remaining[run_id] = 0
            self._runs += 1
            self._newest = loss
            self._report(self._epochs, self._runs, self._note)

    def _note(self) -> str:
        """``"310 epochs/s, loss 0.231"``: of validation, by the run that ended last."""
        seconds = time.monotonic() - self._began
        rate = self._trained / seconds if seconds else 0.0
        text = f"{rate:,.0f} epochs/s" if rate >= 10 else f"{rate:.2g} epochs/s"
        return text if self._newest is None else f"{text}, loss {self._newest:.3g}"


def group_into_populations(
    runs: Sequence[IdentifiedRun],
) -> Iterator[tuple[Population, list[IdentifiedRun]]]:
    """Runs grouped by how they train, each id once, in the order of the first of each."""
    groups: dict[str, tuple[Population, list[IdentifiedRun]]] = {}
    for run in {run.id: run for run in runs}.values():
        train = run.spec.train  # where the setting leaves the engine open, the one in the id
        how = (train.batch_size, train.optimizer, train.memory_limit, train.engine)
        population = Population(run.spec.architecture, *how)
        groups.setdefault(population.key, (population, []))[1].append(run)
    yield from groups.values()


def train_runs(
    runs: Sequence[IdentifiedRun],
    data: Callable[[int], TrainingData],
    sizes: SampleSizes,
    store: Path,
    report: Report,
) -> None:
    """Train runs on this machine, writing each to its folder of the store as soon as it has ended.

    Args:
        runs: The runs, each of which is trained once.
        data: Opens what the runs of a seed train on; called again when nothing uses it any more.
        sizes: Its sizes, which are those of all seeds.
        store: The run store.
        report: Told (epochs done or spared, runs done, note) after every epoch and every run.
    """
    progress = RunProgress(runs, report)

    def keep(run: IdentifiedRun, trained: TrainedRun, names: list[str]) -> None:
        write_run(store / run.id, run.spec, trained, names)
        progress.end(run.id, trained.best_loss)

    def count(jobs: Sequence[Job]) -> None:
        progress.count(Counter(job.id for job in jobs))

    hand_over_runs(runs, data, sizes, keep, count, checkpoints=Checkpoints(store / CHECKPOINTS))


def hand_over_runs(
    runs: Sequence[IdentifiedRun],
    data: Callable[[int], TrainingData],
    sizes: SampleSizes,
    on_result: Callable[[IdentifiedRun, TrainedRun, list[str]], None],
    *arguments: Any,
    **options: Any,
) -> None:
    """Train runs, handing each over as it ends, with the names of its weights.

    ``data`` and ``sizes`` are as in :func:`train_runs`; the other arguments are those of
    :func:`.pool.train_populations` after ``sizes``.
    """
    by_id = {run.id: run for run in runs}

    def hand_over(population: Population, job: Job, trained: TrainedRun) -> None:
        on_result(by_id[job.id], trained, population.weight_names)

    opened = _OpenedData(data)
    jobs = [
        PopulationJobs(population, open_jobs(members, opened), partial(hand_over, population))
        for population, members in group_into_populations(runs)
    ]
    train_populations(jobs, sizes, *arguments, **options)


def open_jobs(runs: Sequence[IdentifiedRun], data: Callable[[int], TrainingData]) -> list[OpenJob]:
    """Functions that open the jobs of runs, those of one seed side by side."""

    def opened(run: IdentifiedRun) -> tuple[Job, TrainingData]:
        of_seed = data(run.run.seed)
        return make_job(run, of_seed), of_seed

    return [partial(opened, run) for run in sorted(runs, key=lambda run: run.run.seed)]


class _OpenedData:
    """Training data by seed, opened once for all runs that train at the same time or in turn."""

    def __init__(self, open_data: Callable[[int], TrainingData]) -> None:
        self._open, self._lock = open_data, threading.Lock()
        self._opened: WeakValueDictionary[int, TrainingData] = WeakValueDictionary()
        self._last: TrainingData | None = None  # else one worker would open it for each run

    def __call__(self, seed: int) -> TrainingData:
        with self._lock:
            if (data := self._opened.get(seed)) is None:
                self._opened[seed] = data = self._open(seed)
            self._last = data
            return data
