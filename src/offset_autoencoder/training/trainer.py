"""Trains the runs of populations: stacks of them, a stack a core.

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
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.backend import tf
from offset_autoencoder.training.batches import epoch_noise, epoch_order
from offset_autoencoder.training.epoch import compile_epoch
from offset_autoencoder.training.job import Job, Place
from offset_autoencoder.training.population import Population, Variables
from offset_autoencoder.training.results import TrainedRun
from offset_autoencoder.training.stack import best_weights, replace_run, start_stack

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Work:
    """The runs of one population that are to be trained.

    Attributes:
        population: What the jobs share.
        jobs: The runs; those with equal seeds side by side share their noise.
        on_result: Takes each run as it ends, one call at a time; its errors end the training.
    """

    population: Population
    jobs: Sequence[Job]
    on_result: Callable[[Job, TrainedRun], None]


def train_populations(
    works: Sequence[Work],
    x: Array,
    x_validation: Array,
    on_epoch: Callable[[Sequence[Job]], None] = lambda jobs: None,
    workers: int | None = None,
) -> None:
    """Train every job of every population, handing each over as soon as it has ended.

    One population compiles while another trains.

    Args:
        works: The populations and their jobs.
        x: (n, D) float32 training samples.
        x_validation: (m, D) float32 validation samples.
        on_epoch: Told, after each epoch of a stack, which runs trained in it.
        workers: Stacks that train side by side; by default one a core.

    Raises:
        KeyboardInterrupt: after Ctrl-C, when every stack has finished the epoch in hand.
    """
    stacks = sum(-(-len(work.jobs) // work.population.stack) for work in works)
    workers = min(workers or os.cpu_count() or 1, stacks)
    if not workers:
        return
    hall = _Hall(works, x, x_validation, on_epoch)
    with ThreadPoolExecutor(workers, thread_name_prefix="stack") as pool:
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
    on_epoch: Callable[[Sequence[Job]], None] = lambda jobs: None,
    workers: int | None = None,
) -> None:
    """:func:`train_populations` of a single one."""
    work = Work(population, list(jobs), on_result)
    train_populations([work], x, x_validation, on_epoch, workers)


class _Hall:
    """Where all populations train: it tells each worker what to do next."""

    def __init__(
        self,
        works: Sequence[Work],
        x: Array,
        x_validation: Array,
        on_epoch: Callable[[Sequence[Job]], None],
    ) -> None:
        self.x = tf.constant(np.asarray(x))
        self.x_validation = tf.constant(np.asarray(x_validation))
        self.on_epoch = on_epoch
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.change = threading.Condition()
        self.crews = [_Crew(self, work) for work in works]

    def work(self) -> None:
        """Train stack after stack, until nothing is left to start."""
        try:
            while (crew := self._next_crew()) and not self.stop.is_set():
                crew.train_stack()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        self.stop.set()
        with self.change:
            self.change.notify_all()

    def _next_crew(self) -> _Crew | None:
        with self.change:
            while not self.stop.is_set():
                left = [crew for crew in self.crews if crew.waiting]
                if not left:
                    return None
                # What is compiled first; then what nobody compiles yet.
                for state in ("compiled", "new"):
                    for crew in left:
                        if crew.state == state:
                            crew.state = "compiling" if state == "new" else state
                            return crew
                self.change.wait()
        return None


class _Crew:
    """What the stacks of one population share: the program and the waiting runs."""

    def __init__(self, hall: _Hall, work: Work) -> None:
        self.hall = hall
        self.population = work.population
        self.waiting = deque(work.jobs)
        self.on_result = work.on_result
        self.samples = int(hall.x.shape[0])
        self.epoch = compile_epoch(work.population)
        self.state = "new"
        self._initial: dict[int, Variables] = {}

    def initial(self, seed: int) -> Variables:
        with self.hall.lock:
            if seed not in self._initial:
                self._initial[seed] = self.population.initial(seed)
            return self._initial[seed]

    def compiled(self) -> None:
        with self.hall.change:
            self.state = "compiled"
            self.hall.change.notify_all()

    def next_job(self) -> Job | None:
        with self.hall.change:
            return self.waiting.popleft() if self.waiting else None

    def train_stack(self) -> None:
        """Train runs in one stack until none is waiting and all its own have ended."""
        places: list[Place | None] = []
        while len(places) < self.population.stack and (job := self.next_job()):
            places.append(Place(job))
        if not places:
            return
        places += [None] * (self.population.stack - len(places))
        spare = next(place for place in places if place).job
        stack = start_stack(
            self.population,
            [self.initial((place.job if place else spare).seed) for place in places],
        )
        changed = True
        while any(places) and not self.hall.stop.is_set():
            jobs = [place.job if place else spare for place in places]
            if changed:
                constant = self._constant_inputs(jobs)
                changed = False
            started = time.perf_counter()
            epochs = [len(place.loss) + 1 if place else 1 for place in places]
            order, added = self._epoch_inputs(jobs, epochs)
            keep_last = tf.constant([place.keeps_last if place else True for place in places])
            stack, loss, validation = self.epoch(
                stack, self.hall.x, self.hall.x_validation, order, added, *constant, keep_last
            )
            losses = [np.asarray(each) for each in (loss, *validation)]
            seconds = (time.perf_counter() - started) / sum(place is not None for place in places)
            ended = time.time()
            if self.state != "compiled":
                self.compiled()
            self.hall.on_epoch([place.job for place in places if place])
            for index, place in enumerate(places):
                if place is None:
                    continue
                place.record([float(each[index]) for each in losses], ended, seconds)
                if not place.ends:
                    continue
                result = place.result(best_weights(self.population, stack, index))
                with self.hall.lock:
                    self.on_result(place.job, result)
                following = self.next_job()
                places[index] = Place(following) if following else None
                if following:
                    initial = self.initial(following.seed)
                    stack = replace_run(stack, index, initial)
                    changed = True

    def _constant_inputs(self, jobs: Sequence[Job]) -> tuple[object, ...]:
        return (
            tf.constant(np.stack([job.offset_validation for job in jobs])),
            tf.constant([job.learning_rate for job in jobs], tf.float32),
        )

    def _epoch_inputs(self, jobs: Sequence[Job], epochs: Sequence[int]) -> tuple[object, object]:
        """The order of the samples, and what the model is fed beside them in that order."""
        latent_dim = self.population.architecture.network.latent_dim
        apart = self.population.noise_is_input
        orders: dict[tuple[int, int], NDArray[np.int32]] = {}
        noises: dict[tuple[int, int], Array] = {}
        offsets, noise = [], []
        for job, epoch in zip(jobs, epochs, strict=True):
            key = (job.seed, epoch)
            if key not in orders:
                orders[key] = epoch_order(*key, self.samples)
            of_rows = job.offset[orders[key]]
            if job.stddev and key not in noises:
                noises[key] = epoch_noise(*key, self.samples, latent_dim)
            scaled = np.float32(job.stddev) * noises[key] if job.stddev else None
            if apart:
                noise.append(np.zeros_like(of_rows) if scaled is None else scaled)
            elif scaled is not None:
                of_rows = of_rows + scaled
            offsets.append(of_rows)
        order = np.stack([orders[job.seed, epoch] for job, epoch in zip(jobs, epochs, strict=True)])
        inputs = {"offset": tf.constant(np.stack(offsets))}
        if apart:
            inputs["noise"] = tf.constant(np.stack(noise))
        return tf.constant(order), inputs
