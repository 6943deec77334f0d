"""Interface of an offset kind: two pure functions, fit and apply.

``where`` always names the place that an :class:`InputError` blames: ``"params.yaml: offsets.pca"``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offset_autoencoder import paths
from offset_autoencoder.config import SplitName
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import rows_per_block

State = dict[str, NDArray[Any]]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Samples:
    """Samples to compute vectors for.

    Attributes:
        x: float32 (n, input_dim), finite.
        y: Class index of each sample, int64 (n,); None where there are no labels.
        ids: Id of each sample, int64 or text (n,); None where they are not known.
        first_row: Row of the first sample in its split, for messages.
    """

    x: Float32
    y: Int64 | None = None
    ids: NDArray[Any] | None = None
    first_row: int = 0


@dataclass(frozen=True)
class Training(Samples):
    """Training split, the only one that a kind may learn from, and what goes with it.

    Attributes:
        n_classes: Number of classes in the whole data set; None without labels.
        x_validation: float32 (m, input_dim): tells when to stop a training, and nothing else.
        raw: Folder of the user's own files.
    """

    n_classes: int | None = None
    x_validation: Float32 | None = None
    raw: Path = paths.RAW


@dataclass(frozen=True)
class PreparedIds:
    """Samples that need a vector, by id.

    Attributes:
        splits: Ids of each split's samples, in the order of its x: int64 or text (n,).
        are_rows: Whether the ids are row numbers of the data set as it came, because
            params.yaml names no id.
    """

    splits: Mapping[SplitName, NDArray[Any]]
    are_rows: bool


@dataclass(frozen=True)
class Vectors:
    """Vectors of a split, computed a chunk of rows at a time when they are written.

    Attributes:
        shape: (n, latent_dim) of all.
        chunks: float32 (rows, latent_dim) each, in order; it may be called again.
    """

    shape: tuple[int, int]
    chunks: Callable[[], Iterable[Float32]]


Apply = Callable[[Samples], Float32]
ReadVectors = Callable[[str, Any, PreparedIds, int, Path], dict[SplitName, Vectors]]


@dataclass(frozen=True)
class OffsetKind:
    """Functions of a kind; the module named like it holds them as ``KIND``.

    Attributes:
        fit: From (where, section of params.yaml, training split, latent_dim) to all that
            ``apply`` needs, as named arrays; raises InputError where the kind cannot be had with
            this data or this latent dim.
        apply: From (where, state, samples) to f(x), float32 (n, latent_dim), of any samples; a row
            depends on its own sample alone; raises InputError where they cannot be given one.
        load: In its place, from (where, state) to such a function of samples, where something must
            be made ready first: a model loaded, a program compiled.
        read: From (name, section of params.yaml, ids, latent_dim, data/raw) to the vectors of each
            split, row-aligned with its samples, where they are not computed but read.
    """

    fit: Callable[[str, Any, Training, int], State]
    apply: Callable[[str, State, Samples], Float32] | None = None
    load: Callable[[str, State], Apply] | None = None
    read: ReadVectors | None = None

    def applier(self, where: str, state: State) -> Apply:
        """Function f of one state, to be called for chunk after chunk of samples."""
        if self.load is not None:
            return self.load(where, state)
        assert self.apply is not None
        return functools.partial(self.apply, where, state)


def random_stream(name: str, seed: int) -> np.random.Generator:
    """Generator of a kind's own: nothing else that is seeded with the number draws the same."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=tuple(name.encode())))


def unit_directions(generator: np.random.Generator, n: int, latent_dim: int) -> Float64:
    """Directions uniform on the unit sphere, (n, latent_dim): Gaussian, normalised."""
    rows = generator.standard_normal((n, latent_dim))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def check_features(where: str, x: Float32, fitted: int) -> None:
    """Refuse samples of another number of features than a kind was fitted on."""
    if x.shape[1] != fitted:
        raise InputError(where, f"was fitted on {fitted} features, x has {x.shape[1]}")


def check_finite(where: str, array: NDArray[Any], first_row: int = 0) -> None:
    """Refuse NaN and infinity.

    Raises:
        InputError: naming the first row and column of (n, columns), counted from 0 in the whole,
            of which ``first_row`` is the array's first one.
    """
    finite = np.isfinite(array)
    if finite.all():
        return
    row, column = np.argwhere(~finite)[0]
    value = array[row, column]
    raise InputError(
        where, f"row {first_row + row}, column {column} is {value}, a finite number is expected"
    )


def real_array(where: str, values: ArrayLike) -> NDArray[Any]:
    """Array of any real dtype and shape.

    Raises:
        InputError: where they are no array, or not real numbers.
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise InputError(where, "is not an array: its rows are not of one length") from None
    if array.dtype.kind not in "fiub":
        raise InputError(where, f"must hold real numbers, its dtype is {array.dtype}")
    return array


def finite_float32(where: str, array: NDArray[Any], first_row: int = 0) -> Float32:
    """Real numbers (n, columns) as float32 in C order.

    Raises:
        InputError: where one is not finite, or too large for float32.
    """
    with np.errstate(over="ignore"):  # too large for float32 is infinity, which is refused below
        table: Float32 = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(table).all():
        check_finite(where, array, first_row)
        check_finite(f"{where}, as float32", table, first_row)
    return table


def sample_ids(ids: ArrayLike, n: int) -> NDArray[Any]:
    """Ids of samples as kinds take them, int64 or text (n,).

    Raises:
        InputError: where they are of another shape or dtype, or too large.
    """
    array = id_column("ids", ids, n)
    if array.dtype.kind == "u" and n and array.max() >= 2**63:
        raise InputError("ids", f"must be below 2**63, the largest is {array.max()}")
    return array if array.dtype.kind == "U" else array.astype(np.int64)


def id_column(where: str, values: ArrayLike, n: int) -> NDArray[Any]:
    """Whole numbers or text of any width, (n,).

    Raises:
        InputError: where they are of another shape or dtype.
    """
    array = np.asarray(values)
    if array.shape != (n,):
        raise InputError(where, f"has shape {array.shape}, expected ({n},), one per sample")
    if array.dtype.kind not in "iuU":
        raise InputError(where, f"must be whole numbers or text, its dtype is {array.dtype}")
    return array


def row_blocks(n: int, width: int) -> Iterator[slice]:
    """Slices of n rows of ``width`` values: as much as is converted and computed with at once."""
    rows = rows_per_block(width)
    return (slice(start, start + rows) for start in range(0, n, rows))
