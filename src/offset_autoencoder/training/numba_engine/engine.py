"""The Numba engine: one run per thread, and idle threads that share its batches."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.io.arrays import release_rows
from offset_autoencoder.models.architecture import steps_per_epoch
from offset_autoencoder.models.graph import Variables
from offset_autoencoder.training.batches import slices
from offset_autoencoder.training.engine import (
    Array,
    Engine,
    Interrupted,
    Population,
    Slots,
    Workers,
    epoch_pieces,
)
from offset_autoencoder.training.numba_engine.compile_model import compile_model
from offset_autoencoder.training.numba_engine.compiler import compile_ahead
from offset_autoencoder.training.numba_engine.epoch import (
    most_sharing_threads,
    train_batches,
    validate,
)
from offset_autoencoder.training.numba_engine.kernels import MOMENTS
from offset_autoencoder.training.numba_engine.program import (
    Share,
    give_up,
    groups_of,
    new_barrier,
    new_scratch,
    weight_owners,
)
from offset_autoencoder.training.state import Job, SampleSizes, TrainingData, Weights

_NO_NOISE = np.zeros((0, 0), np.float32)


class NumbaEngine(Engine):
    """Compiled loops for networks of known dense layers."""

    name = "numba"
    slots = 1
    is_compiled = True

    def __init__(self, population: Population, sizes: SampleSizes, workers: Workers) -> None:
        self.population, self.sizes, self.workers = population, sizes, workers
        loss, size = population.architecture.network.loss, population.batch_size
        graph = population.graph
        if graph is None:
            from offset_autoencoder.training.numba_engine.keras_graph import graph_of

            graph = graph_of(population.model)
        self.program = compile_model(graph, loss, population.optimizer, size)
        compile_ahead()
        # The owners of the weights, by number of parts.
        self.owners = functools.cache(functools.partial(weight_owners, self.program))

    def initial(self, seed: int) -> Variables:
        """Initial weights of a run: those that train, then the others."""
        if self.population.graph is not None:
            return Variables(self.population.graph.initial_weights(seed), [])
        return Variables(self.population.weights_of(super().initial(seed)), [])

    def start(self, initial: Sequence[Variables], data: Sequence[TrainingData]) -> Slots:
        """Begin a run."""
        (variables,), (samples,) = initial, data
        return _Run(self, variables, samples)

    @functools.cached_property
    def most_threads(self) -> int:
        """Number of threads that may train one run; found out when a second one is idle."""
        samples = (self.sizes.train, self.sizes.validation)
        return most_sharing_threads(self.program, samples)


class _Run(Slots):
    """One run in training: its arrays, all its own."""

    def __init__(self, engine: NumbaEngine, variables: Variables, data: TrainingData) -> None:
        self.engine, self.program = engine, engine.program
        self.scratch = new_scratch(self.program)
        self.groups = groups_of(self.program.batch_size)
        self.put(0, variables, data)

    def put(self, slot: int, variables: Variables, data: TrainingData) -> None:
        self.data = data
        self.chunks = self.engine.population.chunks(self.engine.sizes, len(data.x))
        self.x, self.x_validation = map(_read_only, (data.x, data.x_validation))
        self.shapes = [array.shape for array in variables.weights]
        flat = [array.ravel() for array in variables.weights]
        self.weights = np.concatenate(flat).astype(np.float32)
        self.moments = np.zeros((MOMENTS[self.program.optimizer], self.program.trained), np.float32)
        self.best_weights = self.weights.copy()

    def train_epoch(self, jobs: Sequence[Job], epochs: Sequence[int]) -> NDArray[np.float64]:
        (job,), (epoch,) = jobs, epochs
        # Only an epoch over chunks is cut off in the middle.
        before = None if self.chunks is None else (self.weights.copy(), self.moments.copy())
        try:
            loss = self._train_samples(job, epoch)
        except Interrupted:
            assert before is not None
            self.weights, self.moments = before
            raise
        return np.array([loss, *self._validate(job)])[:, None]

    def keep_best(self, better: Sequence[bool]) -> None:
        if better[0]:
            self.best_weights[:] = self.weights

    def best(self, slot: int) -> Weights:
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])
        parts = np.split(self.best_weights, ends[:-1])
        return [p.reshape(shape).copy() for p, shape in zip(parts, self.shapes, strict=True)]

    def state(self, slot: int) -> dict[str, NDArray[Any]]:
        return {name: getattr(self, name) for name in ("weights", "best_weights", "moments")}

    def restore(self, slot: int, state: Mapping[str, NDArray[Any]]) -> None:
        for name in self.state(slot):
            setattr(self, name, state[name])

    def _train_samples(self, job: Job, epoch: int) -> float:
        """The mean loss over the samples of an epoch."""
        losses, batch_size = np.zeros(self.groups), self.program.batch_size
        steps = steps_per_epoch(len(self.x), batch_size)
        first = step = (epoch - 1) * steps
        rates = job.learning_rates(epoch, steps)
        x, workers = self.data.x, self.engine.workers
        for rows, noise in epoch_pieces(job, epoch, x, self.chunks, workers):
            self._share(
                train_batches,
                self.weights,
                self.moments,
                step,
                rates[step - first :],
                float(job.stddev),
                self.x,
                _read_only(job.offset),
                np.float32(job.offset_factor),
                rows,
                _NO_NOISE if noise is None else noise,
                self.scratch,
                losses,
            )
            step += steps_per_epoch(len(rows), batch_size)
        return float(losses.sum() / len(x))

    def _validate(self, job: Job) -> tuple[float, float]:
        """The validation loss, and the reconstruction's share of it."""
        x, offset = self.x_validation, _read_only(job.offset_validation)
        losses, factor = np.zeros((2, self.groups)), np.float32(job.offset_factor)
        for rows in slices(len(x), self.chunks):
            self._share(validate, self.weights, x[rows], offset[rows], factor, self.scratch, losses)
            if self.chunks is not None:
                release_rows(x, np.arange(rows.start, rows.stop, dtype=np.int32))
        reconstruction, divergence = losses.sum(axis=1) / len(x)
        return float(reconstruction + self.program.kl_weight * divergence), float(reconstruction)

    def _share(self, loop: Callable[..., bool], *arguments: Any) -> None:
        """Run a compiled loop over batches of the run, with the idle workers."""
        engine, barrier = self.engine, new_barrier()

        def work(thread: int, threads: int) -> None:
            try:
                share = Share(threads, engine.owners(threads), thread, threads, barrier)
                loop(self.program, share, *arguments)
            except BaseException:
                give_up(barrier)
                raise

        most = engine.most_threads if engine.workers.has_idle else 1
        if most == 1:
            work(0, 1)
        else:
            engine.workers.share(work, most)


def _read_only(array: Array) -> Array:
    """An array as one type for the compiled loop, which is compiled for each: never copied."""
    view = np.ascontiguousarray(array, np.float32)[:]
    view.flags.writeable = False
    return view
