"""The data set of params.yaml, read from its source: features, ids, classes and splits, checked."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths
from offset_autoencoder.config.data_schema import SPLITS, Data, Split
from offset_autoencoder.data.preprocessing import (
    Preprocessing,
    choose_features,
    drop_incomplete,
    encode_categories,
)
from offset_autoencoder.data.readers.base import ROLES, Table
from offset_autoencoder.data.readers.role_values import check_classes
from offset_autoencoder.data.scaling import survey
from offset_autoencoder.data.shapes import SampleShape
from offset_autoencoder.data.sources import load_source
from offset_autoencoder.data.splits import as_moments
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import ConcatenatedRows, Matrix, Rows, RowSubset

_DROP = "params.yaml: data.constant: drop"
_ZERO = "set data.constant: zero"


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
        groups: ``(n,)`` int64 or text, equal for samples that stay in one split, or None.
        moments: ``(n,)`` numbers or dates that order the samples, or None.
        shape: How a sample's values are read, as an image or a series.
        tables: Sources of the rows, in order.
        preprocessing: What was done to the raw features.
        left_out: Names of features that were left out as constant.
    """

    x: ConcatenatedRows
    ids: NDArray[Any]
    ids_given: bool
    y: NDArray[np.int64] | None
    classes: list[int] | list[str] | None
    splits: NDArray[np.str_] | None
    shape: SampleShape
    tables: tuple[Table, ...]
    groups: NDArray[Any] | None = None
    moments: NDArray[Any] | None = None
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    left_out: tuple[str, ...] = ()

    @property
    def dropped(self) -> int:
        """Number of rows that were left out for a missing cell."""
        return sum(table.dropped for table in self.tables)

    def location(self, row: int, feature: int | None = None) -> str:
        """Location of a row of the whole, as its own file counts."""
        for table in self.tables:
            if row < len(table.x):
                return table.location(row, feature)
            row -= len(table.x)
        raise IndexError(row)


def load_samples(
    data: Data,
    raw: Path = paths.RAW,
    split: Split = Split(),  # noqa: B008
    *,
    draw_series: bool = False,
) -> Samples:
    """Read the data set that params.yaml names, check it and join its files.

    Rows follow each other in the order train, validation, test; without ids a sample's id is
    its row in the whole. ``draw_series`` is that of :meth:`.SampleShape.of`.

    Raises:
        InputError: where something cannot be read (see :func:`load_source`), the tables do not
            fit together, an id stands twice, or a shape under ``data`` does not fit.
    """
    tables, levels = encode_categories(load_source(data, raw, split))
    _check_alike(tables)
    if data.missing == "drop":
        tables = tuple(map(drop_incomplete, tables))
    x = ConcatenatedRows(tuple(table.x for table in tables))
    of_role = {role: _join([getattr(table, f"{role}s") for table in tables]) for role in ROLES}
    labels, ids, orders = (of_role[role] for role in ("label", "id", "order"))
    y = classes = None
    if labels is not None:
        values, indices = np.unique(labels, return_inverse=True)
        check_classes(values, len(labels))
        y, classes = indices.astype(np.int64), values.tolist()
    splits = of_role["split"]
    if data.split is not None and splits is not None and (splits == "train").all():
        what = "marks every sample train: none is left to test on"
        mend = "mark some test, or leave it out: the shares of split: are then cut"
        raise InputError("params.yaml: data.split", what, mend)
    samples = Samples(
        x=x,
        ids=_row_numbers(tables) if ids is None else ids,
        ids_given=ids is not None,
        y=y,
        classes=classes,
        splits=splits,
        shape=SampleShape.of(data, tables[0].x.shape[1:], x.shape[1], draw_series=draw_series),
        tables=tables,
        preprocessing=Preprocessing(data.missing, levels, complex=data.complex),
        groups=of_role["group"],
    )
    _check_unique(samples)
    moments = None if orders is None else as_moments(orders, samples.location)
    return replace(samples, moments=moments)


