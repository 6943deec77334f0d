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
from offset_autoencoder.offsets.kind import Float32, Samples, State, Training
from offset_autoencoder.offsets.linear import principal_axes, project, training_mean


def fit(where: str, params: PcaOffset, training: Training, latent_dim: int) -> State:
    """Mean (input_dim,), components (latent_dim, input_dim), variances and scale (latent_dim,).

    Raises:
        InputError: where latent_dim exceeds the number of samples or of features, or, with
            ``whiten``, the rank of the training split.
    """
    n, input_dim = training.x.shape
    if latent_dim > min(n, input_dim):
        raise InputError(
            where,
            f"pca has at most {min(n, input_dim)} components ({n} training samples of {input_dim} "
            f"features), fewer than latent_dim {latent_dim}",
            "take a smaller network.latent_dim or another kind",
        )
    mean = training_mean(training.x)
    variances, components = principal_axes(training.x, mean, latent_dim)
    threshold = variances[0] * max(n, input_dim) * np.finfo(np.float64).eps
    rank = int(np.count_nonzero(variances > threshold))
    if params.whiten and latent_dim > rank:
        raise InputError(
            f"{where}.whiten",
            f"the training split varies in {rank} directions only, fewer than latent_dim "
            f"{latent_dim}: the others have no variance to scale to 1",
            "take a smaller network.latent_dim or whiten: false",
        )
    variances[rank:], components[rank:] = 0.0, 0.0
    largest = np.argmax(np.abs(components), axis=1)
    signs = np.where(components[np.arange(latent_dim), largest] < 0, -1.0, 1.0)
    return {
        "mean": mean,
        "components": components * signs[:, None],
        "explained_variance": variances,
        "scale": 1.0 / np.sqrt(variances) if params.whiten else np.ones(latent_dim),
    }


def apply(where: str, state: State, samples: Samples) -> Float32:
    """The scores of samples on the components, float32 (n, latent_dim).

    Raises:
        InputError: where x has another number of features than the training split.
    """
    return project(where, samples.x, state["mean"], state["components"].T * state["scale"])
