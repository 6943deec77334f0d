"""Columns of a file made features: categories one-hot, incomplete rows and features left out.

What was done to a data set is kept with it, and with a served model, as :class:`Preprocessing`: new
samples then go the same way.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offset_autoencoder.config.data_schema import Complex
from offset_autoencoder.errors import InputError, did_you_mean, first_names
from offset_autoencoder.io.arrays import ConcatenatedRows, TempArray, chunks, copied, reorder

if TYPE_CHECKING:  # commands that read no data import no readers
    from offset_autoencoder.data.readers.base import Table

Missing = Literal["error", "drop", "mean", "median"]


@dataclass(frozen=True)
class Preprocessing:
    """Treatment of a data set before it is scaled.

    Attributes:
        missing: ``data.missing``.
        levels: Levels of each column of text, ascending: level ``l`` of column ``c`` is the feature
            ``c=l``, 1 or 0.
        raw_features: Number of features of an array without names, before any were left out.
        kept: Indices of those that are left; None: all.
        complex: ``data.complex``.
    """

    missing: Missing = "error"
    levels: dict[str, list[str]] = field(default_factory=dict)
    raw_features: int | None = None
    kept: list[int] | None = None
    complex: Complex | None = None

    def raw_columns(self, features: Sequence[str]) -> tuple[str, ...]:
        """Columns of a file that features are made of, in their order."""
        columns = {name: column for column, _, name in _features(self.levels)}
        return tuple(dict.fromkeys(columns.get(feature, feature) for feature in features))

    def choose_features(self, x: NDArray[Any]) -> NDArray[Any]:
        """Features of unnamed samples ``(n, raw)`` that are left; any others as they are."""
        width = math.prod(x.shape[1:]) if x.ndim > 1 else 0
        if self.kept is None or width != self.raw_features:
            return x
        return x.reshape(len(x), width)[:, self.kept]

    def apply(self, table: Table, features: Sequence[str] | None) -> Table:
        """Preprocess new samples, read as the data set was; notes say what is odd of them.

        ``features`` are the names of those that the data set has.
        """
        notes = []
        if features is not None and table.columns and self.levels:
            for column, levels in table.levels.items():
                if unknown := [level for level in levels if level not in self.levels[column]]:
                    line = f"column {column!r} has levels that no sample of the data set has"
                    notes.append(f"{line}, taken for none: {first_names(map(repr, unknown))}")
            table = one_hot(table, features, self.levels)
        if self.missing == "drop":
            table = drop_incomplete(table)
            if table.dropped:
                whole = np.arange(len(table.x) + table.dropped)
                rows = np.setdiff1d(whole, table.row_numbers).tolist()
                line = f"with a missing cell, left out (data.missing: drop): {first_names(rows)}"
                notes.append(f"row{'s' * (len(rows) > 1)} {line}")
        if self.kept is not None:
            x = self.choose_features(table.x)
            kept = table.kept if x is table.x else np.array(self.kept)
            table = replace(table, x=x, kept=kept)
        return replace(table, notes=tuple(notes))


def _features(levels: Mapping[str, Sequence[str]]) -> list[tuple[str, str, str]]:
    """Column, level and name of each feature that is a level."""
    return [(column, level, f"{column}={level}") for column in levels for level in levels[column]]


def encode_categories(tables: Sequence[Table]) -> tuple[tuple[Table, ...], dict[str, list[str]]]:
    """One-hot encode the columns of text of a data set, with the levels of all of its files.

    Returns:
        The tables, and the levels of each such column.

    Raises:
        InputError: where a level's feature has the name of another column.
    """
    levels = {
        column: sorted({level for table in tables for level in table.levels.get(column, ())})
        for column in tables[0].levels
    }
    if not levels:
        return tuple(tables), {}
    by_column: dict[str, list[str]] = {}
    for column, _, name in _features(levels):
        by_column.setdefault(column, []).append(name)
    names = [n for column in tables[0].columns or () for n in by_column.get(column, [column])]
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        what = f"two features would have the name {repeated[0]!r}"
        raise InputError(tables[0].origin, what, "rename the column, or leave it out: data.exclude")
    return tuple(one_hot(table, names, levels) for table in tables), levels


def one_hot(table: Table, features: Sequence[str], levels: Mapping[str, Sequence[str]]) -> Table:
    """Features of a table whose columns of text hold numbers of levels.

    A feature ``column=level`` is 1 where the sample has that level, NaN where its cell is missing,
    and else 0, so that of a level that no feature stands for all are 0.
    """
    names = {name: (column, level) for column, level, name in _features(levels)}
    places = {column: index for index, column in enumerate(table.columns or ())}
    codes = {c: {level: code for code, level in enumerate(v)} for c, v in table.levels.items()}
    sources = []
    for feature in features:
        column, level = names.get(feature, (feature, None))
        code = None if level is None else codes.get(column, {}).get(level, -1)
        sources.append((places[column], code))
    encoded = TempArray()
    for _, chunk in chunks(ConcatenatedRows((table.x,)), len(features)):
        block = np.empty((len(chunk), len(features)), dtype=chunk.dtype)
        for place, (column_index, code) in enumerate(sources):
            values = chunk[:, column_index]
            if code is not None:
                values = np.where(np.isnan(values), values, values == code)
            block[:, place] = values
        encoded.write(block)
    x = encoded.array(table.x.dtype.newbyteorder("="), (len(table.x), len(features)))
    return replace(table, x=x, columns=tuple(features), levels={})


def encode_columns(
    columns: Mapping[str, ArrayLike], features: Sequence[str], preprocessing: Preprocessing
) -> NDArray[np.float64]:
    """Features ``(n, D)`` of the columns of a table by name, each ``(n,)``: numbers or text.

    Raises:
        InputError: where one is missing, holds text for numbers, or is longer than the others.
    """
    import pyarrow as pa

    from offset_autoencoder.data.readers.base import Table
    from offset_autoencoder.data.readers.cells import LevelCodes, text_to_numbers

    arrays, levels = {}, {}
    for column in preprocessing.raw_columns(features):
        if column not in columns:
            raise InputError(f"column {column!r}", "missing", did_you_mean(column, columns))
        values = np.asarray(columns[column], dtype=object).ravel()
        texts = [None if value is None or value != value else str(value) for value in values]
        codes = LevelCodes()
        convert = codes if column in preprocessing.levels else text_to_numbers
        try:
            arrays[column] = convert(pa.chunked_array([texts], pa.string()))
        except pa.ArrowException as error:
            raise InputError(f"column {column!r}", f"holds what is no number: {error}") from None
        if column in preprocessing.levels:
            levels[column] = codes.levels
    if len(lengths := {len(array) for array in arrays.values()}) > 1:
        what = f"have {first_names(sorted(lengths))} values, expected one length"
        raise InputError("columns", what)
    x = np.column_stack(list(arrays.values()))
    table = Table(x, "x", columns=tuple(arrays), levels=levels)
    return np.array(one_hot(table, features, preprocessing.levels).x)


def drop_incomplete(table: Table) -> Table:
    """Leave the rows out in which a value is missing (NaN); rows keep their numbers.

    Raises:
        InputError: where no row is left.
    """
    from offset_autoencoder.data.readers.base import ROLES

    x = ConcatenatedRows((table.x,))
    if x.dtype.kind != "f":
        return table
    complete = np.concatenate([~np.isnan(chunk).any(axis=1) for _, chunk in chunks(x)])
    rows = complete.nonzero()[0]
    if len(rows) == len(x):
        return table
    if not len(rows):
        mend = "set data.missing: mean or median, or leave columns out: data.exclude"
        raise InputError(table.origin, "has a missing cell in every row", mend)
    roles: dict[str, Any] = {
        f"{role}s": None if (values := getattr(table, f"{role}s")) is None else values[rows]
        for role in ROLES
    }
    x_left = reorder(x, rows).parts[0].reshape(len(rows), *table.x.shape[1:])
    dropped = len(x) - len(rows)
    return replace(table, x=x_left, rows=table.row_numbers[rows], dropped=dropped, **roles)


def choose_features(table: Table, kept: NDArray[np.int64]) -> Table:
    """Some features ``(k,)`` of a table, by index."""
    x = ConcatenatedRows((table.x,))
    chosen = copied((chunk[:, kept] for _, chunk in chunks(x)), x.dtype, (len(x), len(kept)))
    columns = None if table.columns is None else tuple(table.columns[i] for i in kept)
    return replace(table, x=chosen, columns=columns, kept=kept)