def _row_numbers(tables: Sequence[Table]) -> NDArray[np.int64]:
    """Numbers of the rows in the whole, as it was before any were left out."""
    firsts = itertools.accumulate((len(t.x) + t.dropped for t in tables), initial=0)
    return np.concatenate([t.row_numbers + first for t, first in zip(tables, firsts, strict=False)])


def _check_alike(tables: Sequence[Table]) -> None:
    first = tables[0]
    for table in tables[1:]:
        if table.x.shape[1:] != first.x.shape[1:]:
            shapes = f"{table.x.shape[1:]}, {first.origin} of {first.x.shape[1:]}"
            raise InputError(table.origin, f"has samples of shape {shapes}")
        # The integers of a csv may be whole by chance; uint8 in one file and floats in the
        # other are two scales.
        if table.x.dtype != first.x.dtype and not (table.columns and first.columns):
            what = f"holds {table.x.dtype}, {first.origin} holds {first.x.dtype}"
            raise InputError(table.origin, what)


def _join(parts: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    arrays = [array for array in parts if array is not None]
    if len({array.dtype.kind for array in arrays}) > 1:
        arrays = [array.astype(np.str_) for array in arrays]
    return np.concatenate(arrays) if arrays else None


def _check_unique(samples: Samples) -> None:
    if not samples.ids_given:
        return
    order = np.argsort(samples.ids, kind="stable")
    repeats = (samples.ids[order[1:]] == samples.ids[order[:-1]]).nonzero()[0]
    if len(repeats):
        position = repeats[np.argmin(order[repeats + 1])]
        first, second = int(order[position]), int(order[position + 1])
        what = f"id {samples.ids[second].item()!r} stands twice: it is that of "
        what += f"{samples.location(first)}, too"
        if (more := len(np.unique(samples.ids[order[repeats]])) - 1) > 0:
            what += f"; {more} more id{'s stand' if more > 1 else ' stands'} twice"
        if samples.splits is not None:
            of_split = {name: samples.ids[samples.splits == name] for name in SPLITS}
            for name, other in itertools.combinations(SPLITS, 2):
                if both := len(np.intersect1d(of_split[name], of_split[other])):
                    what += f"; {both} of {other} stand in {name}, too"
        mend = "ids must be unique; rows that belong together are kept in one split by split.group"
        raise InputError(samples.location(second), what, mend)


def is_constant(x: Matrix) -> NDArray[np.bool_]:
    """``(D,)``, true for a feature that has one value in all samples, or none."""
    low, high, *_ = survey(x, moments=False)
    return ~(low < high)


def drop_constant_features(samples: Samples, training_rows: Iterable[Rows]) -> Samples:
    """Samples without the features that are constant over any of some training splits.

    So the runs of all seeds have the same features.

    Raises:
        InputError: where none is left, or the samples are images, which would be none then.
    """
    features = np.zeros(samples.x.shape[1], dtype=np.bool_)
    for rows in training_rows:
        features |= is_constant(RowSubset(samples.x, rows))
    if not features.any():
        return samples
    if shape := samples.shape.image or samples.shape.sequence:
        what = f"would leave {features.sum()} values out of samples of shape {list(shape)}"
        raise InputError(_DROP, what, _ZERO)
    kept = (~features).nonzero()[0]
    if not len(kept):
        raise InputError(_DROP, "every feature is constant: none would be left", _ZERO)
    tables = tuple(choose_features(table, kept) for table in samples.tables)
    preprocessing = samples.preprocessing
    if tables[0].columns is None:
        preprocessing = replace(preprocessing, raw_features=len(features), kept=kept.tolist())
    return replace(
        samples,
        x=ConcatenatedRows(tuple(table.x for table in tables)),
        tables=tables,
        preprocessing=preprocessing,
        left_out=tuple(map(samples.tables[0].feature_name, features.nonzero()[0].tolist())),
    )
