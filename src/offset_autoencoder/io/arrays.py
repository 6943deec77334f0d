"""Arrays larger than memory: chunks of rows, concatenations, temporary arrays, rows reordered.

A chunk holds :data:`CHUNK_VALUES` values, 64 MB as float32 and 128 MB in the float64 that
statistics are computed in. Of a mapped file only the current chunk counts as memory in use.
"""

from __future__ import annotations

import functools
import math
import mmap
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths

Rows = NDArray[np.int64]

CHUNK_VALUES = 1 << 24
BLOCK_VALUES = 1 << 20  # of what takes many times as much to compute: 8 MB in float64
_CHUNK_ROWS = 1 << 20  # what is kept of each row (an id, a digest) takes memory, too
# Fast memory holds a block of this many rows of usual width, a matrix product is still efficient.
_BLOCK_ROWS = 4096
# Linux brings in what is around a page that is touched: up to the huge page that it lies in.
_HUGE_PAGE = 2 * 2**20


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

    The memory of a mapped file's chunk is released when the next is requested. ``width`` is the
    number of values per row where that is more than D.
    """
    rows = rows_per_chunk(max(x.shape[1], width))
    for start in range(0, len(x), rows):
        chunk = x[start : start + rows]
        yield start, chunk
        release(chunk)


def blocks(x: Matrix) -> Iterator[tuple[int, NDArray[Any]]]:
    """Iterate over chunks as :func:`chunks` does, in blocks of rows of a million values."""
    size = max(1, BLOCK_VALUES // max(1, x.shape[1]))
    for first, chunk in chunks(x):
        for start in range(0, len(chunk), size):
            yield first + start, chunk[start : start + size]


def first_where(
    x: Matrix, test: Callable[[NDArray[Any]], NDArray[np.bool_]]
) -> tuple[int, int] | None:
    """First row, and in it the first column, of ``(n, D)`` where a test is true.

    The test is a function from a chunk of rows to bools of its shape.
    """
    for start, chunk in chunks(x):
        hits = test(chunk)
        if hits.any():
            row, column = np.unravel_index(int(hits.argmax()), hits.shape)
            return start + int(row), int(column)
    return None


def first_not_finite(x: Matrix) -> tuple[int, int] | None:
    """First row, and in it the first column, of ``(n, D)`` that is NaN or infinite."""
    # NaN goes through minimum and maximum, which need no array of their own.
    finite = all(np.isfinite(c.min()) and np.isfinite(c.max()) for _, c in chunks(x))
    return None if finite else first_where(x, lambda chunk: ~np.isfinite(chunk))


def take(array: NDArray[Any], rows: Rows) -> NDArray[Any]:
    """Rows of an array, in memory, in the order requested.

    A mapped file is read from front to back, a chunk at a time, so that rows far apart do not
    bring all that lies between them into memory.
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


def read_ahead(array: NDArray[Any], rows: NDArray[np.integer[Any]]) -> None:
    """Have the system read rows of a read-only mapped file while something else is computed."""
    _advise(array, rows, "MADV_WILLNEED", around=0)


def release_rows(array: NDArray[Any], rows: NDArray[np.integer[Any]]) -> None:
    """Release the resident memory of some rows, as :func:`release` does that of all."""
    _advise(array, rows, "MADV_DONTNEED", around=_HUGE_PAGE)


def _advise(array: NDArray[Any], rows: NDArray[Any], advice: str, around: int) -> None:
    mapping = _mapping(array)
    if mapping is None or not len(rows) or not array.flags.c_contiguous:
        return
    whole = np.frombuffer(mapping, np.uint8)
    if whole.flags.writeable:
        return  # it may hold what its file does not
    first = array.ctypes.data - whole.ctypes.data
    width = array.strides[0]
    ordered = np.sort(rows)
    for stretch in np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1):
        start, stop = int(stretch[0]), int(stretch[-1]) + 1
        begin = max(0, first + start * width - around) // mmap.PAGESIZE * mmap.PAGESIZE
        end = min(first + stop * width + around, len(mapping))
        mapping.madvise(getattr(mmap, advice), begin, end - begin)


def _mapping(array: NDArray[Any]) -> mmap.mmap | None:
    """Mapped file behind a read-only array, where its pages can be released."""
    base: Any = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return None
        base = base.base
    return base if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") else None


