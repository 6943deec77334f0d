"""parquet files, read by row group, and a large group some columns at a time."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.schema import SplitName
from offset_autoencoder.data.readers.base import (
    ColumnRoles,
    Columns,
    Reader,
    RoleKeys,
    Table,
    choose_features,
    common_dtype,
    first_null,
    to_matrix,
    to_numbers,
    to_values,
)
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import TempArray, chunks, rows_per_chunk


def read_parquet_table(path: Path, roles: ColumnRoles, split: SplitName | None = None) -> Table:
    """Read features, and labels, ids and splits where they are assigned, from a parquet file.

    An index that pandas stored beside the columns is not a feature, unless it is named.

    Raises:
        InputError: where the file is damaged, a column is missing, or a feature's cell is
            null or no number.
    """
    with _open(path) as file:
        features = choose_features(_columns(file.schema_arrow), roles, str(path))
        values = {role: _values(path, file, role, name) for role, name in roles.named.items()}
        x = _matrix(path, file, features, roles.keys)
    return Table.from_roles(x, path, values, columns=features)


def read_parquet_columns(path: Path) -> Columns:
    """Read the columns of a parquet file.

    Raises:
        InputError: where the file is damaged.
    """
    with _open(path) as file:
        return _columns(file.schema_arrow)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            str(path), f"is damaged, truncated or not parquet: {error}", "write or copy it again"
        ) from None


def _columns(schema: Any) -> Columns:
    index = (schema.pandas_metadata or {}).get("index_columns", [])
    # An index that is a range is stored as a mapping, not as a column.
    return Columns(tuple(schema.names), frozenset(name for name in index if isinstance(name, str)))


def _values(path: Path, file: Any, role: str, name: str) -> NDArray[Any]:
    """Labels, ids or splits of all rows."""
    blocks, rows = [], 0
    for group in range(file.num_row_groups):
        column = file.read_row_group(group, columns=[name])[name]
        if (null := first_null(column)) is not None:
            raise InputError(f"{path}, row {rows + null}, column {name!r}", f"the {role} is null")
        blocks.append(to_values(column))
        rows += len(column)
    return np.concatenate(blocks) if blocks else np.empty(0, dtype=np.str_)


def _matrix(path: Path, file: Any, features: Sequence[str], keys: RoleKeys) -> NDArray[Any]:
    """Features of all rows ``(n, D)``, one row group after the other."""
    dtype = common_dtype([_field(path, file, name, keys) for name in features])
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
        first_nulls = [(first_null(column), first + i) for i, column in enumerate(columns)]
        nulls += [(null, index) for null, index in first_nulls if null is not None]
        if nulls:
            continue
        if step == len(features):
            return to_matrix(columns).astype(dtype, copy=False)
        for column in columns:
            by_column.write(to_numbers(column).astype(dtype, copy=False))
    if nulls:
        null, index = min(nulls)
        where = f"{path}, row {row + null}, column {features[index]!r}"
        raise InputError(where, "the cell is null")
    return by_column.array(dtype, (rows, len(features)), order="F")


def _field(path: Path, file: Any, name: str, keys: RoleKeys) -> Any:
    """Field of a column of numbers, with the type that it is read as."""
    import pyarrow as pa

    field = file.schema_arrow.field(name)
    if pa.types.is_decimal(field.type):
        return pa.field(name, pa.float64())
    types = pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean
    if any(is_type(field.type) for is_type in types):
        return field
    rows = file.metadata.num_rows
    first = file.read_row_group(0, columns=[name])[name][0].as_py() if rows else None
    raise InputError(
        f"{path}, row 0, column {name!r}",
        f"{first!r} is not a number: the column's type is {field.type}",
        f"name the columns to use in {keys.all}",
    )


def _as_number(column: Any) -> Any:
    import pyarrow as pa

    return column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column


PARQUET = Reader(
    "parquet",
    ".parquet",
    re.compile(r"\.(parquet|pq)$"),
    "columns",
    read_parquet_table,
    read_parquet_columns,
)
