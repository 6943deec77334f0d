"""The samples of every split scaled and written, in one pass over the raw ones."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.schema import SPLITS, SplitName
from offset_autoencoder.data.scaling import Scale
from offset_autoencoder.data.shared_samples import Digests, sample_digests
from offset_autoencoder.io.arrays import ConcatenatedRows, NpyWriter, Rows, chunks, npy_writer
from offset_autoencoder.io.temp_arrays import reorder

SplitRows = Mapping[SplitName, Rows]


@dataclass(frozen=True)
class WrittenSplit:
    """What was seen of a split's x on the way.

    Attributes:
        digest: Its SHA-256.
        low: Its smallest value, NaN where one is.
        high: Its largest value, likewise.
        samples: A digest of each sample.
    """

    digest: str
    low: float
    high: float
    samples: Digests


def in_order(x: ConcatenatedRows, rows: SplitRows) -> tuple[ConcatenatedRows, SplitRows]:
    """The matrix, and the rows of each split in it, so that a split's rows ascend.

    They do where samples go by their row; where they go by ids of their own, all rows are put
    in the order of the splits, one after the other.
    """
    if all(bool(np.all(part[1:] > part[:-1])) for part in rows.values()):
        return x, rows
    ends = np.cumsum([len(rows[name]) for name in SPLITS])
    places = zip(SPLITS, np.split(np.arange(ends[-1]), ends[:-1]), strict=True)
    return reorder(x, np.concatenate([rows[name] for name in SPLITS])), dict(places)


def write_splits(
    folder: Path, x: ConcatenatedRows, rows: SplitRows, scale: Scale
) -> dict[SplitName, WrittenSplit]:
    """Scale all samples and write ``SPLIT/x.npy`` for every split.

    Args:
        folder: Where to.
        x: ``(n, D)`` raw samples.
        rows: The rows of each split, ascending.
        scale: The fitted scale.
    """
    with contextlib.ExitStack() as stack:
        splits = {
            name: _Split(
                stack.enter_context(
                    npy_writer(folder / name / "x.npy", (len(rows[name]), x.shape[1]))
                ),
                rows[name],
            )
            for name in SPLITS
        }
        for start, chunk in chunks(x):
            for split in splits.values():
                split.take(start, chunk, scale)
    return {name: split.written for name, split in splits.items()}


class _Split:
    """A split on its way to its file."""

    def __init__(self, writer: NpyWriter, rows: Rows) -> None:
        self._writer = writer
        self._rows = rows
        self._samples = np.empty(len(rows), dtype=np.uint64)
        self._low, self._high = np.inf, -np.inf

    def take(self, start: int, chunk: NDArray[Any], scale: Scale) -> None:
        """Write those rows of a chunk, which begins at row ``start``, that are the split's."""
        first, end = np.searchsorted(self._rows, (start, start + len(chunk)))
        if first == end:
            return
        scaled = scale.apply(chunk[self._rows[first:end] - start])
        # Of NumPy's, since Python's own drop NaN.
        self._low = np.minimum(self._low, scaled.min())
        self._high = np.maximum(self._high, scaled.max())
        self._samples[first:end] = sample_digests(scaled)
        self._writer.append(scaled)

    @property
    def written(self) -> WrittenSplit:
        """What was seen."""
        return WrittenSplit(self._writer.digest, float(self._low), float(self._high), self._samples)
