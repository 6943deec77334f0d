"""The Numba engine: one run per thread, and idle threads that share its batches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.io.arrays import read_ahead, release_rows
from offset_autoencoder.models.architecture import steps_per_epoch
from offset_autoencoder.models.autoencoder import Variables
from offset_autoencoder.training.batches import (
    draw_noise,
    epoch_chunks,
    noise_generator,
    slices,
    with_next,
)
from offset_autoencoder.training.engine import (
    Array,
    Engine,
    Interrupted,
    Population,
    Samples,
    Slots,
    Workers,
)
from offset_autoencoder.training.numba_engine.compile_model import compile_model
from offset_autoencoder.training.numba_engine.compiler import compile_ahead
from offset_autoencoder.training.numba_engine.epoch import (
    most_sharing_threads,
    new_scratch,
    train_batches,
    validate,
)
from offset_autoencoder.training.numba_engine.kernels import MOMENTS, OPTIMIZERS
from offset_autoencoder.training.numba_engine.program import (
    BatchPartition,
    Layout,
    Program,
    give_up,
    groups_of,
    new_barrier,
    partition_batch,
)
from offset_autoencoder.training.state import Job, Weights

_NO_NOISE = np.zeros((0, 0), np.float32)


class NumbaEngine(Engine):
    """Compiled loops for networks of known dense layers."""

    slots = 1
    is_compiled = True

    def __init__(
        self,
        population: Population,
        program: Program,
        layout: Layout,
        samples: Samples,
        workers: Workers,
    ) -> None:
        self.population, self.program, self.layout = population, program, layout
        self.workers, self.chunks = workers, population.chunks(samples.x)
        self.optimizer = OPTIMIZERS[population.optimizer]
        self.samples = samples
        self._partitions: dict[int, BatchPartition] = {}

    @classmethod
    def for_population(
        cls, population: Population, samples: Samples, workers: Workers
    ) -> Self | None:
        """The engine of a population; None where a part of its network has no kernel."""
        if population.optimizer not in OPTIMIZERS:
            return None
        compiled = compile_model(population.model, population.architecture.network.loss)
        if compiled is None:
            return None
        compile_ahead()
        return cls(population, *compiled, samples, workers)

    def start(self, initial: Sequence[Variables]) -> Slots:
        """Begin a run."""
        (variables,) = initial
        return _Run(self, variables)

    @functools.cached_property
    def most_threads(self) -> int:
        """Number of threads that may train one run; found out when a second one is idle."""
        samples = (len(self.samples.x), len(self.samples.x_validation))
        return most_sharing_threads(
            self.program, self.layout, self.population.batch_size, self.optimizer, samples
        )

    def partition(self, threads: int) -> BatchPartition:
        """The part of each of so many threads in a batch."""
        if threads not in self._partitions:
            batch_size = self.population.batch_size
            self._partitions[threads] = partition_batch(self.program, batch_size, threads)
        return self._partitions[threads]


class _Run(Slots):
    """One run in training: its arrays, all its own."""

    def __init__(self, engine: NumbaEngine, variables: Variables) -> None:
        self.engine, self.program, self.layout = engine, engine.program, engine.layout
        self.batch_size = engine.population.batch_size
        self.x, self.x_validation = map(_read_only, (engine.samples.x, engine.samples.x_validation))
        self.scratch = new_scratch(self.program, self.batch_size)
        self.groups = groups_of(self.batch_size)
        self.put(0, variables)

    def put(self, slot: int, variables: Variables) -> None:
        """Begin a run."""
        size = (MOMENTS[self.engine.optimizer], self.program.trained)
        self.weights = self.layout.flatten(self.engine.population.weights_of(variables))
        self.moments = np.zeros(size, np.float32)
        self.best_weights = self.weights.copy()

    def train_epoch(self, jobs: Sequence[Job], epochs: Sequence[int]) -> NDArray[np.float64]:
        """Train an epoch and validate it."""
        (job,), (epoch,) = jobs, epochs
        # Only an epoch over chunks is cut off in the middle.
        before = None if self.engine.chunks is None else (self.weights.copy(), self.moments.copy())
        try:
            loss = self._train_samples(job, epoch)
        except Interrupted:
            assert before is not None
            self.weights, self.moments = before
            raise
        return np.array([loss, *self._validate(job)])[:, None]

    def keep_best(self, better: Sequence[bool]) -> None:
        """Keep the weights as the best."""
        if better[0]:
            self.best_weights[:] = self.weights

    def best(self, slot: int) -> Weights:
        """The best weights."""
        return self.layout.split(self.best_weights)

    def state(self, slot: int) -> dict[str, NDArray[Any]]:
        """Weights and moments."""
        return {
            "weights": self.weights,
            "best_weights": self.best_weights,
            "moments": self.moments,
        }

    def restore(self, slot: int, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from such a state."""
        self.weights, self.best_weights = state["weights"], state["best_weights"]
        self.moments = state["moments"]

    def _train_samples(self, job: Job, epoch: int) -> float:
        """The mean loss over the samples of an epoch."""
        x, losses, chunks = self.x, np.zeros(self.groups), self.engine.chunks
        step = (epoch - 1) * steps_per_epoch(len(x), self.batch_size)
        draws = noise_generator(job.seed, epoch) if job.stddev else None
        for rows, following in with_next(epoch_chunks(job.seed, epoch, len(x), chunks)):
            if following is not None:
                read_ahead(self.engine.samples.x, following)
            noise = draw_noise(draws, len(rows), job.offset.shape[1]) if draws else _NO_NOISE
            self._share(
                train_batches,
                self.engine.optimizer,
                self.batch_size,
                float(job.learning_rate),
                float(job.stddev),
                self.weights,
                self.moments,
                step,
                self.x,
                _read_only(job.offset),
                np.float32(job.offset_factor),
                rows,
                noise,
                self.scratch,
                losses,
            )
            step += steps_per_epoch(len(rows), self.batch_size)
            if chunks is not None:
                release_rows(self.engine.samples.x, rows)
                release_rows(job.offset, rows)
                if self.engine.workers.stopping:
                    raise Interrupted
        return float(losses.sum() / len(x))

    def _validate(self, job: Job) -> tuple[float, float]:
        """The validation loss, and the reconstruction's share of it."""
        x, chunks = self.x_validation, self.engine.chunks
        losses = np.zeros((2, self.groups))
        for rows in slices(len(x), chunks):
            self._share(
                validate,
                self.batch_size,
                self.weights,
                x[rows],
                _read_only(job.offset_validation)[rows],
                np.float32(job.offset_factor),
                self.scratch,
                losses,
            )
            if chunks is not None:
                release_rows(x, np.arange(rows.start, rows.stop, dtype=np.int32))
        reconstruction, divergence = losses.sum(axis=1) / len(x)
        return float(reconstruction + self.program.kl_weight * divergence), float(reconstruction)

    def _share(self, loop: Callable[..., bool], *arguments: Any) -> None:
        """Run a compiled loop over batches of the run, with the idle workers."""
        engine, barrier = self.engine, new_barrier()

        def work(thread: int, threads: int) -> None:
            try:
                partition = engine.partition(threads)
                loop(self.program, partition, thread, threads, barrier, *arguments)
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
