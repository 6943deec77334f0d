"""One checked data set from the raw tables: flat features, class indices, unique ids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths
from offset_autoencoder.config.schema import Data
from offset_autoencoder.data.checks import as_ids, as_labels, as_splits, check_features
from offset_autoencoder.data.readers.base import Table
from offset_autoencoder.data.sources import Tables, load_source
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import ConcatenatedRows


@dataclass(frozen=True)
class Samples:
    """Data set before it is split and scaled.

    Attributes:
        x: ``(n, D)`` raw features, read where they lie; images are flattened in C order.
        ids: ``(n,)`` int64 or text, each once.
        ids_given: Whether the ids are the user's; otherwise they are row numbers.
        y: ``(n,)`` int64 index into ``classes``, or None.
        classes: The labels as they came, ascending, or None.
        splits: ``(n,)`` name of the split that the source assigns, or None where it assigns none.
        image_shape: ``(h, w)`` or ``(h, w, c)`` of a sample, or None.
        tables: Sources of the rows, in order.
    """

    x: ConcatenatedRows
    ids: NDArray[Any]
    ids_given: bool
    y: NDArray[np.int64] | None
    classes: list[int] | list[str] | None
    splits: NDArray[np.str_] | None
    image_shape: tuple[int, ...] | None
    tables: tuple[Table, ...]

    def location(self, row: int, feature: int | None = None) -> str:
        """Location of a row of the whole, as its own file counts."""
        for table in self.tables:
            if row < len(table.x):
                return table.location(row, feature)
            row -= len(table.x)
        raise IndexError(row)


def load_samples(data: Data, raw: Path = paths.RAW) -> Samples:
    """Read the data set that params.yaml names, check it and join its files.

    Rows follow each other in the order train, validation, test; without ids a sample's id is
    its row in the whole.

    Args:
        data: The section ``data`` of params.yaml.
        raw: The folder that files are named relative to.

    Raises:
        InputError: where something cannot be read (see :func:`.load_source`), a table is not fit
            (see :mod:`.checks`), the tables do not fit together, an id stands twice, or
            ``data.image_shape`` does not fit.
    """
    tables = load_source(data, raw)
    parts = tuple(tables.values())
    for table in parts:
        check_features(table)
    _check_alike(parts)
    x = ConcatenatedRows(tuple(table.x for table in parts))
    y, classes = _classes(parts)
    samples = Samples(
        x=x,
        ids=_ids(parts, len(x)),
        ids_given=parts[0].ids is not None,
        y=y,
        classes=classes,
        splits=_splits(tables),
        image_shape=_image_shape(data.image_shape, parts[0].x.shape[1:], x.shape[1]),
        tables=parts,
    )
    _check_unique(samples)
    return samples


def _check_alike(parts: Sequence[Table]) -> None:
    first = parts[0]
    for table in parts[1:]:
        if table.x.shape[1:] != first.x.shape[1:]:
            raise InputError(
                table.origin,
                f"has samples of shape {table.x.shape[1:]}, {first.origin} of {first.x.shape[1:]}",
            )
        # The integers of a csv may be whole by chance; uint8 in one file and floats in the
        # other are two scales.
        if table.x.dtype != first.x.dtype and not (table.columns and first.columns):
            raise InputError(
                table.origin, f"holds {table.x.dtype}, {first.origin} holds {first.x.dtype}"
            )


def _join(values: Sequence[NDArray[Any]]) -> NDArray[Any]:
    if len({array.dtype.kind for array in values}) > 1:
        values = [array.astype(np.str_) for array in values]
    return np.concatenate(values)


def _classes(
    parts: Sequence[Table],
) -> tuple[NDArray[np.int64] | None, list[int] | list[str] | None]:
    labels = [as_labels(table, table.labels) for table in parts if table.labels is not None]
    if not labels:
        return None, None
    classes, y = np.unique(_join(labels), return_inverse=True)
    return y.astype(np.int64), classes.tolist()


def _ids(parts: Sequence[Table], samples: int) -> NDArray[Any]:
    ids = [as_ids(table, table.ids) for table in parts if table.ids is not None]
    return _join(ids) if ids else np.arange(samples, dtype=np.int64)


def _splits(tables: Tables) -> NDArray[np.str_] | None:
    if None in tables:
        table = tables[None]
        return None if table.splits is None else as_splits(table, table.splits)
    return np.repeat(
        np.array([str(name) for name in tables]), [len(table.x) for table in tables.values()]
    )


def _image_shape(
    image_shape: Sequence[int] | None, shape: tuple[int, ...], features: int
) -> tuple[int, ...] | None:
    if image_shape is None:
        return tuple(shape) if len(shape) in (2, 3) else None
    if len(image_shape) not in (2, 3):
        raise InputError(
            "params.yaml: data.image_shape",
            f"is [h, w] or [h, w, channels], got {list(image_shape)}",
        )
    if math.prod(image_shape) != features:
        raise InputError(
            "params.yaml: data.image_shape",
            f"{list(image_shape)} has {math.prod(image_shape)} values, a sample has {features}",
        )
    return tuple(image_shape)


def _check_unique(samples: Samples) -> None:
    if not samples.ids_given:
        return
    order = np.argsort(samples.ids, kind="stable")
    repeats = (samples.ids[order[1:]] == samples.ids[order[:-1]]).nonzero()[0]
    if len(repeats):
        position = repeats[np.argmin(order[repeats + 1])]
        first, second = int(order[position]), int(order[position + 1])
        raise InputError(
            samples.location(second),
            f"id {samples.ids[second].item()!r} stands twice: it is that of "
            f"{samples.location(first)}, too",
            "ids must be unique",
        )
