"""A run to train, and what is known of it while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.training.population import Weights
from offset_autoencoder.training.results import TrainedRun

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Job:
    """One run to train.

    Attributes:
        id: The run's id.
        seed: Seed of initial weights, batches and noise.
        offset: f(x) of the training samples as it is added, (n, L) float32.
        offset_validation: The same of the validation samples, (m, L) float32.
        stddev: Gaussian noise a coordinate of the code, in training; 1 for a variational
            autoencoder, which scales its noise itself.
        learning_rate: The optimizer's.
        epochs: At most so many.
        patience: Epochs without a lower validation loss after which it stops; None: never.
        warmup: Epochs in which its loss is not yet the one that is asked for: they end without
            patience, and no weights of theirs are the best but the last.
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


@dataclass
class Place:
    """A run's place in a stack, and what is known of the run so far."""

    job: Job
    loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_reconstruction: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best: float = float("inf")
    best_epoch: int = 0

    def record(self, losses: Sequence[float], ended: float, seconds: float) -> None:
        """Take down an epoch: loss, validation loss, and the reconstruction's share of that."""
        loss, val_loss, val_reconstruction = losses
        keeps_last = self.keeps_last
        self.loss.append(loss)
        self.val_loss.append(val_loss)
        self.val_reconstruction.append(val_reconstruction)
        self.ended.append(ended)
        self.seconds.append(seconds)
        if val_loss < self.best or (keeps_last and np.isfinite(val_loss)):
            self.best, self.best_epoch = val_loss, len(self.loss)

    @property
    def keeps_last(self) -> bool:
        """Whether the weights of the epoch to come count as the best, whatever its loss."""
        return self.job.patience is None or len(self.loss) < self.job.warmup

    @property
    def diverged(self) -> bool:
        """Whether a loss of the last epoch was not finite."""
        return not (np.isfinite(self.loss[-1]) and np.isfinite(self.val_loss[-1]))

    @property
    def out_of_patience(self) -> bool:
        """Whether the validation loss has not fallen for as long as the run may wait."""
        patience = self.job.patience
        return patience is not None and len(self.loss) - self.best_epoch >= patience

    @property
    def ends(self) -> bool:
        """Whether the last epoch was its last."""
        return self.diverged or self.out_of_patience or len(self.loss) >= self.job.epochs

    def result(self, weights: Weights) -> TrainedRun:
        """What the training leaves of the run."""
        return TrainedRun(
            status="diverged" if self.diverged else "finished",
            weights=None if self.diverged else weights,
            loss=np.array(self.loss, np.float32),
            val_loss=np.array(self.val_loss, np.float32),
            val_reconstruction=np.array(self.val_reconstruction, np.float32),
            best_epoch=None if self.diverged else self.best_epoch,
            stopped_early=not self.diverged and len(self.loss) < self.job.epochs,
            ended=np.array(self.ended),
            seconds=np.array(self.seconds),
        )
