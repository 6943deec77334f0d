"""Trains the runs of one population: stacks of them, a stack a core.

A place in a stack is taken by the next run as soon as its run has ended, so that early
stopping frees the machine at once; the others in the stack go on untouched.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.backend import tf
from offset_autoencoder.training.batches import batch_weights, epoch_noise, epoch_order
from offset_autoencoder.training.population import (
    Population,
    Weights,
    best_weights,
    compile_epoch,
    replace_run,
    start_stack,
)
from offset_autoencoder.training.results import TrainedRun

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Job:
    """One run to train.

    Attributes:
        id: The run's id.
        seed: Seed of initial weights, batches and noise.
        offset: f(x) of the training samples as it is added, (n, L) float32.
        offset_validation: The same of the validation samples, (m, L) float32.
        stddev: Gaussian noise a coordinate of the code, in training.
        learning_rate: The optimizer's.
        epochs: At most so many.
        patience: Epochs without a lower validation loss after which it stops; None: never.
    """

    id: str
    seed: int
    offset: Array
    offset_validation: Array
    stddev: float
    learning_rate: float
    epochs: int
    patience: int | None


@dataclass
class _Place:
    """A run's place in a stack, and what is known of the run so far."""

    job: Job
    loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best: float = float("inf")
    best_epoch: int = 0

    def record(self, loss: float, val_loss: float, ended: float, seconds: float) -> None:
        self.loss.append(loss)
        self.val_loss.append(val_loss)
        self.ended.append(ended)
        self.seconds.append(seconds)
        if val_loss < self.best or (self.job.patience is None and np.isfinite(val_loss)):
            self.best, self.best_epoch = val_loss, len(self.loss)

    @property
    def diverged(self) -> bool:
        return not (np.isfinite(self.loss[-1]) and np.isfinite(self.val_loss[-1]))

    @property
    def out_of_patience(self) -> bool:
        patience = self.job.patience
        return patience is not None and len(self.loss) - self.best_epoch >= patience

    @property
    def ends(self) -> bool:
        return self.diverged or self.out_of_patience or len(self.loss) >= self.job.epochs

    def result(self, weights: Weights) -> TrainedRun:
        return TrainedRun(
            status="diverged" if self.diverged else "finished",
            weights=None if self.diverged else weights,
            loss=np.array(self.loss, np.float32),
            val_loss=np.array(self.val_loss, np.float32),
            best_epoch=None if self.diverged else self.best_epoch,
            stopped_early=not self.diverged and len(self.loss) < self.job.epochs,
            ended=np.array(self.ended),
            seconds=np.array(self.seconds),
        )