@dataclass(frozen=True)
class ConcatenatedRows:
    """Concatenation of ``(n_i, ...)`` arrays in memory or mapped, read on access.

    A sample is flattened in C order.
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
        """Rows ``(k, D)`` of a slice, or of indices, in their order."""
        if len(self.parts) == 1:
            return self._flat(self.parts[0], rows)
        indices = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else rows
        taken = np.empty((len(indices), self.shape[1]), dtype=self.dtype)
        start = 0
        for part in self.parts:
            places = np.flatnonzero((indices >= start) & (indices < start + len(part)))
            taken[places] = self._flat(part, indices[places] - start)
            start += len(part)
        return taken

    def _flat(self, part: NDArray[Any], rows: slice | Rows) -> NDArray[Any]:
        block = part[rows] if isinstance(rows, slice) else take(part, rows)
        flat = np.asarray(block).reshape(len(block), self.shape[1]).astype(self.dtype, copy=False)
        if not np.may_share_memory(flat, part):
            release(part)
        return flat


@dataclass(frozen=True)
class RowSubset:
    """Some rows of a matrix, in an order of their own."""

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


def bytes_in_memory() -> int:
    """Largest size of an array, in bytes, that is kept in memory; a larger one goes to disk."""
    return 4 * CHUNK_VALUES


def temporary_folder() -> str | None:
    """Folder for temporary files: that of ``data/raw``, on the disk that the results go to.

    None, where the system puts them, elsewhere than in a project.
    """
    folder = paths.RAW.parent
    return str(folder) if folder.is_dir() else None


def mapped(
    file: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...], order: Literal["C", "F"] = "C"
) -> NDArray[Any]:
    """Read-only map of a temporary file as an array; the file object itself is closed."""
    with file:
        file.flush()
        return np.memmap(file, dtype, "r", 0, shape, order)


class TempArray:
    """Array written front to back, kept in memory while small, else in a temporary file."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            max_size=bytes_in_memory(), dir=temporary_folder()
        )
        self._size = 0

    def write(self, values: bytes | NDArray[Any]) -> None:
        """Append bytes, or an array's values in C order."""
        content = values if isinstance(values, bytes) else np.ascontiguousarray(values).data
        self._size += self._file.write(content)

    def __len__(self) -> int:
        return self._size

    def array(
        self, dtype: np.dtype[Any], shape: tuple[int, ...], order: Literal["C", "F"] = "C"
    ) -> NDArray[Any]:
        """Everything written, as a read-only array, mapped where it is on disk.

        ``order`` says whether rows (C) or columns (F) were written.
        """
        if self._size > bytes_in_memory():
            return mapped(self._file, dtype, shape, order)
        self._file.seek(0)
        values = np.frombuffer(self._file.read(), dtype=dtype, count=math.prod(shape))
        return values.reshape(shape, order=order)

    def floats(self) -> NDArray[np.float32]:
        """Everything written, (n,), where it was all float32."""
        return np.asarray(self.array(np.dtype(np.float32), (len(self) // 4,)))


def copied(
    blocks: Iterable[NDArray[Any]], dtype: np.dtype[Any], shape: tuple[int, ...]
) -> NDArray[Any]:
    """Blocks of rows one after the other as an array, in memory or, where it is large, on disk."""
    values = TempArray()
    for block in blocks:
        values.write(block)
    return values.array(dtype, shape)


def real_parts(z: NDArray[Any], how: Literal["real_imag", "abs"]) -> NDArray[Any]:
    """Complex numbers ``(n, ...)`` as real ones: ``(n, ..., 2)`` for real_imag, or abs."""
    if z.dtype.kind != "c":
        return z
    is_split, rows = how == "real_imag", rows_per_chunk(2 * max(1, math.prod(z.shape[1:])))
    parts = (
        np.stack([block.real, block.imag], axis=-1) if is_split else np.abs(block)
        for block in _released(z, rows)
    )
    return copied(parts, np.abs(z[:0]).dtype, (*z.shape, 2) if is_split else z.shape)


def row_major(x: NDArray[Any]) -> NDArray[Any]:
    """Samples in C order, where they are many and in Fortran order; otherwise unchanged.

    A mapped array in Fortran order holds a row in as many places as it has values: reading some
    rows of the file is reading most of it.
    """
    is_fortran = x.ndim >= 2 and x.flags.f_contiguous and not x.flags.c_contiguous
    if not is_fortran or x.nbytes <= bytes_in_memory():
        return x
    return copied(_released(x, rows_per_chunk(x[0].size)), x.dtype, x.shape)


def _released(x: NDArray[Any], rows: int) -> Iterator[NDArray[Any]]:
    """So many rows of an array at a time; the memory of a mapped file's is released after."""
    for start in range(0, len(x), rows):
        yield x[start : start + rows]
        release(x)


def reorder(x: ConcatenatedRows, order: Rows) -> ConcatenatedRows:
    """The rows ``x[order]``; takes as much disk as they do where they do not fit in memory.

    What fits is picked from memory. A larger matrix is read once from front to back, and each row
    written into the bucket, a chunk of the result, that it belongs to; then each bucket is put
    in order by itself. So the disk reads and writes long stretches, whatever the order.

    ``x`` is ``(n, D)``; ``order`` holds ``(k,)`` row indices, each at most once.
    """
    shape = (len(order), x.shape[1])
    row_bytes = x.shape[1] * x.dtype.itemsize
    if shape[0] * row_bytes <= bytes_in_memory():
        return ConcatenatedRows((x[order],))
    file = tempfile.TemporaryFile(dir=temporary_folder())  # noqa: SIM115
    rows = rows_per_chunk(shape[1])
    bucket_of = np.full(len(x), -1, dtype=np.int32)
    bucket_of[order] = np.arange(len(order)) // rows
    firsts = np.arange(0, len(order), rows)
    filled = firsts.copy()
    for start, chunk in chunks(x):  # in its bucket a row stands as in x
        row_buckets = bucket_of[start : start + len(chunk)]
        for bucket in np.unique(row_buckets[row_buckets >= 0]):
            in_bucket = chunk[row_buckets == bucket]
            file.seek(int(filled[bucket]) * row_bytes)
            file.write(in_bucket.tobytes())
            filled[bucket] += len(in_bucket)
    for first in firsts.tolist():
        bucket = order[first : first + rows]
        file.seek(first * row_bytes)
        content = np.frombuffer(file.read(len(bucket) * row_bytes), x.dtype).reshape(-1, shape[1])
        file.seek(first * row_bytes)
        file.write(content[np.searchsorted(np.sort(bucket), bucket)].tobytes())
    return ConcatenatedRows((mapped(file, x.dtype, shape),))
