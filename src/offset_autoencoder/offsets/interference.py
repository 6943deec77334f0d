"""Kind ``interference``: a known signal, as in writing on dirty paper (Costa 1983).

It depends on the sample's id alone, not on x: the same id, the same signal, on whatever data
and at whatever place. Where params.yaml names no ``data.id``, a sample's id is its row in the
data set as it came, and another order of the rows gives the samples other signals.

``sinusoid``: a wave that runs on through the samples in the order of their ids,
s_j(i) = √2 sin(2π · frequency · (i·L + j) + phase) for coordinate j = 0 ... L − 1 of id i. All
of them lie in two dimensions, those of cos(2π · frequency · j) and sin(2π · frequency · j). An id
that is text stands for the first 64 bits of its SHA-256.

``constellation``: symbols drawn uniformly and independently by SHAKE-128 (FIPS 202) of the
seed and the id, a symbol in each two coordinates (its in-phase and its quadrature part), or,
``bpsk``, in each coordinate. The signal of a smaller latent dim is the beginning of that of a
larger one.

Both have a mean square of 1 per coordinate: on average over a cycle, and over the alphabet.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.offset_kinds import InterferenceOffset
from offset_autoencoder.errors import InputError
from offset_autoencoder.offsets.kind import Float32, Float64, OffsetKind, Samples, State, Training


def fit(where: str, params: InterferenceOffset, training: Training, latent_dim: int) -> State:
    """Keep what params.yaml says: nothing is learned."""
    kept: dict[str, Any] = {"latent_dim": latent_dim, "signal": params.signal}
    if params.signal == "sinusoid":
        kept |= {"frequency": params.frequency, "phase": params.phase}
    else:
        kept |= {"alphabet": alphabet(params.points), "seed": params.seed}
    return {key: np.array(value) for key, value in kept.items()}


def apply(where: str, state: State, samples: Samples) -> Float32:
    """Signal of each sample's id, float32 (n, latent_dim).

    Raises:
        InputError: where the samples have no ids.
    """
    if samples.ids is None:
        raise InputError(
            where, "kind interference goes by the sample's id", "give ids, one per sample"
        )
    latent_dim = state["latent_dim"].item()
    if state["signal"].item() == "sinusoid":
        signal = sinusoid(samples.ids, latent_dim, state["frequency"].item(), state["phase"].item())
    else:
        signal = _symbols(samples.ids, latent_dim, state["alphabet"], state["seed"].item())
    return signal.astype(np.float32)


def sinusoid(ids: NDArray[Any], latent_dim: int, frequency: float, phase: float) -> Float64:
    """Wave at each id, (n, latent_dim); frequency in cycles per coordinate, phase in radians."""
    # Cycles are counted in whole numbers, so that a large id loses no digits of its phase.
    cycles, whole = frequency.as_integer_ratio()
    numbers = [
        name
        if isinstance(name, int)
        else int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        for name in ids.tolist()
    ]
    begins = [number * latent_dim * cycles % whole / whole for number in numbers]
    turns = np.array(begins)[:, None] + frequency * np.arange(latent_dim)
    wave: Float64 = np.sqrt(2.0) * np.sin(2.0 * np.pi * turns + phase)
    return wave


def _symbols(ids: NDArray[Any], latent_dim: int, alphabet: Float64, seed: int) -> Float64:
    count = -(-latent_dim // alphabet.shape[1])
    prefix = seed.to_bytes(8, "little")
    drawn = (hashlib.shake_128(prefix + str(name).encode()).digest(count) for name in ids.tolist())
    # The alphabet's size divides 256, so that a byte modulo it is uniform. A last symbol that does
    # not fit is cut.
    index = np.frombuffer(b"".join(drawn), dtype=np.uint8).reshape(len(ids), count) % len(alphabet)
    return alphabet[index].reshape(len(ids), -1)[:, :latent_dim]


def alphabet(points: str) -> Float64:
    """Points of a constellation, (M, coordinates), of a mean square of 1 per coordinate."""
    signs = np.array([-1.0, 1.0])
    if points == "bpsk":
        return signs[:, None]
    if points == "psk8":
        angles = np.pi / 4 * np.arange(8)
        return np.sqrt(2.0) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    levels = signs if points == "qpsk" else np.array([-3.0, -1.0, 1.0, 3.0]) / np.sqrt(5.0)
    grid = np.meshgrid(levels, levels, indexing="ij")
    return np.stack(grid, axis=-1).reshape(-1, 2)


KIND = OffsetKind(fit, apply)
