"""Trains the runs of a population one after another, each on a thread of its own."""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.training.batches import (
    draw_noise,
    epoch_chunks,
    noise_generator,
    steps_an_epoch,
)
from offset_autoencoder.training.fused.epoch import train_batches, validate
from offset_autoencoder.training.fused.optimizers import MOMENTS, OPTIMIZERS
from offset_autoencoder.training.fused.program import Program
from offset_autoencoder.training.hall import Crew, Hall, Interrupted, Work, ahead
from offset_autoencoder.training.job import Job, Progress
from offset_autoencoder.training.mapped import give_back, read_ahead

Array = NDArray[np.float32]

_NO_NOISE = np.zeros((0, 0), np.float32)


class FusedCrew(Crew):
    """The runs of one population whose network is a program."""

    def __init__(self, hall: Hall, work: Work) -> None:
        super().__init__(hall, work)
        self.ready = True

    def train(self) -> None:
        """Train the next run that waits, to its end."""
        if job := self.next_job():
            run = _Run(self, job)
            while not run.progress.ends:
                run.train_epoch()
                if self.hall.stop.is_set():
                    run.checkpoint()
                    return
            self.finish(run.progress, run.layout.split(run.best))


class _Run:
    """One run in training: its arrays, all its own."""

    def __init__(self, crew: FusedCrew, job: Job) -> None:
        fused = crew.population.fused
        assert fused is not None
        self.hall, self.population = crew.hall, crew.population
        self.program, self.layout = fused
        self.progress = Progress(job)
        self.optimizer = OPTIMIZERS[self.population.optimizer]
        self.chunks = self.population.chunks(self.hall.x)
        self.x, self.x_validation = _read_only(self.hall.x), _read_only(self.hall.x_validation)
        self.offset, self.offset_validation = (
            _read_only(job.offset),
            _read_only(job.offset_validation),
        )
        self.steps = 0
        trained = self.program.trained
        self.moments = np.zeros((MOMENTS[self.optimizer], trained), np.float32)
        self.scratch = _scratch(self.program, self.population.batch_size)
        self.weights = np.zeros(self.layout.size, np.float32)
        self.best = self.weights.copy()
        if not self._restore():
            self.weights = self.layout.flatten(self.population.weights_of(crew.initial(job.seed)))
            self.best = self.weights.copy()

    def train_epoch(self) -> None:
        """Train it for an epoch, validate it, and write a checkpoint where one is due."""
        started = time.perf_counter()
        # Only an epoch over chunks is cut off in the middle.
        before = {} if self.chunks is None else copy.deepcopy(self._state())
        try:
            loss = self._train_samples()
        except Interrupted:
            self.hall.checkpoints.write(self.progress.job.id, before)
            raise
        validation = self._validate()
        better = self.progress.record(
            (loss, *validation), time.time(), time.perf_counter() - started
        )
        if better:
            self.best[:] = self.weights
        self.hall.on_epoch([self.progress.job])
        if self.progress.checkpoint_due:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write down where it is."""
        self.hall.checkpoints.write(self.progress.job.id, self._state())
        self.progress.checkpoint = time.monotonic()

    def _state(self) -> dict[str, NDArray[Any]]:
        return {
            "weights": self.weights,
            "best_weights": self.best,
            "moments": self.moments,
            **self.progress.state(),
        }

    def _restore(self) -> bool:
        state = self.hall.checkpoints.read(self.progress.job.id, self._state())
        if state is None:
            return False
        self.weights, self.best = state["weights"], state["best_weights"]
        self.moments = state["moments"]
        self.progress.restore(state)
        steps = steps_an_epoch(len(self.hall.x), self.population.batch_size)
        self.steps = len(self.progress.epochs) * steps
        return True

    def _train_samples(self) -> float:
        """The mean loss over the samples of an epoch."""
        hall, job = self.hall, self.progress.job
        epoch, total = len(self.progress.epochs) + 1, 0.0
        batch_size, latent_dim = self.population.batch_size, job.offset.shape[1]
        draws = noise_generator(job.seed, epoch) if job.stddev else None
        for rows, following in ahead(epoch_chunks(job.seed, epoch, len(hall.x), self.chunks)):
            if following is not None:
                read_ahead(hall.x, following)
            noise = draw_noise(draws, len(rows), latent_dim) if draws else _NO_NOISE
            total += train_batches(
                self.program,
                self.optimizer,
                batch_size,
                float(job.learning_rate),
                float(job.stddev),
                self.weights,
                self.moments,
                self.steps,
                self.x,
                self.offset,
                np.float32(job.offset_factor),
                rows,
                noise,
                self.scratch,
            )
            self.steps += steps_an_epoch(len(rows), batch_size)
            self._let_go(rows, job.offset)
        return float(total / len(hall.x))

    def _let_go(self, rows: NDArray[np.int32], offset: Array) -> None:
        if self.chunks is None:
            return
        give_back(self.hall.x, rows)
        give_back(offset, rows)
        if self.hall.stop.is_set():
            raise Interrupted

    def _validate(self) -> tuple[float, float]:
        """The validation loss, and the reconstruction's share of it."""
        x, job = self.x_validation, self.progress.job
        total = np.zeros(2)
        for rows in self.hall.slices(len(x), self.chunks):
            total += validate(
                self.program,
                self.population.batch_size,
                self.weights,
                x[rows],
                self.offset_validation[rows],
                np.float32(job.offset_factor),
                self.scratch,
            )
            if self.chunks is not None:
                give_back(x, np.arange(rows.start, rows.stop, dtype=np.int32))
        loss, reconstruction = total / len(x)
        return float(loss), float(reconstruction)


def _read_only(array: Array) -> Array:
    """An array as one type for the compiled loop, which is compiled for each: never copied."""
    view = np.ascontiguousarray(array, np.float32)[:]
    view.flags.writeable = False
    return view


def _scratch(program: Program, batch_size: int) -> tuple[Array, Array, Array, Array]:
    sizes = (
        batch_size * program.row_width,
        batch_size * program.row_width,
        batch_size * int(program.widths.max()),
        program.trained,
    )
    first, second, third, fourth = (np.zeros(size, np.float32) for size in sizes)
    return first, second, third, fourth
