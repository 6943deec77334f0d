"""Linear maps of centred samples, and their principal axes, a block or a chunk of rows at a time.

The principal axes are exact: the covariance, (features)², is summed in float64 over blocks of rows,
and its eigenvectors are the axes. Where there are fewer samples than features, the smaller matrix
of the samples' inner products, (samples)², has the same eigenvalues and gives the same axes; what
fits in memory goes through a singular value decomposition instead, which squares nothing. Beside a
block of rows, memory holds that one matrix: 5 MB at 784 features, 1.2 GB at 12,288.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from offset_autoencoder.io.arrays import chunks, release, rows_per_chunk
from offset_autoencoder.offsets.kind import Float32, Float64, row_blocks

# So many values and more are multiplied as float32; fewer cost too little time to lose digits.
_MANY_VALUES = 1 << 22
_PRODUCT_ROWS = 1 << 16  # as fast as all rows at once, and the result is still in fast memory
_PROBED = 64
_FAR = 16.0

# A larger matrix is summed and decomposed in place, for the needed eigenvectors alone.
_LARGE_ORDER = 4096


def training_mean(x: Float32) -> Float64:
    """Mean of each feature, summed in float64: (input_dim,)."""
    total = np.zeros(x.shape[1])
    for _, chunk in chunks(x):
        total += chunk.sum(axis=0, dtype=np.float64)
    return total / len(x)


def centred_blocks(x: Float32, mean: Float64) -> Iterator[tuple[slice, Float64]]:
    """Blocks of rows of x − mean, and where they stand: bounds the memory for a mapped x."""
    for block in row_blocks(*x.shape):
        yield block, x[block].astype(np.float64) - mean
        release(x)


def project(x: Float32, mean: Float64, matrix: Float64) -> Float32:
    """(x − mean) @ matrix, rounded to float32: (n, latent_dim).

    Few rows are multiplied in float64. The order in which a matrix product sums changes with
    the number of rows; in float64 that is 1e-16 of the result, so that a sample has the same vector
    alone as among others, but for the last bit of about one coordinate in 10^8.

    Many rows (4 million values) are multiplied in float32, as x @ matrix − mean @ matrix, which
    is several times as fast and needs no copy of x: a sample's vector then differs from what it is
    alone by about 1e-6 of its length. Where the mean is far larger than what is left without it,
    such a difference would lose digits: then float64 is taken for many rows, too.
    """
    result: Float32 = np.empty((len(x), matrix.shape[1]), dtype=np.float32)
    if x.size >= _MANY_VALUES and not _is_far(x, mean):
        narrow, shift = matrix.astype(np.float32), (mean @ matrix).astype(np.float32)
        for start in range(0, len(x), _PRODUCT_ROWS):
            part = result[start : start + _PRODUCT_ROWS]
            np.matmul(x[start : start + _PRODUCT_ROWS], narrow, out=part)
            part -= shift
        return result
    for block, centred in centred_blocks(x, mean):
        result[block] = centred @ matrix
    return result


def _is_far(x: Float32, mean: Float64) -> bool:
    """True if some of the rows, spread over all, lie far from the origin but near the mean."""
    some = x[:: max(1, len(x) // _PROBED)].astype(np.float64)
    return bool(np.linalg.norm(some) > _FAR * np.linalg.norm(some - mean))


class PrincipalComponents(NamedTuple):
    """First principal components of the training split.

    Attributes:
        mean: (input_dim,).
        components: Unit axes (latent_dim, input_dim), the loading of largest magnitude of each
            positive; zeros beyond the rank.
        variances: Along each, n − 1 in the denominator, descending (latent_dim,); zeros beyond
            the rank.
        rank: Number of directions, of these, in which the samples vary.
    """

    mean: Float64
    components: Float64
    variances: Float64
    rank: int


def principal_components(x: Float32, latent_dim: int) -> PrincipalComponents:
    """First principal components of samples, which need not fit in memory; at most min(x.shape)."""
    mean = training_mean(x)
    variances, components = _principal_axes(x, mean, latent_dim)
    threshold = variances[0] * max(x.shape) * np.finfo(np.float64).eps
    rank = int(np.count_nonzero(variances > threshold))
    variances[rank:], components[rank:] = 0.0, 0.0
    largest = np.argmax(np.abs(components), axis=1)
    signs = np.where(components[np.arange(latent_dim), largest] < 0, -1.0, 1.0)
    return PrincipalComponents(mean, components * signs[:, None], variances, rank)


def _principal_axes(x: Float32, mean: Float64, count: int) -> tuple[Float64, Float64]:
    """Variances (count,), descending, and unit axes (count, input_dim)."""
    n, input_dim = x.shape
    degrees = max(n - 1, 1)
    if n >= input_dim:
        rows = (centred for _, centred in centred_blocks(x, mean))
        return _largest_eigenvectors(_inner_products(rows, input_dim, degrees), count)
    if n <= rows_per_chunk(input_dim):
        _, singular, axes = np.linalg.svd(x.astype(np.float64) - mean, full_matrices=False)
        return (singular**2 / degrees)[:count], axes[:count].copy()
    columns = (centred.T for _, centred in _centred_columns(x, mean))
    variances, directions = _largest_eigenvectors(_inner_products(columns, n, degrees), count)
    axes = np.empty((count, input_dim))
    for part, centred in _centred_columns(x, mean):
        axes[:, part] = directions @ centred
    length = np.linalg.norm(axes, axis=1, keepdims=True)
    return variances, np.divide(axes, length, out=np.zeros_like(axes), where=length > 0)


def _centred_columns(x: Float32, mean: Float64) -> Iterator[tuple[slice, Float64]]:
    width = rows_per_chunk(len(x))
    for start in range(0, x.shape[1], width):
        columns = slice(start, start + width)
        yield columns, x[:, columns].astype(np.float64) - mean[columns]
        release(x)


def _inner_products(blocks: Iterable[Float64], order: int, degrees: int) -> Float64:
    """Sum of block.T @ block over blocks (rows, order), over degrees; if large, its lower half."""
    total = np.zeros((order, order))
    for block in blocks:
        if order > _LARGE_ORDER:
            from scipy.linalg.blas import dsyrk

            # BLAS counts columns first: the transposed of a C-order matrix is what it takes.
            dsyrk(1.0, block.T, beta=1.0, c=total.T, overwrite_c=1)
        else:
            total += block.T @ block
    total /= degrees
    return total


def _largest_eigenvectors(matrix: Float64, count: int) -> tuple[Float64, Float64]:
    """Largest eigenvalues (count,), descending, and their eigenvectors as rows.

    Of a large symmetric matrix only the lower half counts, and it is overwritten.
    """
    order = len(matrix)
    if order <= _LARGE_ORDER:
        values, vectors = np.linalg.eigh(matrix)
        return values[::-1][:count].copy(), vectors.T[::-1][:count].copy()
    from scipy.linalg import eigh

    values, vectors = eigh(
        matrix.T,
        lower=False,
        overwrite_a=True,
        check_finite=False,
        subset_by_index=(order - count, order - 1),
        driver="evr",
    )
    return values[::-1].copy(), vectors.T[::-1].copy()
