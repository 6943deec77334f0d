"""Task of a peer, and outcome of a turn."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """A network, its data and how long to train.

    Attributes:
        folder: Holds ``x.npy`` and ``validation.npy``, float32 (n, D) and (m, D) in [0, 1].
        samples: The first so many rows of x are trained on.
        latent_dim: Dimension of the code.
        hidden: Widths of the encoder's hidden layers.
        batch_size: Samples a step.
        stddev: Gaussian noise on the code; at 0 a fixed offset a sample is added instead.
        runs: Runs that a peer trains side by side, if it can.
        epochs: Epochs timed in a turn.
    """

    folder: str
    samples: int
    latent_dim: int
    hidden: tuple[int, ...]
    batch_size: int
    stddev: float
    runs: int
    epochs: int

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Task:
        """The inverse of :meth:`to_json`."""
        return cls(**{**values, "hidden": tuple(values["hidden"])})

    def to_json(self) -> dict[str, Any]:
        """Its values, as JSON has them."""
        return asdict(self)

    @property
    def x(self) -> Array:
        """The training samples, (samples, D)."""
        return _rows(Path(self.folder) / "x.npy", self.samples)

    @property
    def validation(self) -> Array:
        """The validation samples, (m, D)."""
        return _rows(Path(self.folder) / "validation.npy", None)

    def offset(self, samples: int) -> Array:
        """Offset of so many samples, (samples, latent_dim).

        Normal vectors of standard deviation 0.1; zeros where noise is added.
        """
        if self.stddev:
            return np.zeros((samples, self.latent_dim), np.float32)
        rng = np.random.default_rng(1)
        return np.float32(0.1) * rng.standard_normal((samples, self.latent_dim), dtype=np.float32)

    def widths(self, features: int) -> list[int]:
        """The widths of all layers, from the sample to its reconstruction."""
        return [features, *self.hidden, self.latent_dim, *reversed(self.hidden), features]


@functools.lru_cache(maxsize=3)
def _rows(path: Path, samples: int | None) -> Array:
    """The first rows of a file, loaded once for all tasks of a process."""
    return np.array(np.load(path, mmap_mode="r")[:samples], np.float32)


@dataclass(frozen=True)
class Outcome:
    """Outcome of a turn.

    Attributes:
        first_epoch: Seconds until the turn's first epoch had ended, compilation included.
        epoch: Seconds per epoch and run, the first epoch left out.
        first_loss: The validation loss after that first epoch, a mean over runs and features;
            None where nothing is trained.
        note: In which way, where there are several.
    """

    first_epoch: float
    epoch: float
    first_loss: float | None
    note: str = ""

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))


Turn = Callable[[], Outcome]
"""Trains the epochs of a turn, of which the first turn trains one more before; says how long."""
