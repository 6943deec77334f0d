"""Kind ``random_projection``: f(x) = (x − mean) P with P Gaussian and fixed by the seed.

P is (input_dim, latent_dim) with independent entries N(0, 1/latent_dim), so that
E‖f(x)‖² = ‖x − mean‖², and distances are kept up to the error of Johnson & Lindenstrauss
(1984, Contemp. Math. 26, 189).

The mean is that of the training split. Without it most of the power of, say, images whose
pixels are all ≥ 0 would sit in one constant vector, which says nothing about x.
"""

from __future__ import annotations

import numpy as np

from offset_autoencoder.config.offset_kinds import RandomProjectionOffset
from offset_autoencoder.offsets import kind
from offset_autoencoder.offsets.linear import project, training_mean


def fit(
    where: str, params: RandomProjectionOffset, training: kind.Training, latent_dim: int
) -> kind.State:
    """Training mean (input_dim,) and P (input_dim, latent_dim), float64."""
    generator = kind.random_stream("random_projection", params.seed)
    gaussian = generator.standard_normal((training.x.shape[1], latent_dim))
    return {"mean": training_mean(training.x), "projection": gaussian / np.sqrt(latent_dim)}


def apply(where: str, state: kind.State, samples: kind.Samples) -> kind.Float32:
    """(x − mean) P, float32 (n, latent_dim)."""
    return project(samples.x, state["mean"], state["projection"])


KIND = kind.OffsetKind(fit, apply)
