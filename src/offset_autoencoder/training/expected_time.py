"""Time that a training takes, estimated before it: from a few epochs of each population."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from offset_autoencoder.cores import available_cores
from offset_autoencoder.runs.spec import IdentifiedRun
from offset_autoencoder.training.engine import Array, Population, make_engine
from offset_autoencoder.training.pool import IdleWorkers, train_population
from offset_autoencoder.training.schedule import group_into_populations
from offset_autoencoder.training.state import Job, SampleSizes, TrainingData, make_job

_MOST_BATCHES = 64  # per epoch timed: the time of the others follows from theirs
_SECONDS = 0.5  # of timing per population
_ENDLESS = 10**9  # epochs


@dataclass(frozen=True)
class Timing:
    """Time of a population's training.

    Attributes:
        epochs: Of each of its runs.
        start: Seconds until the first epochs have ended: imports and compilation, on one core.
        epoch: Seconds per epoch of the runs that train side by side.
        side_by_side: Number of these.
        workers: Number of cores that they take.
    """

    epochs: Sequence[int]
    start: float
    epoch: float
    side_by_side: int
    workers: int


def estimate_seconds(
    runs: Sequence[IdentifiedRun],
    x: Array,
    x_validation: Array,
    report: Callable[[int], None] = lambda populations: None,
) -> float:
    """Seconds that this machine trains runs, on all its available cores, if none stops early.

    As many runs of each population as train side by side are trained for half a second or two
    epochs, whichever takes longer, at a learning rate of 0, with offsets of zeros, on at most 64
    batches.

    Args:
        runs: The runs, none of which is trained by JAX or on chunks of its samples.
        x: (n, D) float32 training samples, in memory or mapped from a file.
        x_validation: (m, D) float32 validation samples.
        report: Told the number of populations timed after each.
    """
    timings = []
    for population, members in group_into_populations(runs):
        timings.append(_timing(population, members, TrainingData(x, x_validation)))
        report(len(timings))
    return seconds_of(timings, available_cores())


def seconds_of(timings: Iterable[Timing], cores: int) -> float:
    """Seconds of all populations, which share the cores: a run cannot be split among them."""
    longest = work = 0.0
    for timing in timings:
        rounds = math.ceil(len(timing.epochs) / timing.side_by_side)
        each = timing.epoch * sum(timing.epochs) / len(timing.epochs)
        longest = max(longest, timing.start + rounds * each)
        # Where the last round is not a full one, others take what it leaves.
        full = len(timing.epochs) / timing.side_by_side
        work += timing.start + full * each * timing.workers
    return max(longest, work / cores)


def _timing(population: Population, runs: Sequence[IdentifiedRun], data: TrainingData) -> Timing:
    samples = len(data.x)
    rows = min(samples, _MOST_BATCHES * population.batch_size)
    validation = math.ceil(len(data.x_validation) * rows / samples)
    part = TrainingData(data.x[:rows], data.x_validation[:validation])
    latent_dim = runs[0].run.setting.network.latent_dim
    offsets = {offset for run in runs if (offset := run.run.setting.spec.offset)}
    zeros = part.table(None, latent_dim)
    part = replace(part, tables={(offset, latent_dim): zeros for offset in offsets})
    sizes = SampleSizes.of(part.x, part.x_validation)
    started = time.perf_counter()
    engine = make_engine(population, sizes, IdleWorkers(threading.Condition(), threading.Event()))
    workers = min(available_cores(), engine.most_workers or available_cores())
    side_by_side = min(len(runs), workers * engine.slots)
    clock = _Clock(side_by_side, started)
    jobs = [
        replace(make_job(run, part), id=str(i), epochs=_ENDLESS, patience=None, learning_rate=0.0)
        for i, run in enumerate(runs[:side_by_side])
    ]
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
    return Timing(
        epochs=[run.run.setting.train.epochs for run in runs],
        start=clock.start,
        epoch=clock.epoch * samples / rows,
        side_by_side=side_by_side,
        workers=math.ceil(side_by_side / engine.slots),
    )


class _Clock:
    """Clock of a training, which takes the epochs apart in which programs are compiled.

    It times the epochs after each of ``runs`` runs, called 0 and so on, has trained one.

    Attributes:
        stop: Set when it has run for long enough.
        start: Seconds from ``started``, by ``time.perf_counter()``, until each has trained one.
    """

    def __init__(self, runs: int, started: float) -> None:
        self.stop, self.start = threading.Event(), 0.0
        self._started = self._began = self._last = started
        self._waiting = {str(number) for number in range(runs)}
        self._runs, self._epochs = runs, 0
        self._lock = threading.Lock()

    def count(self, jobs: Sequence[Job]) -> None:
        """Take note of an epoch that some runs have trained."""
        with self._lock:
            self._last = time.perf_counter()
            if self._waiting:
                self._waiting -= {job.id for job in jobs}
                self._began, self.start = self._last, self._last - self._started
                return
            self._epochs += len(jobs)
            if self._last - self._began >= _SECONDS and self._epochs >= 2 * self._runs:
                self.stop.set()

    @property
    def epoch(self) -> float:
        """Seconds per epoch of all runs side by side; 0 where their loss is not even finite."""
        return (self._last - self._began) * self._runs / self._epochs if self._epochs else 0.0
