"""Rows put in another order than they stand in, on disk where they are many.

What fits in a chunk is picked from memory. A larger matrix is read once from front to back, and
each row written into the bucket, a chunk of the result, that it belongs to; then each bucket is
put in order by itself. So the disk reads and writes long stretches, whatever the order.
"""

from __future__ import annotations

from typing import IO

import numpy as np

from offset_autoencoder.data.chunks import chunks, rows_a_chunk
from offset_autoencoder.data.spool import bytes_in_memory, mapped, nameless_file
from offset_autoencoder.data.stacked import Rows, Stacked


def reorder(x: Stacked, order: Rows) -> Stacked:
    """The rows ``x[order]``; takes as much disk as they do where they do not fit in memory.

    Args:
        x: ``(n, D)``.
        order: ``(k,)`` rows of it, each at most once.
    """
    shape = (len(order), x.shape[1])
    row_bytes = x.shape[1] * x.dtype.itemsize
    if shape[0] * row_bytes <= bytes_in_memory():
        return Stacked((x[order],))
    file = nameless_file()
    rows = rows_a_chunk(shape[1])
    _fill_buckets(file, x, order, rows)
    for first in range(0, len(order), rows):
        place = first * row_bytes
        wanted = order[first : first + rows]
        file.seek(place)
        arrived = np.frombuffer(file.read(len(wanted) * row_bytes), x.dtype).reshape(-1, shape[1])
        file.seek(place)
        file.write(arrived[np.searchsorted(np.sort(wanted), wanted)].tobytes())
    return Stacked((mapped(file, x.dtype, shape),))


def _fill_buckets(file: IO[bytes], x: Stacked, order: Rows, rows: int) -> None:
    """Write each row of x into its bucket; there the rows stand as they do in x."""
    row_bytes = x.shape[1] * x.dtype.itemsize
    bucket_of = np.full(len(x), -1, dtype=np.int32)
    bucket_of[order] = np.arange(len(order)) // rows
    filled = np.arange(-(-len(order) // rows)) * rows
    for start, chunk in chunks(x):
        buckets = bucket_of[start : start + len(chunk)]
        by_bucket = np.argsort(buckets, kind="stable")
        found, firsts = np.unique(buckets[by_bucket], return_index=True)
        ends = np.append(firsts[1:], len(chunk))
        for bucket, first, end in zip(found, firsts, ends, strict=True):
            if bucket < 0:
                continue
            file.seek(int(filled[bucket]) * row_bytes)
            file.write(chunk[by_bucket[first:end]].tobytes())
            filled[bucket] += end - first
