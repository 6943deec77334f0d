"""The vectors of a split on their way to their file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import chunks, npy_writer
from offset_autoencoder.offsets.check import check_finite
from offset_autoencoder.offsets.kind import Float32


@dataclass(frozen=True)
class Vectors:
    """The vectors of a split that are computed, a chunk of rows at a time, when they are written.

    Attributes:
        shape: (n, latent_dim) of all.
        chunks: float32 (rows, latent_dim) each, in order; it may be called again.
    """

    shape: tuple[int, int]
    chunks: Callable[[], Iterable[Float32]]


@dataclass(frozen=True)
class WrittenVectors:
    """What was seen of a split's vectors.

    Attributes:
        digest: SHA-256 (:func:`.files.sha256_of_array`).
        rms: Root mean square of a coordinate, summed in float64.
        largest: The largest magnitude of a coordinate.
    """

    digest: str
    rms: float
    largest: float


def write_vectors(
    path: Path, where: str, table: Float32 | Vectors, latent_dim: int
) -> WrittenVectors:
    """Write the vectors of a split as an npy file, a chunk at a time, each checked before.

    Args:
        path: The file.
        where: The place that errors name.
        table: float32 (n, latent_dim), or what computes it.
        latent_dim: Length that the vectors must have.

    Raises:
        InputError: where they have another shape, or are not finite; the file is then not there.
    """
    squares, largest = 0.0, 0.0
    n = table.shape[0]
    with npy_writer(path, (n, latent_dim)) as writer:
        for chunk in _chunks_of(table):
            if chunk.ndim != 2 or chunk.shape[1] != latent_dim or chunk.dtype != np.float32:
                raise InputError(
                    where,
                    f"must be float32 (n, {latent_dim}), it is {chunk.dtype} {chunk.shape}",
                )
            check_finite(where, chunk, writer.rows)
            squares += float(np.sum(np.square(chunk, dtype=np.float64)))
            largest = max(largest, float(np.abs(chunk).max(initial=0)))
            writer.append(chunk)
    return WrittenVectors(writer.digest, float(np.sqrt(squares / (n * latent_dim))), largest)


def _chunks_of(table: Float32 | Vectors) -> Iterator[Float32]:
    if isinstance(table, Vectors):
        yield from table.chunks()
    elif table.ndim != 2:
        yield table
    else:
        yield from (chunk for _, chunk in chunks(table))
