"""State of runs in training: what is asked of one, how far it has come, and when it stops."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.registries import SCHEDULES
from offset_autoencoder.config.systems import NoiseRange
from offset_autoencoder.runs.files import TrainedRun
from offset_autoencoder.runs.spec import IdentifiedRun

Array = NDArray[np.float32]
Weights = list[NDArray[Any]]


@dataclass(frozen=True)
class Job:
    """One run to train.

    Attributes:
        seed: Seed of initial weights, batches and noise.
        offset: f(x) of the training samples, (n, L) float32.
        offset_validation: The same of the validation samples, (m, L) float32.
        stddev: Gaussian noise per coordinate of the code, in training; 1 for a system that
            scales its noise itself.
        epochs: Number of epochs at most.
        patience: Epochs without a lower validation loss after which it stops; None: never.
        warmup: Epochs in which its loss is not yet the one that is asked for: they end without
            patience, and no weights of theirs are the best but the last.
        offset_factor: Factor of the offset as it is added.
        noise_range: Range that the standard deviation of each sample's noise is drawn from, in
            place of ``stddev``, which is then 1; None: there is none.
        schedule: Name of the schedule of the learning rate over all steps of its epochs.
        schedule_end: Factor of the learning rate at the end of that.
    """

    id: str
    seed: int
    offset: Array
    offset_validation: Array
    stddev: float
    learning_rate: float
    epochs: int
    patience: int | None
    warmup: int = 0
    offset_factor: float = 1.0
    checkpoint_seconds: float = 30.0
    noise_range: NoiseRange | None = None
    schedule: str = "constant"
    schedule_end: float = 0.01

    def learning_rates(self, epoch: int, steps: int) -> NDArray[np.float64]:
        """Learning rate of each step of an epoch, from 1, of so many steps, (steps,)."""
        share = ((epoch - 1) * steps + np.arange(steps)) / (self.epochs * steps)
        return self.learning_rate * SCHEDULES[self.schedule].factor(share, self.schedule_end)


class SampleSizes(NamedTuple):
    """Sizes of the splits that runs train on.

    Attributes:
        train: Number of training samples, where seeds differ in it the largest.
        validation: Number of validation samples, likewise.
        row_bytes: Bytes of a sample.
        varies: Whether the runs of each seed have a split of their own.
        are_alike: Whether these splits are all of one size.
    """

    train: int
    validation: int
    row_bytes: int
    varies: bool = False
    are_alike: bool = True

    @classmethod
    def of(cls, x: Array, x_validation: Array, *, varies: bool = False) -> Self:
        """Those of training samples (n, D) and validation samples (m, D)."""
        return cls(len(x), len(x_validation), x[:1].nbytes, varies)


@dataclass(frozen=True)
class TrainingData:
    """Samples and offset tables that runs train on: of one split, which is that of their seed.

    Attributes:
        x: (n, D) float32 training samples, in memory or mapped from a file.
        x_validation: (m, D) float32 validation samples.
        tables: By (offset, latent dim): f(x) of both, (n, L) and (m, L) float32, unscaled.
    """

    x: Array
    x_validation: Array
    tables: Mapping[tuple[str, int], tuple[Array, Array]] = field(default_factory=dict)

    def table(self, offset: str | None, latent_dim: int) -> tuple[Array, Array]:
        """The table of an offset, zeros where there is none."""
        if offset is not None:
            return self.tables[offset, latent_dim]
        # Pages that the system makes only when they are written.
        sizes = (len(self.x), len(self.x_validation))
        train, validation = (np.zeros((size, latent_dim), np.float32) for size in sizes)
        return train, validation


def make_job(run: IdentifiedRun, data: TrainingData) -> Job:
    """Job of a run."""
    setting = run.run.setting
    spec, train = setting.spec, setting.train
    offset, offset_validation = data.table(spec.offset, setting.network.latent_dim)
    return Job(
        id=run.id,
        seed=run.run.seed,
        offset=offset,
        offset_validation=offset_validation,
        # A system that learns its noise scales standard normal draws itself.
        stddev=1.0 if spec.system_record.learns_noise or spec.noise_range else spec.stddev,
        noise_range=spec.noise_range,
        learning_rate=train.learning_rate,
        epochs=train.epochs,
        patience=train.patience,
        warmup=spec.warmup,
        offset_factor=run.spec.offset_factor,
        checkpoint_seconds=train.checkpoint_seconds,
        schedule=train.schedule,
        schedule_end=train.schedule_end,
    )


@dataclass
class Progress:
    """Progress of a run in training.

    Attributes:
        epochs: For each epoch trained: loss, validation loss, the reconstruction's share of
            that, the Unix time at which it ended, and its seconds.
        best: The validation loss of its best weights.
        best_epoch: The epoch of those.
        checkpoint: Time of its last checkpoint, or of the beginning of its training, by
            ``time.monotonic()``.
    """

    job: Job
    epochs: list[tuple[float, float, float, float, float]] = field(default_factory=list)
    best: float = float("inf")
    best_epoch: int = 0
    checkpoint: float = field(default_factory=time.monotonic)

    def record(self, losses: Sequence[float], ended: float, seconds: float) -> bool:
        """Record an epoch: loss, validation loss, and the reconstruction's share of that.

        Returns:
            Whether its weights are the best so far.
        """
        loss, val_loss, val_reconstruction = losses
        keeps_last = self.keeps_last
        self.epochs.append((loss, val_loss, val_reconstruction, ended, seconds))
        better = val_loss < self.best or (keeps_last and bool(np.isfinite(val_loss)))
        if better:
            self.best, self.best_epoch = val_loss, len(self.epochs)
        return better

    @property
    def keeps_last(self) -> bool:
        """True if the weights of the epoch to come count as the best, whatever its loss."""
        return self.job.patience is None or len(self.epochs) < self.job.warmup

    @property
    def diverged(self) -> bool:
        """True if a loss of the last epoch was not finite."""
        return bool(self.epochs) and not np.all(np.isfinite(self.epochs[-1][:2]))

    @property
    def patience_exhausted(self) -> bool:
        """True if the validation loss has not fallen for as long as the run may wait."""
        patience = self.job.patience
        return patience is not None and len(self.epochs) - self.best_epoch >= patience

    @property
    def should_stop(self) -> bool:
        """True if the last epoch was its last."""
        return self.diverged or self.patience_exhausted or len(self.epochs) >= self.job.epochs

    @property
    def checkpoint_due(self) -> bool:
        """True if it is time for its next checkpoint."""
        return time.monotonic() - self.checkpoint >= self.job.checkpoint_seconds

    def result(self, weights: Weights, engine: str) -> TrainedRun:
        """Result of the training by the engine of this name."""
        columns = np.array(self.epochs).T
        loss, val_loss, val_reconstruction = columns[:3].astype(np.float32)
        return TrainedRun(
            status="diverged" if self.diverged else "finished",
            weights=None if self.diverged else weights,
            loss=loss,
            val_loss=val_loss,
            val_reconstruction=val_reconstruction,
            best_epoch=None if self.diverged else self.best_epoch,
            stopped_early=not self.diverged and len(self.epochs) < self.job.epochs,
            ended=columns[3].copy(),
            seconds=columns[4].copy(),
            engine=engine,
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """Content of its checkpoint."""
        return {
            "epochs": np.array(self.epochs, np.float64).reshape(-1, 5),
            "best": np.array([self.best, self.best_epoch], np.float64),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from the content of a checkpoint."""
        self.epochs = [tuple(row) for row in state["epochs"].tolist()]
        self.best, self.best_epoch = float(state["best"][0]), int(state["best"][1])
