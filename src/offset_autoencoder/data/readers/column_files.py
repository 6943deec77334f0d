"""Columns of a file, read group of rows by group of rows, as Arrow hands them out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.data.readers.base import ColumnRoles
from offset_autoencoder.data.readers.cells import plain
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import TempArray, chunks, rows_per_chunk

Convert = Callable[[Any], NDArray[Any]]
"""Function from an Arrow column to its numbers ``(n,)``, NaN where a cell is missing."""

Group = tuple[int, Callable[[list[str]], Any]]
"""Some rows of a file: their number, and function from names of columns to an Arrow table."""


def whole_group(table: Any) -> Group:
    """Rows that are in memory as an Arrow table already."""
    return len(table), lambda names: table


def read_groups(
    groups: Iterable[Group],
    features: Mapping[str, Sequence[int] | None],
    roles: ColumnRoles,
    dtype: np.dtype[Any],
    null_error: Callable[[int, str, str], InputError],
    order: NDArray[np.int64] | None = None,
    converters: Mapping[str, Convert] = MappingProxyType({}),
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Features ``(n, D)`` of all groups of rows, and the Arrow column ``(n,)`` of each other role.

    Of a large group some columns are read at a time: a page of each column of a parquet at once
    may be more than memory holds. ``null_error`` makes the error of the first row that holds
    nothing in a column, where it must, from row, column and its role or ``"cell"``.

    Args:
        groups: In the order of the file.
        features: Columns; of a column of lists, all of one length, the places that are features.
        roles: Columns of the other roles.
        dtype: Of the features.
        null_error: See above.
        order: Order ``(D,)`` of the features, where they are not as listed.
        converters: Of those columns that do not hold numbers.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    width = sum(1 if places is None else len(places) for places in features.values())
    names = dict.fromkeys(features, "cell") | {name: role for role, name in roles.named.items()}
    listed = list(names)
    others: dict[str, list[Any]] = {name: [] for name in roles.named.values()}
    x, row = TempArray(), 0
    for rows, read in groups:
        by_column, nulls, step = TempArray(), [], rows_per_chunk(rows)
        for first in range(0, len(names), step):
            some = listed[first : first + step]
            table = read(some)
            for position, name in enumerate(some, first):
                column = table.column(name)
                is_optional = roles.missing and name in features and features[name] is None
                if column.null_count and not is_optional:
                    nulls.append((pc.index(pc.is_null(column), True).as_py(), position))
                elif name in others:
                    others[name] += getattr(column, "chunks", [column])
                elif (places := features[name]) is not None:
                    flat = column.flatten()
                    if flat.null_count and not roles.missing:
                        null = pc.index(pc.is_null(flat), True).as_py() * rows // len(flat)
                        nulls.append((null, position))
                    else:
                        matrix = to_numbers(flat).reshape(rows, -1)[:, places]
                        by_column.write(matrix.T.astype(dtype, copy=False))
                else:
                    numbers = converters.get(name, to_numbers)(column)
                    by_column.write(numbers.astype(dtype, copy=False))
        if nulls:
            null, position = min(nulls)
            raise null_error(row + null, *list(names.items())[position])
        for _, chunk in chunks(by_column.array(dtype, (rows, width), order="F")):
            x.write(chunk if order is None else chunk[:, order])
        row += rows
    columns = {
        role: pa.chunked_array(others[name], None if others[name] else pa.string())
        for role, name in roles.named.items()
    }
    return x.array(dtype, (row, width)), columns


def to_numbers(column: Any) -> NDArray[Any]:
    """Numbers of an Arrow column ``(n,)``, NaN where it holds nothing."""
    import pyarrow as pa

    has_no_dtype = pa.types.is_decimal(column.type) or (
        pa.types.is_boolean(column.type) and column.null_count
    )
    numbers = column.cast(pa.float64()) if has_no_dtype else column
    return np.asarray(numbers.to_numpy(zero_copy_only=False))


def to_values(column: Any) -> NDArray[Any]:
    """Convert an Arrow column of labels, ids or splits, no nulls, to numbers or text ``(n,)``."""
    import pyarrow as pa

    column = plain(column)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        texts = [np.array(chunk.to_pylist(), dtype=np.str_) for chunk in column.chunks]
        return np.concatenate([np.empty(0, np.str_), *texts])
    return np.asarray(column.to_numpy())
