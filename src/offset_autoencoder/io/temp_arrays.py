"""Arrays in memory or, large ones, in nameless temporary files, gone with the process."""

from __future__ import annotations

import math
import tempfile
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths
from offset_autoencoder.io import arrays
from offset_autoencoder.io.arrays import ConcatenatedRows, Rows, chunks, release, rows_per_chunk


def bytes_in_memory() -> int:
    """Largest size of an array, in bytes, that is kept in memory; a larger one goes to disk."""
    return 4 * arrays.CHUNK_VALUES


def mapped(
    file: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...], order: Literal["C", "F"] = "C"
) -> NDArray[Any]:
    """Read-only map of a temporary file as an array; the file object itself is closed."""
    with file:
        file.flush()
        return np.memmap(file, dtype, "r", 0, shape, order)


class TempArray:
    """Array written front to back, kept in memory while small, else in a temporary file.

    The file lies beside ``data/raw``, on the disk that the results go to; elsewhere than in a
    project, where the system puts temporary files.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            max_size=bytes_in_memory(), dir=_folder()
        )
        self._size = 0

    def write(self, values: bytes | NDArray[Any]) -> None:
        """Append bytes, or an array's values in C order."""
        content = values if isinstance(values, bytes) else np.ascontiguousarray(values).tobytes()
        self._size += self._file.write(content)

    def __len__(self) -> int:
        return self._size

    def array(
        self,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        order: Literal["C", "F"] = "C",
    ) -> NDArray[Any]:
        """Everything written, as a read-only array, mapped where it is on disk.

        Args:
            dtype: Dtype of the values.
            shape: Shape of the array.
            order: Whether rows (C) or columns (F) were written.
        """
        if self._size > bytes_in_memory():
            return mapped(self._file, dtype, shape, order)
        self._file.seek(0)
        values = np.frombuffer(self._file.read(), dtype=dtype, count=math.prod(shape))
        return values.reshape(shape, order=order)


def row_major(x: NDArray[Any]) -> NDArray[Any]:
    """The same samples in C order, where they are many and in Fortran order; else unchanged.

    A mapped array in Fortran order holds a row in as many places as it has values: reading some
    rows of the file is reading most of it.
    """
    if x.ndim < 2 or x.flags.c_contiguous or not x.flags.f_contiguous:
        return x
    if x.nbytes <= bytes_in_memory():
        return x
    turned = TempArray()
    rows = rows_per_chunk(x[0].size)
    for start in range(0, len(x), rows):
        turned.write(x[start : start + rows])
        release(x)
    return turned.array(x.dtype, x.shape)


def reorder(x: ConcatenatedRows, order: Rows) -> ConcatenatedRows:
    """The rows ``x[order]``; takes as much disk as they do where they do not fit in memory.

    What fits is picked from memory. A larger matrix is read once from front to back, and each row
    written into the bucket, a chunk of the result, that it belongs to; then each bucket is put
    in order by itself. So the disk reads and writes long stretches, whatever the order.

    Args:
        x: ``(n, D)``.
        order: ``(k,)`` row indices, each at most once.
    """
    shape = (len(order), x.shape[1])
    row_bytes = x.shape[1] * x.dtype.itemsize
    if shape[0] * row_bytes <= bytes_in_memory():
        return ConcatenatedRows((x[order],))
    file = tempfile.TemporaryFile(dir=_folder())  # noqa: SIM115
    rows = rows_per_chunk(shape[1])
    _fill_buckets(file, x, order, rows)
    for first in range(0, len(order), rows):
        position = first * row_bytes
        bucket = order[first : first + rows]
        file.seek(position)
        content = np.frombuffer(file.read(len(bucket) * row_bytes), x.dtype).reshape(-1, shape[1])
        file.seek(position)
        file.write(content[np.searchsorted(np.sort(bucket), bucket)].tobytes())
    return ConcatenatedRows((mapped(file, x.dtype, shape),))


def _fill_buckets(file: IO[bytes], x: ConcatenatedRows, order: Rows, rows: int) -> None:
    """Write each row of x into its bucket; there the rows stand as they do in x."""
    row_bytes = x.shape[1] * x.dtype.itemsize
    bucket_of = np.full(len(x), -1, dtype=np.int32)
    bucket_of[order] = np.arange(len(order)) // rows
    filled = np.arange(-(-len(order) // rows)) * rows
    for start, chunk in chunks(x):
        row_buckets = bucket_of[start : start + len(chunk)]
        by_bucket = np.argsort(row_buckets, kind="stable")
        buckets, firsts = np.unique(row_buckets[by_bucket], return_index=True)
        ends = np.append(firsts[1:], len(chunk))
        for bucket, first, end in zip(buckets, firsts, ends, strict=True):
            if bucket < 0:
                continue
            file.seek(int(filled[bucket]) * row_bytes)
            file.write(chunk[by_bucket[first:end]].tobytes())
            filled[bucket] += end - first


def _folder() -> str | None:
    folder = paths.RAW.parent
    return str(folder) if folder.is_dir() else None
