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


def epoch_order(seed: int, epoch: int, samples: int) -> NDArray[np.int32]:
    """The rows of one epoch, batch after batch: a permutation, (samples,) int32."""
    return _generator(seed, _ORDER, epoch).permutation(samples).astype(np.int32)


def epoch_noise(seed: int, epoch: int, samples: int, latent_dim: int) -> NDArray[np.float32]:
    """Standard normal noise for every code of one epoch, in its order, (samples, latent_dim)."""
    generator = _generator(seed, _NOISE, epoch)
    return generator.standard_normal((samples, latent_dim), dtype=np.float32)