def train_population(
    population: Population,
    jobs: Iterable[Job],
    x: Array,
    x_validation: Array,
    on_result: Callable[[Job, TrainedRun], None],
    on_epoch: Callable[[Sequence[Job]], None] = lambda jobs: None,
    workers: int | None = None,
) -> None:
    """Train every job, handing each over as soon as it has ended.

    Args:
        population: What the jobs share.
        jobs: The runs to train; those with equal seeds side by side share their noise.
        x: (n, D) float32 training samples.
        x_validation: (m, D) float32 validation samples.
        on_result: Takes each run as it ends, one call at a time; its errors end the training.
        on_epoch: Told, after each epoch of a stack, which runs trained in it.
        workers: Stacks that train side by side; by default one a core.

    Raises:
        KeyboardInterrupt: after Ctrl-C, when every stack has finished the epoch in hand.
    """
    waiting = deque(jobs)
    if not waiting:
        return
    workers = min(workers or os.cpu_count() or 1, -(-len(waiting) // population.stack))
    crew = _Crew(population, waiting, x, x_validation, on_result, on_epoch)
    with ThreadPoolExecutor(workers, thread_name_prefix="stack") as pool:
        stacks = [pool.submit(crew.train_stack) for _ in range(workers)]
        try:
            for stack in stacks:
                stack.result()
        except BaseException:
            crew.stop.set()
            raise


class _Crew:
    """What the stacks of one population share: the data, the program and the waiting runs."""

    def __init__(
        self,
        population: Population,
        waiting: deque[Job],
        x: Array,
        x_validation: Array,
        on_result: Callable[[Job, TrainedRun], None],
        on_epoch: Callable[[Sequence[Job]], None],
    ) -> None:
        self.population = population
        self.waiting = waiting
        self.samples = len(x)
        self.x = tf.constant(np.asarray(x))
        self.x_validation = tf.constant(np.asarray(x_validation))
        self.batch_weights = tf.constant(batch_weights(self.samples, population.batch_size))
        self.epoch = compile_epoch(population)
        self.on_result = on_result
        self.on_epoch = on_epoch
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self._initial: dict[int, Weights] = {}

    def initial_weights(self, seed: int) -> Weights:
        with self.lock:
            if seed not in self._initial:
                self._initial[seed] = self.population.initial_weights(seed)
            return self._initial[seed]

    def next_job(self) -> Job | None:
        with self.lock:
            return self.waiting.popleft() if self.waiting else None

    def train_stack(self) -> None:
        """Train runs in one stack until none is waiting and all its own have ended."""
        places: list[_Place | None] = []
        while len(places) < self.population.stack and (job := self.next_job()):
            places.append(_Place(job))
        if not places:
            return
        places += [None] * (self.population.stack - len(places))
        spare = next(place for place in places if place).job
        stack = start_stack(
            self.population,
            [self.initial_weights((place.job if place else spare).seed) for place in places],
        )
        changed = True
        while any(places) and not self.stop.is_set():
            jobs = [place.job if place else spare for place in places]
            if changed:
                constant = self._constant_inputs(jobs)
                changed = False
            started = time.perf_counter()
            epochs = [len(place.loss) + 1 if place else 1 for place in places]
            order, added = self._epoch_inputs(jobs, epochs)
            stack, loss, val_loss = self.epoch(
                stack, self.x, self.x_validation, order, added, *constant
            )
            losses, val_losses = np.asarray(loss), np.asarray(val_loss)
            seconds = (time.perf_counter() - started) / sum(place is not None for place in places)
            ended = time.time()
            self.on_epoch([place.job for place in places if place])
            for index, place in enumerate(places):
                if place is None:
                    continue
                place.record(float(losses[index]), float(val_losses[index]), ended, seconds)
                if not place.ends:
                    continue
                result = place.result(best_weights(stack, index))
                with self.lock:
                    self.on_result(place.job, result)
                following = self.next_job()
                places[index] = _Place(following) if following else None
                if following:
                    initial = self.initial_weights(following.seed)
                    stack = replace_run(stack, index, initial)
                    changed = True

    def _constant_inputs(self, jobs: Sequence[Job]) -> tuple[object, ...]:
        return (
            tf.constant(np.stack([job.offset_validation for job in jobs])),
            self.batch_weights,
            tf.constant([job.learning_rate for job in jobs], tf.float32),
            tf.constant([job.patience is None for job in jobs]),
        )

    def _epoch_inputs(self, jobs: Sequence[Job], epochs: Sequence[int]) -> tuple[object, object]:
        size = (self.samples, self.population.batch_size)
        latent_dim = self.population.network.latent_dim
        orders: dict[tuple[int, int], NDArray[np.int32]] = {}
        noises: dict[tuple[int, int], Array] = {}
        added = []
        for job, epoch in zip(jobs, epochs, strict=True):
            key = (job.seed, epoch)
            if key not in orders:
                orders[key] = epoch_order(*key, *size)
            of_rows = job.offset[orders[key]]
            if job.stddev:
                if key not in noises:
                    noises[key] = epoch_noise(*key, *size, latent_dim)
                of_rows = of_rows + np.float32(job.stddev) * noises[key]
            added.append(of_rows)
        order = np.stack([orders[job.seed, epoch] for job, epoch in zip(jobs, epochs, strict=True)])
        return tf.constant(order), tf.constant(np.stack(added))
