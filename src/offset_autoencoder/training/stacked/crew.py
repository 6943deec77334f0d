"""Trains the runs of a population in stacks.

A place in a stack is taken by the next run as soon as its run has ended, so that early
stopping frees the machine at once; the others in the stack go on untouched.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.backend import tf
from offset_autoencoder.runs.spec import Chunks
from offset_autoencoder.training.batches import Rows, draw_noise, epoch_chunks, noise_generator
from offset_autoencoder.training.hall import Crew, Hall, Interrupted, Work, ahead
from offset_autoencoder.training.job import Job, Progress
from offset_autoencoder.training.mapped import give_back, read_ahead
from offset_autoencoder.training.stacked.epoch import compile_epoch
from offset_autoencoder.training.stacked.stack import (
    Stack,
    best_of,
    put_run,
    replace_run,
    run_arrays,
    start_stack,
)

Array = NDArray[np.float32]
Places = Sequence[Progress | None]


class StackedCrew(Crew):
    """What the stacks of one population share: the programs and the waiting runs."""

    def __init__(self, hall: Hall, work: Work) -> None:
        super().__init__(hall, work)
        self.programs = compile_epoch(self.population)
        self.chunks = self.population.chunks(hall.x)
        # A chunk is as large as memory allows: runs of a stack would need one each.
        self.places = 1 if self.chunks else self.population.stack
        self._whole: Any = None

    def train(self) -> None:
        """Train runs in one stack until none is waiting and all its own have ended."""
        places: list[Progress | None] = []
        while len(places) < self.places and (job := self.next_job()):
            places.append(Progress(job))
        if not places:
            return
        places += [None] * (self.places - len(places))
        spare = next(place for place in places if place).job
        stack = start_stack(
            self.population,
            [self.initial((place.job if place else spare).seed) for place in places],
        )
        for index, place in enumerate(places):
            stack = self._restore(stack, index, place)
        stack = self._end_runs(stack, places)
        while any(places):
            try:
                stack = self._train_epoch(stack, places, spare)
            except Interrupted:
                self._checkpoint(stack, places)  # as the epoch found them
                raise
            stopping = self.hall.stop.is_set()
            self._checkpoint(stack, places, due=not stopping)
            if stopping:
                return
            stack = self._end_runs(stack, places)

    def _end_runs(self, stack: Stack, places: list[Progress | None]) -> Stack:
        """Hand over every run that has ended, and put those that wait in their places."""
        for index in range(len(places)):
            # One that goes on from a checkpoint may have ended before.
            while (place := places[index]) and place.ends:
                stack = self._next_run(stack, index, places)
        return stack

    def _next_run(self, stack: Stack, index: int, places: list[Progress | None]) -> Stack:
        """Hand over the run that has ended in a place and put the next one there."""
        place = places[index]
        assert place is not None
        self.finish(place, self.population.weights_of(best_of(stack, index)))
        following = self.next_job()
        places[index] = Progress(following) if following else None
        if following is None:
            return stack
        stack = replace_run(self.population, stack, index, self.initial(following.seed))
        return self._restore(stack, index, places[index])

    def _train_epoch(self, stack: Stack, places: Places, spare: Job) -> Stack:
        jobs = [place.job if place else spare for place in places]
        epochs = [len(place.epochs) + 1 if place else 1 for place in places]
        started = time.perf_counter()
        rate = tf.constant([job.learning_rate for job in jobs], tf.float32)
        total = np.zeros(len(jobs))
        for x, order, inputs in self._batches(jobs, epochs):
            stack, loss = self.programs.train(stack, x, order, inputs, rate)
            total += np.asarray(loss, np.float64)
        validation = self._validate(stack, jobs)
        own = [place for place in places if place]
        seconds, ended = (time.perf_counter() - started) / len(own), time.time()
        losses = np.stack([total / len(self.hall.x), *validation]).astype(np.float32)
        better = [
            place is not None and place.record(losses[:, index].tolist(), ended, seconds)
            for index, place in enumerate(places)
        ]
        stack = self.programs.keep_best(stack, tf.constant(better))
        self._is_ready()
        self.hall.on_epoch([place.job for place in own])
        return stack

    def _is_ready(self) -> None:
        if not self.ready:
            with self.hall.change:
                self.ready = True
                self.hall.change.notify_all()

    def _batches(
        self, jobs: Sequence[Job], epochs: Sequence[int]
    ) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
        """Samples, rows of them, and what the model is fed beside them, chunk by chunk."""
        samples = len(self.hall.x)
        feeds = [_Feed(job, epoch) for job, epoch in zip(jobs, epochs, strict=True)]
        if self.chunks is None:
            if self._whole is None:
                self._whole = tf.constant(np.asarray(self.hall.x))
            orders = [next(feed.chunks(samples, None)) for feed in feeds]
            yield self._whole, tf.constant(np.stack(orders)), self._inputs(feeds, orders)
            return
        (feed,) = feeds
        for rows, following in ahead(feed.chunks(samples, self.chunks)):
            if following is not None:
                read_ahead(self.hall.x, following)
            order = np.arange(len(rows), dtype=np.int32)[None]
            yield tf.constant(self.hall.x[rows]), tf.constant(order), self._inputs([feed], [rows])
            give_back(self.hall.x, rows)
            if self.hall.stop.is_set():
                raise Interrupted

    def _inputs(self, feeds: Sequence[_Feed], orders: Sequence[Rows]) -> dict[str, Any]:
        """What the model is fed beside the samples, in their order."""
        apart = self.population.noise_is_input
        offsets, noises = [], []
        for feed, rows in zip(feeds, orders, strict=True):
            offset = feed.job.offset[rows] * np.float32(feed.job.offset_factor)
            noise = feed.noise(len(rows))
            if apart:
                noises.append(np.zeros_like(offset) if noise is None else noise)
            elif noise is not None:
                offset = offset + noise
            offsets.append(offset)
        inputs = {"offset": tf.constant(np.stack(offsets))}
        if apart:
            inputs["noise"] = tf.constant(np.stack(noises))
        return inputs

    def _validate(self, stack: Stack, jobs: Sequence[Job]) -> NDArray[np.float64]:
        """The validation loss of each run, and the reconstruction's share of it, (2, R)."""
        x, total = self.hall.x_validation, np.zeros((2, len(jobs)))
        for rows in self.hall.slices(len(x), self.chunks):
            offset = np.stack(
                [job.offset_validation[rows] * np.float32(job.offset_factor) for job in jobs]
            )
            losses = self.programs.validate(
                stack, tf.constant(np.asarray(x[rows])), tf.constant(offset)
            )
            total += np.asarray(losses, np.float64) * len(offset[0])
        return total / len(x)

    def _checkpoint(self, stack: Stack, places: Places, *, due: bool = False) -> None:
        """Write down where the runs are: all of them, or those of which it is due."""
        for index, place in enumerate(places):
            if place and (place.checkpoint_due or not due):
                state = _named(run_arrays(stack, index))
                self.hall.checkpoints.write(place.job.id, {**state, **place.state()})
                place.checkpoint = time.monotonic()

    def _restore(self, stack: Stack, index: int, place: Progress | None) -> Stack:
        if place is None:
            return stack
        like = _named(run_arrays(stack, index))
        state = self.hall.checkpoints.read(place.job.id, {**like, **place.state()})
        if state is None:
            return stack
        place.restore(state)
        return put_run(self.population, stack, index, [state[name] for name in like])


class _Feed:
    """What one run sees of an epoch."""

    def __init__(self, job: Job, epoch: int) -> None:
        self.job, self.epoch = job, epoch
        self.draws = noise_generator(job.seed, epoch) if job.stddev else None

    def chunks(self, samples: int, chunks: Chunks | None) -> Iterator[Rows]:
        return epoch_chunks(self.job.seed, self.epoch, samples, chunks)

    def noise(self, rows: int) -> Array | None:
        if self.draws is None:
            return None
        noise = draw_noise(self.draws, rows, self.job.offset.shape[1])
        return np.float32(self.job.stddev) * noise


def _named(arrays: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"array_{number}": array for number, array in enumerate(arrays)}
