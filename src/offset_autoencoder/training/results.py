"""What a training leaves of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Status = Literal["finished", "diverged"]


@dataclass(frozen=True)
class TrainedRun:
    """One run, trained.

    Attributes:
        status: ``"diverged"`` where a loss was not finite; then there are no weights.
        weights: The weights at the lowest validation loss (at the last epoch where patience is
            null), in the order of ``Population.weight_names``; None where the run diverged.
        loss: Mean training loss of each epoch trained, (epochs,) float32.
        val_loss: Validation loss after each epoch trained, (epochs,) float32.
        val_reconstruction: The share of the reconstruction in it, (epochs,) float32; the rest is
            what layers add: a KL divergence, say.
        best_epoch: The epoch of the weights, from 1; None where the run diverged.
        stopped_early: Whether patience ended it before its last epoch.
        ended: Unix time at which each epoch ended, (epochs,) float64 seconds.
        seconds: Wall time of each epoch, a run, (epochs,) float64: the time of a stack's
            epoch over the runs that trained in it.
    """

    status: Status
    weights: list[NDArray[np.float32]] | None
    loss: NDArray[np.float32]
    val_loss: NDArray[np.float32]
    val_reconstruction: NDArray[np.float32]
    best_epoch: int | None
    stopped_early: bool
    ended: NDArray[np.float64]
    seconds: NDArray[np.float64]

    @property
    def adds_losses(self) -> bool:
        """Whether anything but the reconstruction is part of the loss."""
        return not np.array_equal(self.val_loss, self.val_reconstruction, equal_nan=True)

    @property
    def epochs(self) -> int:
        """Epochs trained."""
        return len(self.loss)
