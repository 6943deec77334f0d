"""Kind ``zero``: f(x) = 0."""

from __future__ import annotations

import numpy as np

from offset_autoencoder.config.offset_kinds import ZeroOffset
from offset_autoencoder.offsets.kind import Float32, OffsetKind, Samples, State, Training


def fit(where: str, params: ZeroOffset, training: Training, latent_dim: int) -> State:
    """Keep the latent dim, all there is to know."""
    return {"latent_dim": np.array(latent_dim, dtype=np.int64)}


def apply(where: str, state: State, samples: Samples) -> Float32:
    """Zeros, float32 (n, latent_dim)."""
    return np.zeros((len(samples.x), state["latent_dim"].item()), dtype=np.float32)


KIND = OffsetKind(fit, apply)
