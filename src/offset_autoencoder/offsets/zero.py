"""Kind ``zero``: f(x) = 0."""

from __future__ import annotations

import numpy as np

from offset_autoencoder.config.schema import ZeroOffset
from offset_autoencoder.offsets.kind import Float32, Int64, Samples, State


def fit(where: str, params: ZeroOffset, samples: Samples, latent_dim: int) -> State:
    """The latent dim is all there is to know."""
    return {"latent_dim": np.array(latent_dim, dtype=np.int64)}


def apply(where: str, state: State, x: Float32, y: Int64 | None) -> Float32:
    """Zeros, float32 (n, latent_dim)."""
    return np.zeros((len(x), state["latent_dim"].item()), dtype=np.float32)
