"""The Keras engine: any network, a stack of runs per thread, by Keras's own parts on TensorFlow.

Its programs are compiled for a fixed number of runs per stack, which depends on the network
alone: XLA may round differently for another stack size, and a run must not depend on how
many others train beside it. Places that no run needs are filled with copies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.architecture import steps_per_epoch
from offset_autoencoder.models.backend import tf
from offset_autoencoder.models.graph import Variables
from offset_autoencoder.runs.spec import Chunks
from offset_autoencoder.training.batches import Rows, slices
from offset_autoencoder.training.engine import (
    Array,
    Engine,
    Population,
    Slots,
    Workers,
    epoch_pieces,
)
from offset_autoencoder.training.keras_programs import Programs, Stack, Tensor, is_mapped
from offset_autoencoder.training.state import Job, SampleSizes, TrainingData, Weights

# Measured on two cores: a stack pays while all its weights stay in the second-level cache.
_STACKED_PARAMETERS = 131_072
_LARGEST_STACK = 16
# Of the training samples of a stack, where each run has samples of its own.
_STACKED_BYTES = 2**30
_POWER_ROWS = 1024  # samples whose codes are in memory at a time, to measure their power


class KerasEngine(Engine):
    """Programs of Keras's own layers, losses and optimizers, and the samples that they read."""

    name = "keras"
    is_compiled = False

    def __init__(self, population: Population, sizes: SampleSizes, workers: Workers) -> None:
        self.population, self.sizes, self.workers = population, sizes, workers
        # A chunk is as large as memory allows: runs of a stack would need one each.
        is_alone = population.chunks(sizes) is not None or not sizes.are_alike
        self.slots = 1 if is_alone else runs_per_stack(population)
        if sizes.varies:  # each run of a stack has samples of its own
            share = max(1, _STACKED_BYTES // (sizes.train * sizes.row_bytes))
            self.slots = min(self.slots, 2 ** (share.bit_length() - 1))
        self.programs = Programs(population)
        self._shared: Tensor = None  # the samples of the one split of all runs

    def start(self, initial: Sequence[Variables], data: Sequence[TrainingData]) -> Slots:
        """Begin a stack of runs."""
        return _StackedRuns(self, initial, data)

    def samples_of(self, data: Sequence[TrainingData]) -> Tensor:
        """Training samples of a stack: (n, D), or where splits vary those of each run, (R·n, D)."""
        if self.sizes.varies:
            return tf.constant(np.concatenate([of_run.x for of_run in data]))
        if self._shared is None:
            self._shared = tf.constant(np.asarray(data[0].x))
        return self._shared


def runs_per_stack(population: Population) -> int:
    """Runs per stack: a power of two, from 16 for small networks down to 1 for large ones."""
    if not is_mapped(population.model):
        return 1
    share = max(1, _STACKED_PARAMETERS // max(1, population.model.count_params()))
    largest = min(_LARGEST_STACK, population.most_slots or _LARGEST_STACK)
    return int(min(largest, 2 ** (share.bit_length() - 1)))


class _StackedRuns(Slots):
    """Runs of one stack."""

    def __init__(
        self, engine: KerasEngine, initial: Sequence[Variables], data: Sequence[TrainingData]
    ) -> None:
        self.engine, self.programs, self.data = engine, engine.programs, list(data)
        self.stack, self._samples = self.programs.stack(initial), None

    @property
    def chunks(self) -> Chunks | None:
        """Chunks of the training samples; None where they fit into memory."""
        engine = self.engine
        return engine.population.chunks(engine.sizes, len(self.data[0].x))

    def put(self, slot: int, variables: Variables, data: TrainingData) -> None:
        self.stack = self.stack.with_run(slot, self.programs.arrays_of(variables))
        self.data[slot], self._samples = data, None

    def train_epoch(self, jobs: Sequence[Job], epochs: Sequence[int]) -> NDArray[np.float64]:
        stack, total, size = self.stack, np.zeros(len(jobs)), self.engine.population.batch_size
        steps = steps_per_epoch(self.engine.sizes.train, size)
        rates = np.stack([*map(Job.learning_rates, jobs, epochs, [steps] * len(jobs))], axis=1)
        for x, order, inputs in self._pieces(jobs, epochs):
            now, rates = np.split(rates, [steps_per_epoch(order.shape[1], size)])
            stack, loss = self.programs.train(stack, x, order, inputs, tf.constant(now, tf.float32))
            total += np.asarray(loss, np.float64)
        self.stack = self._with_power(stack)
        losses = np.stack([total / len(self.data[0].x), *self._validate(jobs)])
        return losses.astype(np.float32).astype(np.float64)

    def keep_best(self, better: Sequence[bool]) -> None:
        self.stack = self.programs.keep_best(self.stack, tf.constant(better))

    def best(self, slot: int) -> Weights:
        return self.engine.population.weights_of(self.stack.best_of(slot))

    def state(self, slot: int) -> dict[str, NDArray[Any]]:
        return {f"array_{i}": array for i, array in enumerate(self.stack.run_arrays(slot))}

    def restore(self, slot: int, state: Mapping[str, NDArray[Any]]) -> None:
        self.stack = self.stack.with_run(slot, [state[name] for name in self.state(slot)])

    def _pieces(
        self, jobs: Sequence[Job], epochs: Sequence[int]
    ) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
        """Samples, rows of them, and what the model is fed beside them, chunk by chunk."""
        engine, data, chunks = self.engine, self.data, self.chunks
        runs = [
            epoch_pieces(job, epoch, of_run.x, chunks, engine.workers)
            for job, epoch, of_run in zip(jobs, epochs, data, strict=True)
        ]
        if chunks is None and self._samples is None:
            self._samples = engine.samples_of(data)
        first_rows = np.arange(len(data), dtype=np.int32)[:, None] * len(data[0].x)
        for pieces in zip(*runs, strict=True):
            inputs = self._inputs(jobs, pieces)
            orders = [rows for rows, _ in pieces]
            if chunks is None:
                order = np.stack(orders) + first_rows * engine.sizes.varies
                yield self._samples, tf.constant(order.astype(np.int32)), inputs
            else:
                order = np.arange(len(orders[0]), dtype=np.int32)[None]
                yield tf.constant(data[0].x[orders[0]]), tf.constant(order), inputs

    def _inputs(
        self, jobs: Sequence[Job], pieces: Sequence[tuple[Rows, Array | None]]
    ) -> dict[str, Any]:
        """Inputs of the model beside the samples, in their order."""
        offsets, noises = [], []
        for job, (rows, noise) in zip(jobs, pieces, strict=True):
            offset = job.offset[rows] * np.float32(job.offset_factor)
            scaled = None if noise is None else np.float32(job.stddev) * noise
            if self.programs.noise_is_input:
                noises.append(np.zeros_like(offset) if scaled is None else scaled)
            elif scaled is not None:
                offset = offset + scaled
            offsets.append(offset)
        inputs = {"offset": tf.constant(np.stack(offsets))}
        if noises:
            inputs["noise"] = tf.constant(np.stack(noises))
        return inputs

    def _with_power(self, stack: Stack) -> Stack:
        """The stack with the power over all training samples where a norm goes by it.

        That of the last batches is of weights that have moved on, and of what dropout left.
        """
        places, samples = self.programs.power_places, len(self.data[0].x)
        if not places:
            return stack
        total = np.zeros((len(self.data), len(places)))
        for start in range(0, samples, _POWER_ROWS):
            x = self._rows_of([of_run.x for of_run in self.data], slice(start, start + _POWER_ROWS))
            total += np.asarray(self.programs.powers(stack, x), np.float64)
        state = list(stack.state)
        for place, power in zip(places, total.T / samples, strict=True):
            state[place] = tf.constant(power, tf.float32)
        return stack._replace(state=state)

    def _rows_of(self, arrays: Sequence[Array], rows: slice) -> Tensor:
        """Some samples: (n, D), or where splits vary those of each run, (R, n, D)."""
        own = [np.asarray(array[rows]) for array in arrays]
        return tf.constant(np.stack(own) if self.engine.sizes.varies else own[0])

    def _validate(self, jobs: Sequence[Job]) -> NDArray[np.float64]:
        """The validation loss of each run, and the reconstruction's share of it, (2, R)."""
        samples, total = len(self.data[0].x_validation), np.zeros((2, len(jobs)))
        for rows in slices(samples, self.chunks):
            offset = np.stack(
                [job.offset_validation[rows] * np.float32(job.offset_factor) for job in jobs]
            )
            x = self._rows_of([of_run.x_validation for of_run in self.data], rows)
            losses = self.programs.validate(self.stack, x, tf.constant(offset))
            total += np.asarray(losses, np.float64) * len(offset[0])
        return total / samples
