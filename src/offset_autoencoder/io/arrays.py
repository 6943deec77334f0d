"""Arrays larger than memory: chunks of rows, mapped npy files, matrices made of several arrays.

A chunk holds :data:`CHUNK_VALUES` values, 64 MB as float32 and 128 MB in the float64 that
statistics are computed in. Of a mapped file only the current chunk counts as memory in use.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import atomic_write

Rows = NDArray[np.int64]

CHUNK_VALUES = 1 << 24
PICKLE = b"\x80"
"""First byte of every pickle since protocol 2."""
PICKLED = "holds pickled Python objects, which are never loaded: they could run code"
PLAIN = "save plain numbers or text: np.save(path, np.asarray(values, dtype=...))"
NPY_MAGIC = b"\x93NUMPY"

_CHUNK_ROWS = 1 << 20  # what is kept of each row (an id, a digest) takes memory, too
# Fast memory holds a block of this many rows of usual width, a matrix product is still efficient.
_BLOCK_ROWS = 4096


class Matrix(Protocol):
    """Array ``(n, D)``, or an object that returns slices of rows as an array does."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n, D)``."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the values."""

    def __len__(self) -> int:
        """Number of rows."""

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Consecutive rows."""


def rows_per_chunk(width: int) -> int:
    """Rows of ``width`` values per chunk: at least one, and a million at most."""
    return min(_CHUNK_ROWS, max(1, CHUNK_VALUES // max(1, width)))


def rows_per_block(width: int) -> int:
    """Rows to convert and compute with at once: 4096, or a chunk where that is less."""
    return min(_BLOCK_ROWS, rows_per_chunk(width))


def chunks(x: Matrix, width: int = 0) -> Iterator[tuple[int, NDArray[Any]]]:
    """Iterate over consecutive chunks of rows, each with the index of its first row.

    Args:
        x: ``(n, D)``. The memory of a mapped file's chunk is released when the next is requested.
        width: Values per row where that is more than D.
    """
    rows = rows_per_chunk(max(x.shape[1], width))
    for start in range(0, len(x), rows):
        chunk = x[start : start + rows]
        yield start, chunk
        release(chunk)


def take(array: NDArray[Any], rows: Rows) -> NDArray[Any]:
    """Rows of an array, in memory, in the order requested.

    A mapped file is read from front to back, a chunk at a time, so that rows far apart do not
    bring all that lies between them into memory.

    Args:
        array: ``(n, ...)``.
        rows: ``(k,)`` row indices.
    """
    if _mapping(array) is None or not len(rows):
        return array[rows]
    order = np.argsort(rows, kind="stable")
    ascending = rows[order]
    step = rows_per_chunk(array[0].size)
    bounds = np.searchsorted(ascending, np.arange(ascending[0], ascending[-1] + 1, step))
    taken = np.empty((len(rows), *array.shape[1:]), dtype=array.dtype)
    for piece in np.split(order, bounds[1:]):
        taken[piece] = array[rows[piece]]
        release(array)
    return taken


def release(array: NDArray[Any]) -> None:
    """Release the resident memory of a read-only mapped file.

    The values stay valid: they are read from the file again on access. Arrays in memory, and
    writable maps, are left alone.
    """
    if (mapping := _mapping(array)) is not None:
        mapping.madvise(mmap.MADV_DONTNEED)


def _mapping(array: NDArray[Any]) -> mmap.mmap | None:
    """Mapped file behind a read-only array, where its pages can be released."""
    base: Any = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return None
        base = base.base
    return base if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") else None


def open_npy(path: Path) -> NDArray[Any]:
    """Memory-map an npy file for reading.

    Returns:
        The array, of any shape and dtype but object.

    Raises:
        InputError: where the file is missing, truncated, not npy, or holds pickled objects.
    """
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(NPY_MAGIC))
        if magic[:1] == PICKLE:
            raise InputError(str(path), PICKLED, PLAIN)
        if len(magic) == len(NPY_MAGIC) and magic != NPY_MAGIC:
            raise InputError(str(path), "is not an npy file", "write it with np.save")
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(str(path), "no such file", "run the stage that makes it") from None
    except (ValueError, OSError, EOFError, SyntaxError) as error:
        if "Python objects" in str(error):
            raise InputError(str(path), PICKLED, PLAIN) from None
        raise InputError(
            str(path), f"is damaged or truncated: {error}", "write or copy it again"
        ) from None
    return array


class NpyWriter:
    """Writer of one float32 array, block by block, with its digest.

    Args:
        stream: Destination.
        shape: ``(n, columns)`` of the whole array.
    """

    def __init__(self, stream: IO[bytes], shape: tuple[int, int]) -> None:
        dtype = np.dtype(np.float32)
        header = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(stream, header)
        self.shape = shape
        self.rows = 0
        self._stream = stream
        # As in files.sha256_of_array.
        self._digest = hashlib.sha256(f"{dtype.str}{shape}".encode())

    def append(self, block: NDArray[np.float32]) -> None:
        """Write the next rows, ``(rows, columns)``."""
        assert block.dtype == np.float32, block.dtype
        assert block.shape[1:] == self.shape[1:], block.shape
        if block.size:
            content = np.ascontiguousarray(block).data
            self._stream.write(content)
            self._digest.update(content)
        self.rows += len(block)

    @property
    def digest(self) -> str:
        """Digest of the rows so far: once all are written, :func:`.files.sha256_of_array`."""
        return self._digest.hexdigest()


@contextlib.contextmanager
def npy_writer(path: Path, shape: tuple[int, int]) -> Iterator[NpyWriter]:
    """Write a float32 npy file block by block; it appears at ``path`` once all rows are written.

    The bytes are those of :func:`.files.write_npy`.
    """
    with atomic_write(path) as stream:
        writer = NpyWriter(stream, shape)
        yield writer
        assert writer.rows == shape[0], (writer.rows, shape)


@dataclass(frozen=True)
class ConcatenatedRows:
    """Concatenation of arrays of samples, read on access; a sample is flattened in C order.

    Attributes:
        parts: ``(n_i, ...)`` each, in memory or mapped, with samples of one shape.
    """

    parts: tuple[NDArray[Any], ...]

    @functools.cached_property
    def shape(self) -> tuple[int, int]:
        """``(n, D)``."""
        return sum(map(len, self.parts)), math.prod(self.parts[0].shape[1:])

    @functools.cached_property
    def dtype(self) -> np.dtype[Any]:
        """Smallest dtype that holds the values of all parts, in native byte order."""
        dtype = np.result_type(*self.parts).newbyteorder("=")
        # A long double: float64 is what everything after computes in.
        return dtype if dtype.itemsize <= 8 else np.dtype(np.float64)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Rows) -> NDArray[Any]:
        """Rows ``(k, D)`` of a slice with step 1, or of indices, in their order."""
        ends = list(itertools.accumulate(map(len, self.parts)))
        spans = list(zip(self.parts, [0, *ends[:-1]], ends, strict=True))
        if isinstance(rows, slice):
            first, last, _ = rows.indices(len(self))
            pieces = [
                self._flat(part, slice(max(first - start, 0), last - start))
                for part, start, end in spans
                if start < last and first < end
            ]
            empty = np.empty((0, self.shape[1]), dtype=self.dtype)
            return pieces[0] if len(pieces) == 1 else np.concatenate([empty, *pieces])
        if len(self.parts) == 1:
            return self._flat(self.parts[0], rows)
        taken = np.empty((len(rows), self.shape[1]), dtype=self.dtype)
        for part, start, end in spans:
            places = np.flatnonzero((rows >= start) & (rows < end))
            taken[places] = self._flat(part, rows[places] - start)
        return taken

    def _flat(self, part: NDArray[Any], rows: slice | Rows) -> NDArray[Any]:
        block = part[rows] if isinstance(rows, slice) else take(part, rows)
        flat = np.asarray(block).reshape(len(block), self.shape[1]).astype(self.dtype, copy=False)
        if not np.may_share_memory(flat, part):
            release(part)
        return flat


@dataclass(frozen=True)
class RowSubset:
    """Some rows of a matrix, in an order of their own.

    Attributes:
        x: The matrix.
        rows: ``(k,)`` row indices.
    """

    x: ConcatenatedRows
    rows: Rows

    @property
    def shape(self) -> tuple[int, int]:
        """``(k, D)``."""
        return len(self.rows), self.x.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the matrix."""
        return self.x.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """Rows of the subset, ``(rows, D)``."""
        return self.x[self.rows[rows]]
