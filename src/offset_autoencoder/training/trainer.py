"""Trains the runs of populations side by side, as many at a time as there are cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from offset_autoencoder.runs.files import Checkpoints, TrainedRun
from offset_autoencoder.training.batches import MOST_CHUNKED_RUNS
from offset_autoencoder.training.fused.compiler import compile_ahead
from offset_autoencoder.training.fused.crew import FusedCrew
from offset_autoencoder.training.hall import Hall, OnEpoch, Work
from offset_autoencoder.training.job import Job
from offset_autoencoder.training.population import Population
from offset_autoencoder.training.stacked.crew import StackedCrew

Array = NDArray[np.float32]


def train_populations(
    works: Sequence[Work],
    x: Array,
    x_validation: Array,
    on_epoch: OnEpoch = lambda jobs: None,
    workers: int | None = None,
    *,
    checkpoints: Checkpoints = Checkpoints(),  # noqa: B008 - frozen
) -> None:
    """Train every job of every population, handing each over as soon as it has ended.

    Networks of known dense layers are trained by one compiled loop, a run a core; others by
    TensorFlow, a stack of runs a core, one population compiling while another trains. A run's
    bytes depend neither on the others nor on the number of workers.

    Args:
        works: The populations and their jobs.
        x: (n, D) float32 training samples, in memory or mapped from a file.
        x_validation: (m, D) float32 validation samples.
        on_epoch: Told, after each epoch, which runs trained in it.
        workers: Runs, or stacks of them, that train side by side; by default one a core.
        checkpoints: Where each run in training writes down where it is, and goes on from.

    Raises:
        KeyboardInterrupt: after Ctrl-C, when every worker has finished the epoch in hand.
    """
    workers = workers or os.cpu_count() or 1
    hall = Hall(x, x_validation, on_epoch, checkpoints)
    hall.crews = [
        (FusedCrew if work.population.fused else StackedCrew)(hall, work)
        for work in works
        if work.jobs
    ]
    if any(crew.population.chunks(x) for crew in hall.crews):
        workers = min(workers, MOST_CHUNKED_RUNS)
    if not hall.crews:
        return
    if any(work.population.fused for work in works):
        compile_ahead()
    # A product that several threads share rounds otherwise than one of a thread alone.
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(workers, thread_name_prefix="worker") as pool,
    ):
        hall.helpers.working = workers
        running = [pool.submit(hall.work) for _ in range(workers)]
        try:
            for each in running:
                each.result()
        except BaseException:
            hall.end()
            raise


def train_population(
    population: Population,
    jobs: Iterable[Job],
    x: Array,
    x_validation: Array,
    on_result: Callable[[Job, TrainedRun], None],
    on_epoch: OnEpoch = lambda jobs: None,
    workers: int | None = None,
    *,
    checkpoints: Checkpoints = Checkpoints(),  # noqa: B008 - frozen
) -> None:
    """:func:`train_populations` of a single one."""
    work = Work(population, list(jobs), on_result)
    train_populations(
        [work],
        x,
        x_validation,
        on_epoch,
        workers,
        checkpoints=checkpoints,
    )
