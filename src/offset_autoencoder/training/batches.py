"""What a run sees in an epoch: the order of the samples, and the noise on their codes.

Both depend on the seed and the epoch alone, so that runs which share a seed share them,
whatever their model (common random numbers), and a run does not depend on its company.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ORDER, _NOISE = 0, 1


def _generator(seed: int, stream: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, epoch)))


def steps_an_epoch(samples: int, batch_size: int) -> int:
    """Batches an epoch, the last one possibly smaller."""
    return -(-samples // batch_size)


def epoch_order(seed: int, epoch: int, samples: int, batch_size: int) -> NDArray[np.int32]:
    """The rows of every batch of one epoch.

    Returns:
        (steps, batch_size), a permutation of the rows; the last batch is filled up with row
        0, which :func:`batch_weights` gives no weight.
    """
    steps = steps_an_epoch(samples, batch_size)
    order = np.zeros(steps * batch_size, np.int32)
    order[:samples] = _generator(seed, _ORDER, epoch).permutation(samples)
    return order.reshape(steps, batch_size)


def batch_weights(samples: int, batch_size: int) -> NDArray[np.float32]:
    """Each row's weight in its batch's mean loss, (steps, batch_size).

    Rows of a batch weigh 1 / (rows in it), so that their weighted sum is the mean that Keras
    takes over a batch, and over a last smaller batch as well. Rows that fill up weigh 0.
    """
    steps = steps_an_epoch(samples, batch_size)
    present = (np.arange(steps * batch_size) < samples).reshape(steps, batch_size)
    return (present / present.sum(axis=1, keepdims=True)).astype(np.float32)


def epoch_noise(
    seed: int, epoch: int, samples: int, batch_size: int, latent_dim: int
) -> NDArray[np.float32]:
    """Standard normal noise for every code of one epoch, (steps, batch_size, latent_dim)."""
    steps = steps_an_epoch(samples, batch_size)
    generator = _generator(seed, _NOISE, epoch)
    return generator.standard_normal((steps, batch_size, latent_dim), dtype=np.float32)
