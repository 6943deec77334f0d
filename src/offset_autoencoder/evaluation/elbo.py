"""The evidence lower bound of a variational autoencoder, and its two parts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.registries import LOSSES
from offset_autoencoder.models.inference import Decode, Encoded

Array = NDArray[np.float32]


def kl_divergence(mean: NDArray[np.floating], log_variance: NDArray[np.floating]) -> float:
    """KL(N(mean, variance) ‖ N(0, 1)) in nats, summed over coordinates, averaged over samples.

    ``½ Σ (mean² + variance − log variance − 1)`` (Kingma & Welling 2014, appendix B).

    Args:
        mean: (n, L).
        log_variance: (n, L).
    """
    mean, log_variance = np.asarray(mean, np.float64), np.asarray(log_variance, np.float64)
    each = np.square(mean) + np.exp(log_variance) - log_variance - 1
    return float(np.mean(np.sum(each, axis=1)) / 2)


def negative_log_likelihood(loss: str, x: Array, reconstruction: Array) -> float:
    """−log p(x | z) in nats, summed over features, averaged over samples.

    Args:
        loss: The network's loss, which names the likelihood: Bernoulli for binary and
            categorical for categorical cross-entropy, and for mean squared error a Gaussian of
            variance ½, at which the summed squared error is that likelihood but for a constant.
        x: (n, D).
        reconstruction: (n, D).
    """
    return LOSSES[loss].negative_log_likelihood(x, reconstruction)


def evidence_lower_bound(
    loss: str, x: Array, encoded: Encoded, decode: Decode, *, draws: int, seed: int
) -> dict[str, float]:
    """``elbo = −nll − kl`` of samples, in nats a sample.

    Args:
        loss: The network's loss.
        x: (n, D) samples.
        encoded: Mean and log variance of their codes.
        decode: The run's decoder.
        draws: Codes drawn a sample for the expected log likelihood.
        seed: Of the draws.

    Returns:
        ``elbo``, ``nll`` and ``kl``; the divergence is exact, the likelihood the mean over the
        draws. Whatever beta the run was trained with, this is the bound itself.

    Raises:
        ValueError: for a run that is no variational autoencoder.
    """
    if encoded.code is None or encoded.log_variance is None:
        raise ValueError("only a variational autoencoder has an evidence lower bound")
    rng = np.random.default_rng(seed)
    spread = np.exp(encoded.log_variance / 2)
    found = []
    for _ in range(draws):
        noise = rng.standard_normal(spread.shape, dtype=np.float32)
        noise *= spread
        drawn = decode(encoded.code + noise, encoded.offset)
        found.append(negative_log_likelihood(loss, x, drawn))
    nll, kl = float(np.mean(found)), kl_divergence(encoded.code, encoded.log_variance)
    return {"elbo": -nll - kl, "nll": nll, "kl": kl}
