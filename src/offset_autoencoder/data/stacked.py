"""The features of several tables as one matrix, whose rows stay where they are until asked for."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.data.chunks import release, take

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Stacked:
    """Arrays of samples, one after the other; a sample is flattened in C order.

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
        """The smallest that holds the values of all parts, in native byte order."""
        dtype = np.result_type(*self.parts).newbyteorder("=")
        # A long double: float64 is what everything after computes in.
        return dtype if dtype.itemsize <= 8 else np.dtype(np.float64)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Rows) -> NDArray[Any]:
        """Rows ``(k, D)``: those of a slice with step 1, or those of indices, in their order."""
        ends = list(itertools.accumulate(map(len, self.parts)))
        spans = list(zip(self.parts, [0, *ends[:-1]], ends, strict=True))
        if isinstance(rows, slice):
            first, last, _ = rows.indices(len(self))
            pieces = [
                self._flat(part, slice(max(first - start, 0), last - start))
                for part, start, end in spans
                if start < last and first < end
            ]
            return pieces[0] if len(pieces) == 1 else np.concatenate([self._none(), *pieces])
        if len(self.parts) == 1:
            return self._flat(self.parts[0], rows)
        found = np.empty((len(rows), self.shape[1]), dtype=self.dtype)
        for part, start, end in spans:
            at = np.flatnonzero((rows >= start) & (rows < end))
            found[at] = self._flat(part, rows[at] - start)
        return found

    def _none(self) -> NDArray[Any]:
        return np.empty((0, self.shape[1]), dtype=self.dtype)

    def _flat(self, part: NDArray[Any], rows: slice | Rows) -> NDArray[Any]:
        block = part[rows] if isinstance(rows, slice) else take(part, rows)
        flat = np.asarray(block).reshape(len(block), self.shape[1]).astype(self.dtype, copy=False)
        if not np.may_share_memory(flat, part):
            release(part)
        return flat


@dataclass(frozen=True)
class Selected:
    """Some rows of a matrix, in an order of their own.

    Attributes:
        x: The matrix.
        rows: ``(k,)`` rows of it.
    """

    x: Stacked
    rows: Rows

    @property
    def shape(self) -> tuple[int, int]:
        """``(k, D)``."""
        return len(self.rows), self.x.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the matrix."""
        return self.x.dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """Rows of the selection, ``(rows, D)``."""
        return self.x[self.rows[rows]]
