"""Linear maps of centred samples, blockwise: what two kinds of offset share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.errors import InputError
from offset_autoencoder.offsets.kind import Float32

_ROWS = 4096

Float64 = NDArray[np.float64]


def training_mean(x: Float32) -> Float64:
    """The mean of each feature, summed in float64: (input_dim,)."""
    mean: Float64 = np.mean(x, axis=0, dtype=np.float64)
    return mean


def centred_blocks(x: Float32, mean: Float64) -> Iterator[tuple[slice, Float64]]:
    """Blocks of rows of x − mean, and where they stand: bounds the memory for a mapped x."""
    for start in range(0, len(x), _ROWS):
        block = slice(start, start + _ROWS)
        yield block, x[block].astype(np.float64) - mean


def project(where: str, x: Float32, mean: Float64, matrix: Float64) -> Float32:
    """(x − mean) @ matrix, in float64, rounded to float32.

    The order in which a matrix product sums changes with the number of rows. In float64 that
    is 1e-16 of the result, so that after rounding to float32 a sample has the same vector
    alone as among others, but for about one coordinate in 10^8, which may differ in its last bit.

    Args:
        where: The place that errors name.
        x: float32 (n, input_dim).
        mean: (input_dim,).
        matrix: (input_dim, latent_dim).

    Returns:
        float32 (n, latent_dim).

    Raises:
        InputError: where x has another number of features than the map was fitted on.
    """
    if x.shape[1] != len(mean):
        raise InputError(where, f"was fitted on {len(mean)} features, x has {x.shape[1]}")
    result = np.empty((len(x), matrix.shape[1]), dtype=np.float32)
    for block, centred in centred_blocks(x, mean):
        result[block] = centred @ matrix
    return result
