"""A run to train, and what is known of it while it trains."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.runs.files import TrainedRun
from offset_autoencoder.training.population import Weights

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Job:
    """One run to train.

    Attributes:
        id: The run's id.
        seed: Seed of initial weights, batches and noise.
        offset: f(x) of the training samples, (n, L) float32.
        offset_validation: The same of the validation samples, (m, L) float32.
        stddev: Gaussian noise a coordinate of the code, in training; 1 for a variational
            autoencoder, which scales its noise itself.
        learning_rate: The optimizer's.
        epochs: At most so many.
        patience: Epochs without a lower validation loss after which it stops; None: never.
        warmup: Epochs in which its loss is not yet the one that is asked for: they end without
            patience, and no weights of theirs are the best but the last.
        offset_factor: What the offset is multiplied by as it is added.
        checkpoint_seconds: Between two checkpoints.
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


@dataclass
class Progress:
    """What is known of a run in training.

    Attributes:
        job: The run.
        epochs: For each epoch trained: loss, validation loss, the reconstruction's share of
            that, the Unix time at which it ended, and its seconds.
        best: The validation loss of its best weights.
        best_epoch: The epoch of those.
        checkpoint: When its last checkpoint was written, or its training began, by
            ``time.monotonic()``.
    """

    job: Job
    epochs: list[tuple[float, float, float, float, float]] = field(default_factory=list)
    best: float = float("inf")
    best_epoch: int = 0
    checkpoint: float = field(default_factory=time.monotonic)

    def record(self, losses: Sequence[float], ended: float, seconds: float) -> bool:
        """Take down an epoch: loss, validation loss, and the reconstruction's share of that.

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
        """Whether the weights of the epoch to come count as the best, whatever its loss."""
        return self.job.patience is None or len(self.epochs) < self.job.warmup

    @property
    def diverged(self) -> bool:
        """Whether a loss of the last epoch was not finite."""
        return bool(self.epochs) and not np.all(np.isfinite(self.epochs[-1][:2]))

    @property
    def out_of_patience(self) -> bool:
        """Whether the validation loss has not fallen for as long as the run may wait."""
        patience = self.job.patience
        return patience is not None and len(self.epochs) - self.best_epoch >= patience

    @property
    def ends(self) -> bool:
        """Whether the last epoch was its last."""
        return self.diverged or self.out_of_patience or len(self.epochs) >= self.job.epochs

    @property
    def checkpoint_due(self) -> bool:
        """Whether it is time to write down where it is."""
        return time.monotonic() - self.checkpoint >= self.job.checkpoint_seconds

    def result(self, weights: Weights) -> TrainedRun:
        """What the training leaves of the run."""
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
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """What a checkpoint keeps of it."""
        return {
            "epochs": np.array(self.epochs, np.float64).reshape(-1, 5),
            "best": np.array([self.best, self.best_epoch], np.float64),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from what a checkpoint kept."""
        self.epochs = [tuple(row) for row in state["epochs"].tolist()]
        self.best, self.best_epoch = float(state["best"][0]), int(state["best"][1])
