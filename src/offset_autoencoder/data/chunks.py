"""Rows a chunk at a time: how arrays larger than memory are gone through.

A chunk holds :data:`CHUNK_VALUES` values, 64 MB as float32 and 128 MB in the float64 that
statistics are computed in. Of a mapped file only the chunk in hand counts as memory in use.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

CHUNK_VALUES = 1 << 24

_CHUNK_ROWS = 1 << 20  # what is kept of each row (an id, a digest) takes memory, too
# Fast memory holds a block of this many rows of usual width, a matrix product is still efficient.
_BLOCK_ROWS = 4096


class Matrix(Protocol):
    """An array ``(n, D)``, or what hands out rows as if it were one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n, D)``."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the values."""

    def __len__(self) -> int:
        """The number of rows."""

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Consecutive rows."""


def rows_a_chunk(width: int) -> int:
    """How many rows of so many values make a chunk: at least one, and a million at most."""
    return min(_CHUNK_ROWS, max(1, CHUNK_VALUES // max(1, width)))


def rows_a_block(width: int) -> int:
    """How many rows to convert and compute with at once: 4096, or a chunk where that is less."""
    return min(_BLOCK_ROWS, rows_a_chunk(width))


def chunks(x: Matrix, width: int = 0) -> Iterator[tuple[int, NDArray[Any]]]:
    """Consecutive chunks of rows, each with its first row.

    Args:
        x: ``(n, D)``. The memory of a mapped file's chunk is given back when the next is asked
            for.
        width: Values that a row takes where that is more than D.
    """
    rows = rows_a_chunk(max(x.shape[1], width))
    for start in range(0, len(x), rows):
        chunk = x[start : start + rows]
        yield start, chunk
        release(chunk)


def take(array: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """The rows of an array, in memory, in the order asked for.

    A mapped file is gone through from front to back, a chunk at a time, so that rows far apart do
    not bring all that lies between them into memory.

    Args:
        array: ``(n, ...)``.
        rows: ``(k,)`` rows of it.
    """
    if _mapping(array) is None or not len(rows):
        return array[rows]
    order = np.argsort(rows, kind="stable")
    ascending = rows[order]
    at_once = rows_a_chunk(array[0].size)
    bounds = np.searchsorted(ascending, np.arange(ascending[0], ascending[-1] + 1, at_once))
    found = np.empty((len(rows), *array.shape[1:]), dtype=array.dtype)
    for piece in np.split(order, bounds[1:]):
        found[piece] = array[rows[piece]]
        release(array)
    return found


def release(array: NDArray[Any]) -> None:
    """Give back the memory that a read-only mapped file has come to take.

    The values stay valid: they are read from the file again where they are asked for. Arrays in
    memory, and mapped ones that can be written to, are left alone.
    """
    if (mapping := _mapping(array)) is not None:
        mapping.madvise(mmap.MADV_DONTNEED)


def _mapping(array: NDArray[Any]) -> mmap.mmap | None:
    """The mapped file behind a read-only array, where pages of it can be given back."""
    base: Any = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return None
        base = base.base
    return base if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") else None
