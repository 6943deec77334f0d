"""The first principal axes of samples that need not fit in memory.

They are exact: the covariance, (features)², is summed in float64 over blocks of rows, and its
eigenvectors are the axes. Where there are fewer samples than features, the smaller matrix of the
samples' inner products, (samples)², has the same eigenvalues and gives the same axes; what fits
in memory goes through a singular value decomposition instead, which squares nothing.

Beside a block of rows, memory holds that one matrix: 5 MB at 784 features, 1.2 GB at 12,288.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from offset_autoencoder.io.arrays import release, rows_per_chunk
from offset_autoencoder.offsets.kind import Float32
from offset_autoencoder.offsets.linear import Float64, centred_blocks

# A larger matrix is decomposed in place, for the wanted eigenvectors alone.
_LARGE_ORDER = 4096


def principal_axes(x: Float32, mean: Float64, count: int) -> tuple[Float64, Float64]:
    """Variances (count,), descending, and unit axes (count, input_dim).

    Args:
        x: float32 (n, input_dim).
        mean: (input_dim,).
        count: How many, at most min(n, input_dim).
    """
    n, input_dim = x.shape
    degrees = max(n - 1, 1)
    if n >= input_dim:
        variances, axes = largest_eigenvectors(_covariance(x, mean, degrees), count)
        return variances, axes
    if n <= rows_per_chunk(input_dim):
        _, singular, axes = np.linalg.svd(x.astype(np.float64) - mean, full_matrices=False)
        return (singular**2 / degrees)[:count], axes[:count].copy()
    variances, directions = largest_eigenvectors(_inner_products(x, mean, degrees), count)
    axes = np.empty((count, input_dim))
    for columns, centred in _centred_columns(x, mean):
        axes[:, columns] = directions @ centred
    length = np.linalg.norm(axes, axis=1, keepdims=True)
    return variances, np.divide(axes, length, out=np.zeros_like(axes), where=length > 0)


def _covariance(x: Float32, mean: Float64, degrees: int) -> Float64:
    order = x.shape[1]
    total = np.zeros((order, order))
    for _, centred in centred_blocks(x, mean):
        if order > _LARGE_ORDER:
            _add_products(total, centred)
        else:
            total += centred.T @ centred
    total /= degrees
    return total


def _inner_products(x: Float32, mean: Float64, degrees: int) -> Float64:
    total = np.zeros((len(x), len(x)))
    for _, centred in _centred_columns(x, mean):
        _add_products(total, centred.T)
    total /= degrees
    return total


def _add_products(total: Float64, rows: Float64) -> None:
    """Add rows.T @ rows to the half of a symmetric matrix that is used, in place."""
    from scipy.linalg.blas import dsyrk

    # BLAS counts columns first: the transposed of a C-order matrix is what it takes as it is.
    dsyrk(1.0, rows.T, beta=1.0, c=total.T, overwrite_c=1)


def _centred_columns(x: Float32, mean: Float64) -> Iterator[tuple[slice, Float64]]:
    width = rows_per_chunk(len(x))
    for start in range(0, x.shape[1], width):
        columns = slice(start, start + width)
        yield columns, x[:, columns].astype(np.float64) - mean[columns]
        release(x)


def largest_eigenvectors(matrix: Float64, count: int) -> tuple[Float64, Float64]:
    """The largest eigenvalues (count,), descending, and their eigenvectors as rows.

    Args:
        matrix: Symmetric; of a large one only the lower half counts, and it is overwritten.
        count: How many.
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
