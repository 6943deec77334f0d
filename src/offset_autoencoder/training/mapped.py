"""Arrays that stay in their file: pages are asked for ahead of time and given back after use."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int32]

# Linux brings in what is around a page that is touched: up to the huge page that it lies in.
_BROUGHT_ALONG = 2 * 2**20


def read_ahead(array: NDArray[Any], rows: Rows) -> None:
    """Have the system read the rows that a chunk will want, while something else is computed.

    Nothing happens to an array that is not mapped from a file, or where a system cannot do so.
    """
    _advise(array, rows, "MADV_WILLNEED", around=0)


def give_back(array: NDArray[Any], rows: Rows) -> None:
    """Let go of the memory of rows that are not wanted soon: they can be read again."""
    _advise(array, rows, "MADV_DONTNEED", around=_BROUGHT_ALONG)


def _advise(array: NDArray[Any], rows: Rows, advice: str, around: int) -> None:
    mapped = _mapping(array)
    number = getattr(mmap, advice, None)
    if mapped is None or number is None or not len(rows) or not array.flags.c_contiguous:
        return
    whole = np.frombuffer(mapped, np.uint8)
    if whole.flags.writeable:
        return  # it may hold what its file does not
    first = _address(array) - _address(whole)
    width = array.strides[0]
    for start, stop in _runs_of(rows):
        begin = max(0, first + start * width - around) // mmap.PAGESIZE * mmap.PAGESIZE
        mapped.madvise(number, begin, min(first + stop * width + around, len(mapped)) - begin)


def _runs_of(rows: Rows) -> Iterator[tuple[int, int]]:
    """The stretches of adjoining rows, [start, stop)."""
    ordered = np.sort(rows)
    breaks = np.flatnonzero(np.diff(ordered) > 1) + 1
    for stretch in np.split(ordered, breaks):
        yield int(stretch[0]), int(stretch[-1]) + 1


def _mapping(array: Any) -> mmap.mmap | None:
    while array is not None:
        if isinstance(array, mmap.mmap):
            return array
        array = getattr(array, "base", None) if not isinstance(array, memoryview) else array.obj
    return None


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])
