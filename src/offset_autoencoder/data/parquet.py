"""parquet files, read a column at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from offset_autoencoder.data.columns import choose_features, first_null, to_matrix, to_values
from offset_autoencoder.data.table import Roles, Table
from offset_autoencoder.errors import InputError


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
            others = roles.named
            table = file.read(columns=list(dict.fromkeys([*features, *others.values()])))
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            str(path), f"is damaged, truncated or not parquet: {error}", "write or copy it again"
        ) from None
    columns = [_numbers(path, name, table[name]) for name in features]
    if null := first_null(columns):
        raise InputError(f"{path}, row {null[0]}, column {features[null[1]]!r}", "the cell is null")
    values = {}
    for part, name in others.items():
        if null := first_null([table[name]]):
            raise InputError(f"{path}, row {null[0]}, column {name!r}", f"the {part} is null")
        values[part] = to_values(table[name])
    return Table(
        x=to_matrix(columns),
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


def _numbers(path: Path, name: str, column: Any) -> Any:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return column
    first = column[0].as_py() if len(column) else None
    raise InputError(
        f"{path}, row 0, column {name!r}",
        f"{first!r} is not a number: the column's type is {kind}",
        "name the columns to use in data.features, data.label and data.id",
    )
