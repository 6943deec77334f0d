"""parquet files, read a row group at a time, and of a large group some columns at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.data.columns import (
    choose_features,
    common_dtype,
    first_null,
    numbers,
    to_matrix,
    to_values,
)
from offset_autoencoder.data.table import Roles, Table
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import chunks, rows_per_chunk
from offset_autoencoder.io.temp_arrays import TempArray


def read_parquet_table(path: Path, roles: Roles) -> Table:
    """Read features, and labels, ids and splits where they are named, from a parquet file.

    An index that pandas stored beside the columns is not a feature, unless it is named.

    Raises:
        InputError: where the file is damaged, a column is missing, or a feature's cell is
            null or no number.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            free = _without_index(file.schema_arrow) if roles.features is None else names
            features = choose_features([*free, *_only_named(names, free, roles)], roles, str(path))
            values = {part: _values(path, file, part, name) for part, name in roles.named.items()}
            x = _matrix(path, file, features)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            str(path), f"is damaged, truncated or not parquet: {error}", "write or copy it again"
        ) from None
    return Table(
        x=x,
        origin=str(path),
        labels=values.get("label"),
        ids=values.get("id"),
        splits=values.get("split"),
        columns=features,
    )


def _without_index(schema: Any) -> list[str]:
    index = (schema.pandas_metadata or {}).get("index_columns", [])
    return [name for name in schema.names if name not in index]


def _only_named(names: list[str], free: list[str], roles: Roles) -> list[str]:
    return [name for name in names if name not in free and name in roles.named.values()]


def _values(path: Path, file: Any, part: str, name: str) -> NDArray[Any]:
    """The labels, ids or splits of all rows."""
    found, rows = [], 0
    for group in range(file.num_row_groups):
        column = file.read_row_group(group, columns=[name])[name]
        if (null := first_null(column)) is not None:
            raise InputError(f"{path}, row {rows + null}, column {name!r}", f"the {part} is null")
        found.append(to_values(column))
        rows += len(column)
    return np.concatenate(found) if found else np.empty(0, dtype=np.str_)


def _matrix(path: Path, file: Any, features: Sequence[str]) -> NDArray[Any]:
    """Features of all rows ``(n, D)``, one row group after the other."""
    dtype = common_dtype([_field(path, file, name) for name in features])
    matrix, rows = TempArray(), 0
    for group in range(file.num_row_groups):
        block = _group(path, file, group, features, dtype, rows)
        for _, chunk in chunks(block):
            matrix.write(chunk)
        rows += len(block)
    return matrix.array(dtype, (rows, len(features)))


def _group(
    path: Path, file: Any, group: int, features: Sequence[str], dtype: np.dtype[Any], row: int
) -> NDArray[Any]:
    """Features of one row group, ``(rows, D)``; ``row`` is its first.

    A group larger than a chunk is read some columns at a time: a page of each column at once may
    be more than memory holds.
    """
    rows = file.metadata.row_group(group).num_rows
    by_column, nulls = TempArray(), []
    step = len(features) if rows <= rows_per_chunk(len(features)) else rows_per_chunk(rows)
    for first in range(0, len(features), step):
        names = features[first : first + step]
        table = file.read_row_group(group, columns=list(names))
        columns = [_as_number(table[name]) for name in names]
        found = [(first_null(column), first + i) for i, column in enumerate(columns)]
        nulls += [(at, index) for at, index in found if at is not None]
        if nulls:
            continue
        if step == len(features):
            return to_matrix(columns).astype(dtype, copy=False)
        for column in columns:
            by_column.write(numbers(column).astype(dtype, copy=False))
    if nulls:
        at, index = min(nulls)
        raise InputError(f"{path}, row {row + at}, column {features[index]!r}", "the cell is null")
    return by_column.array(dtype, (rows, len(features)), order="F")


def _field(path: Path, file: Any, name: str) -> Any:
    """The field of a column of numbers, as it is read."""
    import pyarrow as pa

    field = file.schema_arrow.field(name)
    if pa.types.is_decimal(field.type):
        return pa.field(name, pa.float64())
    of_numbers = pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean
    if any(is_one(field.type) for is_one in of_numbers):
        return field
    rows = file.metadata.num_rows
    first = file.read_row_group(0, columns=[name])[name][0].as_py() if rows else None
    raise InputError(
        f"{path}, row 0, column {name!r}",
        f"{first!r} is not a number: the column's type is {field.type}",
        "name the columns to use in data.features, data.label and data.id",
    )


def _as_number(column: Any) -> Any:
    import pyarrow as pa

    return column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column
