"""The chance in the interventions: the same for every run of a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ENOUGH_ROWS = 4096


@dataclass(frozen=True)
class Draws:
    """Permutations and noise for the samples of one split.

    Attributes:
        sources: Whose offset each sample gets when they are permuted, never its own, int64
            (draws, n); without rows where there is but one sample.
        replacement: Standard normal numbers in place of an offset, float32 (draws, n, L).
        noise: Standard normal numbers to put on a code, float32 (draws, n, L).
    """

    sources: NDArray[np.int64]
    replacement: NDArray[np.float32]
    noise: NDArray[np.float32]


def draw(count: int, *, seed: int, run_seed: int, samples: int, latent_dim: int) -> Draws:
    """Draw for the runs of a seed.

    Runs of one seed get the same draws, so that what they differ in is not chance; runs of
    different seeds get others, so that the interval over seeds knows of it.

    Args:
        count: How many draws are averaged, at most: no more than bring :data:`ENOUGH_ROWS`
            samples together.
        seed: Seed of all draws.
        run_seed: The runs' seed.
        samples: How many samples, n.
        latent_dim: The offset's length, L.

    Raises:
        ValueError: where there is nothing to draw.
    """
    if min(count, samples, latent_dim) < 1:
        raise ValueError(f"nothing to draw: {count} draws of ({samples}, {latent_dim})")
    count = min(count, -(-ENOUGH_ROWS // samples))
    permuting, replacing, shaking = (
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(run_seed, stream)))
        for stream in range(3)
    )
    shape = (count, samples, latent_dim)
    others = [_someone_elses(permuting, samples) for _ in range(count if samples > 1 else 0)]
    return Draws(
        sources=np.array(others, dtype=np.int64).reshape(-1, samples),
        replacement=replacing.standard_normal(shape, dtype=np.float32),
        noise=shaking.standard_normal(shape, dtype=np.float32),
    )


def _someone_elses(rng: np.random.Generator, samples: int) -> NDArray[np.int64]:
    """A permutation that leaves nobody in place: one cycle through all, in random order."""
    order = rng.permutation(samples)
    sources = np.empty(samples, dtype=np.int64)
    sources[order] = np.roll(order, 1)
    return sources
