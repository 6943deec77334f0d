"""Engines that train a stack of runs by one program, and the runs of a stack.

Programs are compiled for a fixed number of runs per stack, which depends on the network and the
sizes of its data alone: XLA may round differently for another stack size, and a run must not depend
on how many others train beside it. Places that no run needs are filled with copies.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.architecture import steps_per_epoch
from offset_autoencoder.models.backend import keras
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
from offset_autoencoder.training.programs import Programs, Stack, Tensor
from offset_autoencoder.training.state import Job, SampleSizes, TrainingData, Weights

Drawn = tuple[Rows, Array | None]  # rows of an epoch in their order, and noise for their codes

_POWER_ROWS = 1024  # samples whose codes are in memory at a time, to measure their power
tensor = keras.ops.convert_to_tensor


class StackedEngine(Engine):
    """Programs of a population, and what they read.

    Attributes:
        programs_kind: The class of its programs.
        most_chunked: Runs per stack where each has a chunk of the samples in memory.
        stacked_bytes: Of the training samples of a stack, where each run has samples of its own.
        draws_ahead: Whether the next epoch's batches are drawn while a program is at work.
        piece_rows: Rows of an epoch that the programs are handed at a time, a multiple of the batch
            size, where the samples do not fit the device; None: they do.
        validated: Validation samples that are looked at in one go; None: all of them.
    """

    programs_kind: ClassVar[type[Programs]]
    is_compiled = False
    most_chunked: ClassVar[int] = 1
    stacked_bytes: ClassVar[int] = 2**30
    draws_ahead: ClassVar[bool] = False
    piece_rows: int | None = None
    validated: Chunks | None = None

    def __init__(self, population: Population, sizes: SampleSizes, workers: Workers) -> None:
        self.population, self.sizes, self.workers = population, sizes, workers
        most = [self.largest_stack(), population.most_slots or self.largest_stack()]
        if population.chunks(sizes) is not None:
            most.append(self.most_chunked)
        if not sizes.are_alike:
            most.append(1)
        if sizes.varies:
            share = max(1, self.stacked_bytes // (sizes.train * sizes.row_bytes))
            most.append(2 ** (share.bit_length() - 1))
        self.slots = min(most)
        self.programs = self.programs_kind(population)
        self._shared: Tensor = None  # the samples of the one split of all runs

    @abc.abstractmethod
    def largest_stack(self) -> int:
        """Runs per stack of samples in memory."""

    def start(self, initial: Sequence[Variables], data: Sequence[TrainingData]) -> Slots:
        """Begin a stack of runs."""
        return _StackedRuns(self, initial, data)

    def samples_of(self, data: Sequence[TrainingData]) -> Tensor:
        """Training samples of a stack: (n, D), or where splits vary those of each run, (R·n, D)."""
        if self.sizes.varies:
            return tensor(np.concatenate([of_run.x for of_run in data]))
        if self._shared is None:
            self._shared = tensor(np.asarray(data[0].x))
        return self._shared

    def make_room(self, error: Exception) -> bool:
        """Have less on the device after an error, to train an epoch again; False: it would fail."""
        return False

    def map(self, function: Callable[..., Any], *values: Iterable[Any]) -> Iterable[Any]:
        """:func:`map`, possibly by several threads."""
        return map(function, *values)

    def inputs(self, jobs: Sequence[Job], pieces: Sequence[Drawn]) -> dict[str, Tensor]:
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
        inputs = {"offset": tensor(np.stack(offsets))}
        if noises:
            inputs["noise"] = tensor(np.stack(noises))
        return inputs


class _StackedRuns(Slots):
    """Runs of one stack."""

    def __init__(
        self, engine: StackedEngine, initial: Sequence[Variables], data: Sequence[TrainingData]
    ) -> None:
        self.engine, self.programs, self.data = engine, engine.programs, list(data)
        self.stack = self.programs.stack(initial)
        self._samples: Tensor = None
        self._ahead: dict[Any, Drawn] = {}
        self._validation: tuple[list[Job], list[tuple[Tensor, Tensor]]] = [], []

    @property
    def chunks(self) -> Chunks | None:
        """Chunks of the training samples; None where they fit into memory."""
        engine = self.engine
        return engine.population.chunks(engine.sizes, len(self.data[0].x))

    @property
    def is_resident(self) -> bool:
        """True if all training samples are on the device."""
        return self.chunks is None and self.engine.piece_rows is None

    def put(self, slot: int, variables: Variables, data: TrainingData) -> None:
        arrays = self.programs.arrays_of(variables)
        self.stack = self.programs.with_run(self.stack, slot, arrays)
        self.data[slot], self._samples = data, None

    def train_epoch(self, jobs: Sequence[Job], epochs: Sequence[int]) -> NDArray[np.float64]:
        while True:
            try:
                return self._train_epoch(jobs, epochs)
            except Exception as error:
                if not self.engine.make_room(error):
                    raise
            self._samples, self._validation = None, ([], [])

    def _train_epoch(self, jobs: Sequence[Job], epochs: Sequence[int]) -> NDArray[np.float64]:
        stack, losses, size = self.stack, list[Tensor](), self.engine.population.batch_size
        steps = steps_per_epoch(self.engine.sizes.train, size)
        rates = np.stack([*map(Job.learning_rates, jobs, epochs, [steps] * len(jobs))])
        for x, order, inputs in self._pieces(jobs, epochs):
            now, rates = np.split(rates, [steps_per_epoch(order.shape[1], size)], axis=1)
            now = tensor(now.astype(np.float32))
            stack, loss = self.programs.train(stack, x, order, inputs, now)
            if losses:  # of pieces, no more than two are on the device
                np.asarray(losses[-1])
            losses.append(loss)
        self.stack = self._with_power(stack)
        blocks = [
            (offset.shape[1], self.programs.validate(self.stack, x, offset))
            for x, offset in self._validation_blocks(jobs)
        ]
        if self.engine.draws_ahead and self.chunks is None:
            runs = zip(jobs, epochs, self.data, strict=True)
            self._ahead = self._drawn_whole((j, e + 1, d) for j, e, d in runs if e < j.epochs)
        loss = sum(np.asarray(loss, np.float64) for loss in losses) / len(self.data[0].x)
        validation = sum(np.asarray(losses, np.float64) * rows for rows, losses in blocks)
        validation = validation / len(self.data[0].x_validation)
        return np.stack([loss, *validation]).astype(np.float32).astype(np.float64)

    def keep_best(self, better: Sequence[bool]) -> None:
        self.stack = self.programs.keep_best(self.stack, tensor(np.array(better)))

    def best(self, slot: int) -> Weights:
        return self.engine.population.weights_of(self.stack.best_of(slot))

    def state(self, slot: int) -> dict[str, NDArray[Any]]:
        return {f"array_{i}": array for i, array in enumerate(self.stack.run_arrays(slot))}

    def restore(self, slot: int, state: Mapping[str, NDArray[Any]]) -> None:
        arrays = [state[name] for name in self.state(slot)]
        self.stack = self.programs.with_run(self.stack, slot, arrays)

    def _pieces(
        self, jobs: Sequence[Job], epochs: Sequence[int]
    ) -> Iterator[tuple[Tensor, Tensor, dict[str, Tensor]]]:
        """Samples, rows of them, and what the model is fed beside them, piece by piece."""
        data = self.data
        if self.is_resident and self._samples is None:
            self._samples = self.engine.samples_of(data)
        places = np.arange(len(data), dtype=np.int32)[:, None]
        for pieces in self._drawn(jobs, epochs):
            rows = np.stack([rows for rows, _ in pieces])
            inputs = self.engine.inputs(jobs, pieces)
            if self.is_resident:
                order = rows + places * (len(data[0].x) * self.engine.sizes.varies)
                yield self._samples, tensor(order.astype(np.int32)), inputs
            else:
                own = [of_run.x[of_rows] for of_run, of_rows in zip(data, rows, strict=True)]
                order = np.arange(rows.size, dtype=np.int32).reshape(rows.shape)
                yield tensor(np.concatenate(own)), tensor(order), inputs

    def _drawn(self, jobs: Sequence[Job], epochs: Sequence[int]) -> Iterator[Sequence[Drawn]]:
        """Rows and noise of each run's epoch: all at once, or piece by piece."""
        if self.chunks is not None:
            runs = [
                epoch_pieces(job, epoch, of_run.x, self.chunks, self.engine.workers)
                for job, epoch, of_run in zip(jobs, epochs, self.data, strict=True)
            ]
            yield from zip(*runs, strict=True)
            return
        drawn = self._drawn_whole(zip(jobs, epochs, self.data, strict=True))
        self._ahead = {}
        whole = [drawn[key] for key in map(_stream, jobs, epochs)]
        samples = len(self.data[0].x)
        step = self.engine.piece_rows or samples
        for part in (slice(start, start + step) for start in range(0, samples, step)):
            yield [(rows[part], None if noise is None else noise[part]) for rows, noise in whole]

    def _drawn_whole(self, runs: Iterable[tuple[Job, int, TrainingData]]) -> dict[Any, Drawn]:
        """Rows and noise of epochs by :func:`_stream`: what several runs share is drawn once."""
        missing = {
            key: (job, epoch, of_run.x)
            for job, epoch, of_run in runs
            if (key := _stream(job, epoch)) not in self._ahead
        }

        def draw(run: tuple[Job, int, Array]) -> Drawn:
            return next(epoch_pieces(*run, None, self.engine.workers))

        drawn = self.engine.map(draw, missing.values())
        return self._ahead | dict(zip(missing, drawn, strict=True))

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
            state[place] = tensor(power.astype(np.float32))
        return stack._replace(state=state)

    def _rows_of(self, arrays: Sequence[Array], rows: slice) -> Tensor:
        """Some samples: (n, D), or where splits vary those of each run, (R, n, D)."""
        if not self.engine.sizes.varies:
            return tensor(np.asarray(arrays[0][rows]))
        return tensor(np.stack([array[rows] for array in arrays]))

    def _validation_blocks(self, jobs: Sequence[Job]) -> Iterable[tuple[Tensor, Tensor]]:
        """Validation samples and the runs' offsets, block by block; kept where they fit."""

        def blocks() -> Iterator[tuple[Tensor, Tensor]]:
            rows_of_blocks = self.chunks or self.engine.validated
            for rows in slices(len(self.data[0].x_validation), rows_of_blocks):
                scaled = [j.offset_validation[rows] * np.float32(j.offset_factor) for j in jobs]
                x = self._rows_of([of_run.x_validation for of_run in self.data], rows)
                yield x, tensor(np.stack(scaled))

        if not self.is_resident:
            return blocks()
        known, kept = self._validation
        if len(known) != len(jobs) or any(a is not b for a, b in zip(known, jobs, strict=True)):
            self._validation = [*jobs], (kept := [*blocks()])
        return kept


def _stream(job: Job, epoch: int) -> tuple[Any, ...]:
    """What the rows and the noise of a run's epoch depend on, among those of its stack."""
    noise = bool(job.stddev) and (job.offset.shape[1], job.noise_range)
    return job.seed, epoch, len(job.offset), noise
