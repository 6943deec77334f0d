"""Linear maps of centred samples, a block or a chunk of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import chunks, release, rows_per_block
from offset_autoencoder.offsets.kind import Float32

# So many values and more are multiplied as float32; fewer cost too little time to lose digits.
_MANY_VALUES = 1 << 22
_PRODUCT_ROWS = 1 << 16  # as fast as all rows at once, and the result is still in fast memory
_PROBED = 64
_FAR = 16.0

Float64 = NDArray[np.float64]


def training_mean(x: Float32) -> Float64:
    """The mean of each feature, summed in float64: (input_dim,)."""
    total = np.zeros(x.shape[1])
    for _, chunk in chunks(x):
        total += chunk.sum(axis=0, dtype=np.float64)
    return total / len(x)


def centred_blocks(x: Float32, mean: Float64) -> Iterator[tuple[slice, Float64]]:
    """Blocks of rows of x − mean, and where they stand: bounds the memory for a mapped x."""
    rows = rows_per_block(x.shape[1])
    for start in range(0, len(x), rows):
        block = slice(start, start + rows)
        yield block, x[block].astype(np.float64) - mean
        release(x)


def project(where: str, x: Float32, mean: Float64, matrix: Float64) -> Float32:
    """(x − mean) @ matrix, rounded to float32.

    Few rows are multiplied in float64. The order in which a matrix product sums changes with
    the number of rows; in float64 that is 1e-16 of the result, so that after rounding to float32
    a sample has the same vector alone as among others, but for about one coordinate in 10^8, which
    may differ in its last bit.

    Many rows (4 million values) are multiplied in float32, as x @ matrix − mean @ matrix, which
    is several times as fast and needs no copy of x: a sample's vector then differs from what it is
    alone by about 1e-6 of its length. Where the mean is far larger than what is left without it,
    such a difference would lose digits: then float64 is taken for many rows, too.

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
    result: Float32 = np.empty((len(x), matrix.shape[1]), dtype=np.float32)
    if x.size >= _MANY_VALUES and not _is_far(x, mean):
        _project_many(x, matrix.astype(np.float32), (mean @ matrix).astype(np.float32), result)
        return result
    for block, centred in centred_blocks(x, mean):
        result[block] = centred @ matrix
    return result


def _project_many(x: Float32, matrix: Float32, shift: Float32, result: Float32) -> None:
    for start in range(0, len(x), _PRODUCT_ROWS):
        part = result[start : start + _PRODUCT_ROWS]
        np.matmul(x[start : start + _PRODUCT_ROWS], matrix, out=part)
        part -= shift


def _is_far(x: Float32, mean: Float64) -> bool:
    """Whether some of the rows, spread over all, lie far from the origin but near the mean."""
    some = x[:: max(1, len(x) // _PROBED)].astype(np.float64)
    return bool(np.linalg.norm(some) > _FAR * np.linalg.norm(some - mean))
