"""Kind ``hash``: a Gaussian vector seeded by the content of the sample.

It is frozen noise: deterministic, the same for the same sample wherever the sample stands,
and without meaning, since samples that differ in one bit have unrelated vectors.

The content of a sample is its little-endian float32 values as they stand in
``data/prepared`` (after scaling), with −0 taken for 0. SHAKE-128 (FIPS 202) of the seed and
the content gives 64 bits a coordinate, and the Box–Muller transform (Box & Muller 1958,
Ann. Math. Statist. 29, 610) turns two uniforms u, v into two independent N(0, 1) values::

    sqrt(−2 ln u) cos(2πv),  sqrt(−2 ln u) sin(2πv)

No stream of NumPy's random generators is involved, so the vectors do not change with NumPy.
The transform is computed in float64 and rounded to float32: where the maths libraries of two
platforms differ in the last bit of a float64, about one float32 in 10^8 differs in its last.

The vector of a smaller latent dim is the beginning of that of a larger one.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.offset_kinds import HashOffset
from offset_autoencoder.offsets import kind


def fit(where: str, params: HashOffset, training: kind.Training, latent_dim: int) -> kind.State:
    """Keep the seed and the latent dim: nothing is learned."""
    return {
        "seed": np.array(params.seed, dtype=np.int64),
        "latent_dim": np.array(latent_dim, dtype=np.int64),
    }


def apply(where: str, state: kind.State, samples: kind.Samples) -> kind.Float32:
    """N(0, 1) coordinates as a function of each sample's content, float32 (n, latent_dim)."""
    x, seed, latent_dim = samples.x, state["seed"].item(), state["latent_dim"].item()
    table = np.empty((len(x), latent_dim), dtype=np.float32)
    for block in kind.row_blocks(len(x), max(x.shape[1], latent_dim)):
        table[block] = _standard_normal(_bits(x[block], seed, latent_dim))[:, :latent_dim]
    return table


def _bits(x: kind.Float32, seed: int, latent_dim: int) -> NDArray[np.uint64]:
    """64 bits a coordinate, rounded up to an even number of coordinates."""
    words = latent_dim + latent_dim % 2
    content = np.ascontiguousarray(x + np.float32(0), dtype="<f4")  # −0 + 0 is 0
    prefix = seed.to_bytes(8, "little")
    digests = (hashlib.shake_128(prefix + row.tobytes()).digest(8 * words) for row in content)
    return np.frombuffer(b"".join(digests), dtype="<u8").reshape(len(x), words)


def _standard_normal(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    # The upper 53 bits are as many as a float64 holds; u is in (0, 1], so its logarithm is finite.
    upper = (bits >> np.uint64(11)).astype(np.float64)
    radius = np.sqrt(-2.0 * np.log((upper[:, 0::2] + 1.0) * 2.0**-53))
    angle = 2.0 * np.pi * (upper[:, 1::2] * 2.0**-53)
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return pairs.reshape(bits.shape)


KIND = kind.OffsetKind(fit, apply)
