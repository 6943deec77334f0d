"""The Keras engine: any network, a stack of runs per thread, by Keras on TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.autoencoder import Variables
from offset_autoencoder.models.backend import tf
from offset_autoencoder.training.batches import (
    Rows,
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
    Samples,
    Slots,
    Workers,
)
from offset_autoencoder.training.keras_programs import Programs, convolves
from offset_autoencoder.training.mapped import give_back, read_ahead
from offset_autoencoder.training.population import Population
from offset_autoencoder.training.state import Job, Weights

# Measured on two cores: a stack pays while all its weights stay in the second-level cache.
_STACKED_PARAMETERS = 131_072
_LARGEST_STACK = 16


class KerasEngine(Engine):
    """Programs of Keras's own layers, losses and optimizers, and the samples that they read."""

    is_compiled = False

    def __init__(self, population: Population, samples: Samples, workers: Workers) -> None:
        self.population, self.samples, self.workers = population, samples, workers
        self.chunks = population.chunks(samples.x)
        # A chunk is as large as memory allows: runs of a stack would need one each.
        self.slots = 1 if self.chunks else runs_per_stack(population)
        self.programs = Programs(population)
        self._whole: Any = None

    @classmethod
    def for_population(
        cls, population: Population, samples: Samples, workers: Workers
    ) -> Self | None:
        """The engine of a population."""
        return cls(population, samples, workers)

    def start(self, initial: Sequence[Variables]) -> Slots:
        """Begin a stack of runs."""
        return _StackedRuns(self, initial)

    @property
    def whole(self) -> Any:
        """All training samples, as a tensor."""
        if self._whole is None:
            self._whole = tf.constant(np.asarray(self.samples.x))
        return self._whole


def runs_per_stack(population: Population) -> int:
    """Runs per stack: a power of two, from 16 for small networks down to 1 for large ones."""
    if convolves(population.model):
        return 1
    share = max(1, _STACKED_PARAMETERS // max(1, population.model.count_params()))
    largest = min(_LARGEST_STACK, population.most_slots or _LARGEST_STACK)
    return int(min(largest, 2 ** (share.bit_length() - 1)))


class _StackedRuns(Slots):
    """Runs of one stack."""

    def __init__(self, engine: KerasEngine, initial: Sequence[Variables]) -> None:
        self.engine, self.programs = engine, engine.programs
        self.stack = self.programs.stack(initial)

    def put(self, slot: int, variables: Variables) -> None:
        """Begin a run in the place of one that ended."""
        self.stack = self.stack.with_run(slot, self.programs.arrays_of(variables))

    def train_epoch(self, jobs: Sequence[Job], epochs: Sequence[int]) -> NDArray[np.float64]:
        """Train an epoch of each run, and validate it."""
        stack, total = self.stack, np.zeros(len(jobs))
        rate = tf.constant([job.learning_rate for job in jobs], tf.float32)
        for x, order, inputs in self._batches(jobs, epochs):
            stack, loss = self.programs.train(stack, x, order, inputs, rate)
            total += np.asarray(loss, np.float64)
        self.stack = stack
        losses = np.stack([total / len(self.engine.samples.x), *self._validate(jobs)])
        return losses.astype(np.float32).astype(np.float64)

    def keep_best(self, better: Sequence[bool]) -> None:
        """Keep the variables of some slots as their best."""
        self.stack = self.programs.keep_best(self.stack, tf.constant(better))

    def best(self, slot: int) -> Weights:
        """The best weights of a run."""
        return self.engine.population.weights_of(self.stack.best_of(slot))

    def state(self, slot: int) -> dict[str, NDArray[Any]]:
        """All arrays of a run."""
        return {f"array_{i}": array for i, array in enumerate(self.stack.run_arrays(slot))}

    def restore(self, slot: int, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from such a state."""
        self.stack = self.stack.with_run(slot, [state[name] for name in self.state(slot)])

    def _batches(
        self, jobs: Sequence[Job], epochs: Sequence[int]
    ) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
        """Samples, rows of them, and what the model is fed beside them, chunk by chunk."""
        engine, x = self.engine, self.engine.samples.x
        feeds = [_Feed(job, epoch) for job, epoch in zip(jobs, epochs, strict=True)]
        if engine.chunks is None:
            orders = [next(epoch_chunks(f.job.seed, f.epoch, len(x), None)) for f in feeds]
            yield engine.whole, tf.constant(np.stack(orders)), self._inputs(feeds, orders)
            return
        (feed,) = feeds
        chunks = epoch_chunks(feed.job.seed, feed.epoch, len(x), engine.chunks)
        for rows, following in with_next(chunks):
            if following is not None:
                read_ahead(x, following)
            order = np.arange(len(rows), dtype=np.int32)[None]
            yield tf.constant(x[rows]), tf.constant(order), self._inputs([feed], [rows])
            give_back(x, rows)
            if engine.workers.stopping:
                raise Interrupted

    def _inputs(self, feeds: Sequence[_Feed], orders: Sequence[Rows]) -> dict[str, Any]:
        """Inputs of the model beside the samples, in their order."""
        offsets, noises = [], []
        for feed, rows in zip(feeds, orders, strict=True):
            offset = feed.job.offset[rows] * np.float32(feed.job.offset_factor)
            noise = feed.noise(len(rows))
            if self.programs.noise_is_input:
                noises.append(np.zeros_like(offset) if noise is None else noise)
            elif noise is not None:
                offset = offset + noise
            offsets.append(offset)
        inputs = {"offset": tf.constant(np.stack(offsets))}
        if noises:
            inputs["noise"] = tf.constant(np.stack(noises))
        return inputs

    def _validate(self, jobs: Sequence[Job]) -> NDArray[np.float64]:
        """The validation loss of each run, and the reconstruction's share of it, (2, R)."""
        x, total = self.engine.samples.x_validation, np.zeros((2, len(jobs)))
        for rows in slices(len(x), self.engine.chunks):
            offset = np.stack(
                [job.offset_validation[rows] * np.float32(job.offset_factor) for job in jobs]
            )
            losses = self.programs.validate(
                self.stack, tf.constant(np.asarray(x[rows])), tf.constant(offset)
            )
            total += np.asarray(losses, np.float64) * len(offset[0])
        return total / len(x)


class _Feed:
    """One run's epoch: its noise, drawn chunk by chunk."""

    def __init__(self, job: Job, epoch: int) -> None:
        self.job, self.epoch = job, epoch
        self._draws = noise_generator(job.seed, epoch) if job.stddev else None

    def noise(self, rows: int) -> Array | None:
        """The noise of the next rows."""
        if self._draws is None:
            return None
        noise = draw_noise(self._draws, rows, self.job.offset.shape[1])
        return np.float32(self.job.stddev) * noise
