"""The offset of a run, as it is added to its codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def scale_offset(table: Array, factor: float) -> Array:
    """The offset as it is added to the code: the table times the run's factor, float32."""
    return np.asarray(table, np.float32) * np.float32(factor)


def no_offset(samples: int, latent_dim: int) -> Array:
    """Zeros, (samples, latent_dim) float32, in pages that the system makes only when written."""
    return np.zeros((samples, latent_dim), np.float32)
