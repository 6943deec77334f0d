"""Batches of an epoch: the order of the samples, and the noise on their codes.

Both depend on the seed and the epoch alone, so that runs which share a seed share them,
whatever their model (common random numbers), and a run does not depend on its company.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.runs.spec import Chunks

Rows = NDArray[np.int32]

_ORDER, _NOISE, _LEVEL = 0, 1, 2

# Chunks in memory at most: of eight runs, one in training and one read ahead each.
_CHUNKS_IN_MEMORY = 16
MOST_CHUNKED_RUNS = _CHUNKS_IN_MEMORY // 2
# Scattered over the file, so that a file in some order does not make chunks of one kind.
_BLOCKS_PER_CHUNK = 8


def _generator(seed: int, stream: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, epoch)))


def chunks_of(
    memory_limit: int | None, samples: int, row_bytes: int, batch_size: int
) -> Chunks | None:
    """Cut samples into chunks of at least a batch; None where they fit into the memory allowed.

    Where ``memory_limit`` is None, they do.
    """
    if memory_limit is None or samples * row_bytes <= memory_limit:
        return None
    batches = max(1, memory_limit // (_CHUNKS_IN_MEMORY * row_bytes * batch_size))
    blocks = min(_BLOCKS_PER_CHUNK, batches)
    return Chunks(block=batches // blocks * batch_size, blocks=blocks)


def epoch_order(seed: int, epoch: int, samples: int) -> Rows:
    """Rows of one epoch, batch after batch: a permutation, (samples,) int32."""
    return _generator(seed, _ORDER, epoch).permutation(samples).astype(np.int32)


def epoch_chunks(seed: int, epoch: int, samples: int, chunks: Chunks | None) -> Iterator[Rows]:
    """Rows of one epoch, chunk after chunk, int32: together a permutation of all rows.

    Blocks are shuffled across the file, and rows within each chunk of them. Without chunks it
    is :func:`epoch_order` in one piece.
    """
    if chunks is None:
        yield epoch_order(seed, epoch, samples)
        return
    generator = _generator(seed, _ORDER, epoch)
    starts = generator.permutation(-(-samples // chunks.block)) * chunks.block
    for first in range(0, len(starts), chunks.blocks):
        rows = np.concatenate(
            [
                np.arange(start, min(start + chunks.block, samples), dtype=np.int32)
                for start in starts[first : first + chunks.blocks]
            ]
        )
        yield generator.permutation(rows)


def slices(samples: int, chunks: Chunks | None) -> Iterator[slice]:
    """Samples in their own order, as many at a time as a chunk holds."""
    step = samples if chunks is None else chunks.rows
    for start in range(0, samples, max(1, step)):
        yield slice(start, min(start + step, samples))


def noise_generator(seed: int, epoch: int) -> np.random.Generator:
    """Generator of an epoch's noise, for :func:`draw_noise`."""
    return _generator(seed, _NOISE, epoch)


def level_generator(seed: int, epoch: int) -> np.random.Generator:
    """Generator of the noise levels of an epoch's samples, where they are drawn from a range."""
    return _generator(seed, _LEVEL, epoch)


def draw_noise(
    generator: np.random.Generator, samples: int, latent_dim: int
) -> NDArray[np.float32]:
    """Standard normal noise for the next codes of an epoch, in its order, (samples, latent_dim)."""
    return generator.standard_normal((samples, latent_dim), dtype=np.float32)
