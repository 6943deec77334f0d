"""Interface of an offset kind: two pure functions, fit and apply.

``where`` always names the place that an :class:`InputError` blames: ``"params.yaml: offsets.pca"``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths
from offset_autoencoder.config import SplitName
from offset_autoencoder.errors import InputError

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


Fit = Callable[[str, Any, Training, int], State]
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
        load: From (where, state) to the function that ``apply`` calls, where something must be
            made ready first: a model loaded, a program compiled.
        read: From (name, section of params.yaml, ids, latent_dim, data/raw) to the vectors of each
            split, row-aligned with its samples, where they are not computed but read.
    """

    fit: Fit
    apply: Callable[[str, State, Samples], Float32]
    load: Callable[[str, State], Apply] | None = None
    read: ReadVectors | None = None

    def applier(self, where: str, state: State) -> Apply:
        """:attr:`apply` of one state, to be called for chunk after chunk of samples."""
        if self.load is not None:
            return self.load(where, state)
        return functools.partial(self.apply, where, state)


def random_stream(name: str, seed: int) -> np.random.Generator:
    """Generator of a kind's own: nothing else that is seeded with the number draws the same."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=tuple(name.encode())))


def check_features(where: str, x: Float32, fitted: int) -> None:
    """Refuse samples of another number of features than a kind was fitted on."""
    if x.shape[1] != fitted:
        raise InputError(where, f"was fitted on {fitted} features, x has {x.shape[1]}")


def check_finite(where: str, array: NDArray[Any], first_row: int = 0) -> None:
    """Refuse NaN and infinity.

    Args:
        where: The place that errors name.
        array: Numbers of any real dtype, (n, columns).
        first_row: Row of its first one in the whole.

    Raises:
        InputError: naming the first row and column, counted from 0.
    """
    finite = np.isfinite(array)
    if finite.all():
        return
    row, column = np.argwhere(~finite)[0]
    value = array[row, column]
    raise InputError(
        where, f"row {first_row + row}, column {column} is {value}, a finite number is expected"
    )
