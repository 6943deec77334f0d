"""Trains the runs of a population one after another, each on a thread of its own."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.architecture import steps_per_epoch
from offset_autoencoder.training.batches import draw_noise, epoch_chunks, noise_generator
from offset_autoencoder.training.fused.epoch import new_scratch, train_batches, validate
from offset_autoencoder.training.fused.meeting import give_up, new_meeting
from offset_autoencoder.training.fused.optimizers import MOMENTS, OPTIMIZERS
from offset_autoencoder.training.fused.program import Layout, Program
from offset_autoencoder.training.fused.shares import Shares, groups_of, shares_of
from offset_autoencoder.training.fused.sharing import sharing_threads
from offset_autoencoder.training.hall import Crew, Hall, Interrupted, Work, ahead
from offset_autoencoder.training.job import Job, Progress
from offset_autoencoder.training.mapped import give_back, read_ahead

Array = NDArray[np.float32]

_Piece = Callable[[Shares, int, int, NDArray[np.int64]], bool]

_NO_NOISE = np.zeros((0, 0), np.float32)


class FusedCrew(Crew):
    """The runs of one population whose network is a program."""

    def __init__(self, hall: Hall, work: Work) -> None:
        super().__init__(hall, work)
        self.ready = True
        self._shares: dict[int, Shares] = {}

    @property
    def fused(self) -> tuple[Program, Layout]:
        """The network that all its runs have."""
        fused = self.population.fused
        assert fused is not None
        return fused

    @functools.cached_property
    def most_threads(self) -> int:
        """How many threads may train one run; found out when a second one has time."""
        population, hall = self.population, self.hall
        samples = (len(hall.x), len(hall.x_validation))
        optimizer = OPTIMIZERS[population.optimizer]
        return sharing_threads(*self.fused, population.batch_size, optimizer, samples)

    def shares(self, threads: int) -> Shares:
        """What each of so many threads does of a batch."""
        if threads not in self._shares:
            self._shares[threads] = shares_of(self.fused[0], self.population.batch_size, threads)
        return self._shares[threads]

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
        self.crew, self.hall, self.population = crew, crew.hall, crew.population
        self.program, self.layout = crew.fused
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
        self.scratch = new_scratch(self.program, self.population.batch_size)
        self.groups = groups_of(self.population.batch_size)
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
        steps = steps_per_epoch(len(self.hall.x), self.population.batch_size)
        self.steps = len(self.progress.epochs) * steps
        return True

    def _train_samples(self) -> float:
        """The mean loss over the samples of an epoch."""
        hall, job = self.hall, self.progress.job
        epoch, losses = len(self.progress.epochs) + 1, np.zeros(self.groups)
        batch_size, latent_dim = self.population.batch_size, job.offset.shape[1]
        draws = noise_generator(job.seed, epoch) if job.stddev else None
        for rows, following in ahead(epoch_chunks(job.seed, epoch, len(hall.x), self.chunks)):
            if following is not None:
                read_ahead(hall.x, following)
            noise = draw_noise(draws, len(rows), latent_dim) if draws else _NO_NOISE
            self._together(functools.partial(self._train_rows, rows, noise, losses))
            self.steps += steps_per_epoch(len(rows), batch_size)
            self._let_go(rows, job.offset)
        return float(losses.sum() / len(hall.x))

    def _together(self, work: _Piece) -> None:
        """Do a piece of the run's work, with the workers that have no run of their own."""
        meeting, helpers = new_meeting(), self.hall.helpers
        most = self.crew.most_threads if helpers.someone_waits else 1
        if most == 1:
            work(self.crew.shares(1), 0, 1, meeting)
            return

        def do(thread: int, threads: int) -> None:
            try:
                work(self.crew.shares(threads), thread, threads, meeting)
            except BaseException:
                give_up(meeting)
                raise

        helpers.together(do, most)

    def _train_rows(
        self,
        rows: NDArray[np.int32],
        noise: Array,
        losses: NDArray[np.float64],
        shares: Shares,
        thread: int,
        threads: int,
        meeting: NDArray[np.int64],
    ) -> bool:
        job = self.progress.job
        return train_batches(
            self.program,
            shares,
            thread,
            threads,
            meeting,
            self.optimizer,
            self.population.batch_size,
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
            losses,
        )

    def _let_go(self, rows: NDArray[np.int32], offset: Array) -> None:
        if self.chunks is None:
            return
        give_back(self.hall.x, rows)
        give_back(offset, rows)
        if self.hall.stop.is_set():
            raise Interrupted

    def _validate(self) -> tuple[float, float]:
        """The validation loss, and the reconstruction's share of it."""
        x = self.x_validation
        losses = np.zeros((2, self.groups))
        for rows in self.hall.slices(len(x), self.chunks):
            self._together(functools.partial(self._validate_rows, rows, losses))
            if self.chunks is not None:
                give_back(x, np.arange(rows.start, rows.stop, dtype=np.int32))
        reconstruction, divergence = losses.sum(axis=1) / len(x)
        return float(reconstruction + self.program.kl_weight * divergence), float(reconstruction)

    def _validate_rows(
        self,
        rows: slice,
        losses: NDArray[np.float64],
        shares: Shares,
        thread: int,
        threads: int,
        meeting: NDArray[np.int64],
    ) -> bool:
        return validate(
            self.program,
            shares,
            thread,
            threads,
            meeting,
            self.population.batch_size,
            self.weights,
            self.x_validation[rows],
            self.offset_validation[rows],
            np.float32(self.progress.job.offset_factor),
            self.scratch,
            losses,
        )


def _read_only(array: Array) -> Array:
    """An array as one type for the compiled loop, which is compiled for each: never copied."""
    view = np.ascontiguousarray(array, np.float32)[:]
    view.flags.writeable = False
    return view
