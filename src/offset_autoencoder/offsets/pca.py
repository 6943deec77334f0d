"""Kind ``pca``: the first principal components of the training split.

f(x)_k = s_k · v_k·(x − mean), with v_k the k-th eigenvector of the covariance of the training
split (Pearson 1901; Hotelling 1933). s_k = 1, or 1/sqrt(λ_k) with ``whiten``, where λ_k is the
variance (n − 1 in its denominator) along v_k.

An eigenvector's sign is arbitrary: its loading of largest magnitude is made positive.
Directions in which the training split does not vary have no order and no natural axes; the
components beyond its rank are zero, so that the result does not depend on rounding.
"""

from __future__ import annotations

import numpy as np

from offset_autoencoder.config.offset_kinds import PcaOffset
from offset_autoencoder.errors import InputError
from offset_autoencoder.offsets.kind import Float32, OffsetKind, Samples, State, Training
from offset_autoencoder.offsets.linear import principal_components, project


def fit(where: str, params: PcaOffset, training: Training, latent_dim: int) -> State:
    """Mean (input_dim,), components (latent_dim, input_dim), variances and scale (latent_dim,).

    Raises:
        InputError: with ``whiten``, where latent_dim exceeds the rank of the training split.
    """
    axes = principal_components(training.x, latent_dim)
    if params.whiten and latent_dim > axes.rank:
        raise InputError(
            f"{where}.whiten",
            f"the training split varies in {axes.rank} directions only, fewer than latent_dim "
            f"{latent_dim}: the others have no variance to scale to 1",
            "take a smaller network.latent_dim or whiten: false",
        )
    return {
        "mean": axes.mean,
        "components": axes.components,
        "explained_variance": axes.variances,
        "scale": 1.0 / np.sqrt(axes.variances) if params.whiten else np.ones(latent_dim),
    }


def apply(where: str, state: State, samples: Samples) -> Float32:
    """Scores of samples on the components, float32 (n, latent_dim)."""
    return project(samples.x, state["mean"], state["components"].T * state["scale"])


KIND = OffsetKind(fit, apply)
