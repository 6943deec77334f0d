"""Time that a training takes, estimated before it: from a few epochs of each population."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from offset_autoencoder.cores import available_cores
from offset_autoencoder.runs.spec import IdentifiedRun
from offset_autoencoder.training.engine import Array, Population, make_engine
from offset_autoencoder.training.pool import IdleWorkers, train_population
from offset_autoencoder.training.schedule import group_into_populations
from offset_autoencoder.training.state import Job, SampleSizes, TrainingData, make_job

_MOST_BATCHES = 64  # per epoch timed: the time of the others follows from theirs
_SECONDS = 0.5  # of timing per population
_ENDLESS = 10**9  # epochs


def estimate_seconds(
    runs: Sequence[IdentifiedRun],
    x: Array,
    x_validation: Array,
    report: Callable[[int], None] = lambda populations: None,
) -> float:
    """Seconds that this machine trains runs, on all its available cores, if none stops early.

    Runs of each population are trained for half a second or two epochs, whichever takes longer, at
    a learning rate of 0, with offsets of zeros, on at most 64 batches.

    Args:
        runs: The runs, none of which JAX trains.
        x: (n, D) float32 training samples, in memory or mapped from a file.
        x_validation: (m, D) float32 validation samples.
        report: Told the number of populations timed after each.
    """
    seconds = 0.0
    for done, (population, members) in enumerate(group_into_populations(runs), start=1):
        epochs = sum(run.run.setting.train.epochs for run in members)
        seconds += epochs * _seconds_per_epoch(population, members, TrainingData(x, x_validation))
        report(done)
    return seconds


def _seconds_per_epoch(
    population: Population, runs: Sequence[IdentifiedRun], data: TrainingData
) -> float:
    """Seconds per epoch and run, where as many runs train at a time as can."""
    samples = len(data.x)
    rows = min(samples, _MOST_BATCHES * population.batch_size)
    validation = math.ceil(len(data.x_validation) * rows / samples)
    part = TrainingData(data.x[:rows], data.x_validation[:validation])
    latent_dim = runs[0].run.setting.network.latent_dim
    offsets = {offset for run in runs if (offset := run.run.setting.spec.offset)}
    zeros = part.table(None, latent_dim)
    part = replace(part, tables={(offset, latent_dim): zeros for offset in offsets})
    sizes = SampleSizes.of(part.x, part.x_validation)
    engine = make_engine(population, sizes, IdleWorkers(threading.Condition(), threading.Event()))
    workers = min(available_cores(), engine.most_workers or available_cores())
    count = workers * min(engine.slots, math.ceil(len(runs) / workers))
    jobs = [
        replace(make_job(run, part), id=str(i), epochs=_ENDLESS, patience=None, learning_rate=0.0)
        for i, run in zip(range(count), itertools.cycle(runs))
    ]
    clock = _Clock(count)
    train_population(
        population,
        jobs,
        part.x,
        part.x_validation,
        lambda *_: None,
        clock.count,
        workers,
        stop=clock.stop,
    )
    return clock.seconds_per_epoch * samples / rows


class _Clock:
    """Clock of a training: it runs from when each run has trained an epoch, which compiles it.

    Attributes:
        stop: Set when it has run for long enough.
    """

    def __init__(self, runs: int) -> None:
        self.stop = threading.Event()
        self._waiting, self._runs = {str(number) for number in range(runs)}, runs
        self._began = self._seconds = 0.0
        self._epochs = 0
        self._lock = threading.Lock()

    def count(self, jobs: Sequence[Job]) -> None:
        """Take note of an epoch that some runs have trained."""
        with self._lock:
            now = time.perf_counter()
            if self._waiting:
                self._waiting -= {job.id for job in jobs}
                self._began = now
                return
            self._epochs, self._seconds = self._epochs + len(jobs), now - self._began
            if self._seconds >= _SECONDS and self._epochs >= 2 * self._runs:
                self.stop.set()

    @property
    def seconds_per_epoch(self) -> float:
        """Seconds per epoch and run."""
        return self._seconds / self._epochs
