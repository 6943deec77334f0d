"""Columns that come one after the other, turned into rows on disk.

They are written tile by tile: a tile is a chunk of rows, and in it each column stands in one
piece. Then each tile is read, turned over and written back. So the disk reads and writes long
stretches, and memory holds one tile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.data.chunks import release, rows_a_chunk
from offset_autoencoder.data.spool import bytes_in_memory, mapped, nameless_file


class ColumnSpool:
    """Takes columns and gives back the matrix that they make.

    Args:
        shape: ``(n, columns)``.
        dtype: Of all values.
    """

    def __init__(self, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self._shape, self._dtype = shape, dtype
        self._tile = rows_a_chunk(shape[1])
        self._file = nameless_file()

    def write(self, column: int, row: int, values: NDArray[Any]) -> None:
        """Write values of a column, from a row on."""
        while len(values):
            first, rows = self._tile_of(row)
            taken = values[: first + rows - row]
            place = first * self._shape[1] + column * rows + row - first
            self._file.seek(place * self._dtype.itemsize)
            self._file.write(taken.astype(self._dtype, copy=False).tobytes())
            values, row = values[len(taken) :], row + len(taken)

    def matrix(self) -> NDArray[Any]:
        """The whole, ``(n, columns)`` in C order, mapped; nothing more can be written."""
        n, columns = self._shape
        for start in range(0, n, self._tile):
            first, rows = self._tile_of(start)
            place = first * columns * self._dtype.itemsize
            self._file.seek(place)
            content = self._file.read(rows * columns * self._dtype.itemsize)
            tile = np.frombuffer(content, self._dtype).reshape(columns, rows)
            self._file.seek(place)
            self._file.write(tile.T.tobytes())
        return mapped(self._file, self._dtype, self._shape)

    def _tile_of(self, row: int) -> tuple[int, int]:
        """The first row of the tile that a row lies in, and how many rows it has."""
        first = row // self._tile * self._tile
        return first, min(self._tile, self._shape[0] - first)


def rows_first(x: NDArray[Any]) -> NDArray[Any]:
    """The same samples in C order, where they are many and in Fortran order; else as they are.

    A mapped array in Fortran order holds a row in as many places as it has values: to read some
    rows of the file is to read most of it.
    """
    if x.ndim < 2 or x.flags.c_contiguous or not x.flags.f_contiguous:
        return x
    if x.nbytes <= bytes_in_memory():
        return x
    spool = ColumnSpool((len(x), x[0].size), x.dtype)
    for column, place in enumerate(np.ndindex(x.shape[1:])):
        spool.write(column, 0, x[(slice(None), *place)])
        release(x)
    return spool.matrix().reshape(x.shape)
