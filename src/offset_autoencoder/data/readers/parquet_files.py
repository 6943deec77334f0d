"""Parquet files: columns of numbers, and of lists of numbers that are all of one length."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.data.readers import base
from offset_autoencoder.data.readers.base import ColumnRoles, Columns, Table
from offset_autoencoder.data.readers.cells import Cells, LevelCodes, refuse_obstacles
from offset_autoencoder.data.readers.column_files import (
    Group,
    read_groups,
    to_numbers,
    to_values,
    whole_group,
)
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import rows_per_chunk
from offset_autoencoder.io.files import reading


def read_parquet_table(path: Path, roles: ColumnRoles) -> Table:
    """Read features, and labels, ids and splits where they are assigned, from a parquet file.

    An index that pandas stored beside the columns is not a feature, unless it is named. Of a
    column of lists, ``emb``, each place is a feature: ``emb_0``, ``emb_1``, ...

    Raises:
        InputError: where the file is damaged, a column is missing, a feature's cell is
            null or no number, or lists differ in length.
    """
    with _open(path) as file:
        columns = _columns(file)
        features = base.choose_features(columns, roles, str(path))
        sources, order = _sources(columns, features)
        types = _types(file, sources)
        kinds = {name: _kind(column_type) for name, column_type in types.items()}
        for name, places in sources.items():
            if _is_list(types[name]) and places is None and kinds[name] is not object:
                what = "starts with an empty list, or holds none: it is no feature"
                hint = "fill the lists to one length, or leave the column out"
                raise InputError(f"{path}, column {name!r}", what, hint)
        levels = {
            name: LevelCodes()
            for name, kind in kinds.items()
            if (kind is str if roles.text is None else name in roles.text)
        }
        try:
            if levels or str in kinds.values() or object in kinds.values():
                _refuse_cells(path, file, kinds, roles)
            dtype = _dtype(file, kinds | dict.fromkeys(levels, str), roles)
            lists = {n: len(columns.lists[n]) for n, places in sources.items() if places}
            groups = _groups(path, file, [*sources, *roles.named.values()], lists)
            error = partial(_null_error, path)
            x, others = read_groups(groups, sources, roles, dtype, error, order, levels)
        except InputError:
            _refuse_cells(path, file, kinds, roles)
            raise
    values = {role: to_values(column) for role, column in others.items()}
    known = {name: codes.levels for name, codes in levels.items()}
    return Table.from_roles(x, path, values, columns=features, levels=known)


def _groups(
    path: Path, file: Any, names: Sequence[str], lists: Mapping[str, int]
) -> Iterable[Group]:
    """Groups of rows as the file has them or, where lists have to be of a length, of batches."""
    if lists:
        width = len(names) + sum(lists.values())
        batches = file.iter_batches(batch_size=rows_per_chunk(width), columns=[*names])
        return _check_lists(path, batches, lists)
    return (
        (file.metadata.row_group(group).num_rows, partial(file.read_row_group, group))
        for group in range(file.num_row_groups)
    )


def _refuse_cells(path: Path, file: Any, kinds: Mapping[str, Any], roles: ColumnRoles) -> None:
    """Go through all columns, and refuse those whose cells are no numbers: all in one error."""
    types = _types(file, kinds)
    # Lists of numbers have checks of their own.
    names = [name for name, kind in kinds.items() if kind is object or not _is_list(types[name])]
    cells = {name: Cells(name) for name in names}
    for rows, read in _groups(path, file, names, {}):
        step = rows_per_chunk(rows)
        for first in range(0, len(names), step):
            table = read(names[first : first + step])
            for name in table.column_names:
                column = table.column(name)
                if kinds[name] is str or name in (roles.text or ()):
                    cells[name].count_texts(column)
                elif kinds[name] is object:
                    cells[name].count_others(column, str(column.type))
                else:
                    is_null = "the cell is null" if column.null_count else None
                    cells[name].count_numbers(to_numbers(column).astype(np.float64), is_null)

    def location(row: int, index: int) -> str:
        return f"{path}, row {row}, column {names[index]!r}"

    refuse_obstacles(cells.values(), roles, location)


def _read_values(path: Path, roles: ColumnRoles) -> NDArray[Any]:
    with _open(path) as file:
        name = base.only_one(path, _columns(file).without([]), "column")
        column = file.read(columns=[name]).column(name)
        if column.null_count:
            row = [cell.is_valid for cell in column].index(False)
            raise _null_error(path, row, name, "cell")
        return to_values(column)


def _null_error(path: Path, row: int, name: str, role: str) -> InputError:
    where = f"{path}, row {row}, column {name!r}"
    return InputError(where, f"the {role} is null", base.DROP_ROWS)


def _check_lists(path: Path, batches: Iterable[Any], lengths: Mapping[str, int]) -> Iterator[Group]:
    """Batches as groups of rows, each checked for lists of another length than the first.

    Raises:
        InputError: at the first that is.
    """
    import pyarrow.compute as pc

    row = 0
    for batch in batches:
        for name, length in lengths.items():
            found = pc.list_value_length(batch.column(name))
            if (odd := pc.index(pc.not_equal(found, length), True).as_py()) >= 0:
                what = f"holds a list of {found[odd].as_py()} numbers, those before it of {length}"
                hint = "cut or pad the lists to one length, or name the columns to use"
                raise InputError(f"{path}, row {row + odd}, column {name!r}", what, hint)
        yield whole_group(batch)
        row += len(batch)


def _sources(
    columns: Columns, features: tuple[str, ...]
) -> tuple[dict[str, list[int] | None], NDArray[np.int64] | None]:
    """Columns that hold the features with the places of lists, and the order of the features.

    The order is None where it is that of the columns.
    """
    in_list = {
        name: (column, place)
        for column, names in columns.lists.items()
        for place, name in enumerate(names)
    }
    sources: dict[str, list[int] | None] = {}
    for name in features:
        column, place = in_list.get(name, (name, None))
        if place is None:
            sources[column] = None
        else:
            sources[column] = [*(sources.get(column) or []), place]
    read = [
        columns.lists[column][place] if places is not None else column
        for column, places in sources.items()
        for place in places or [0]
    ]
    position = {name: index for index, name in enumerate(read)}
    order = np.array([position[name] for name in features])
    return sources, None if read == list(features) else order


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with reading(path, "is damaged, truncated or not parquet"), pq.ParquetFile(path) as file:
        yield file


def _columns(file: Any) -> Columns:
    schema, lists = file.schema_arrow, {}
    index = (schema.pandas_metadata or {}).get("index_columns", [])
    for column in schema:
        if _is_list(column.type) and _is_number(column.type.value_type):
            length = _list_length(file, column)
            lists[column.name] = tuple(f"{column.name}_{place}" for place in range(length))
    names = tuple(name for column in schema.names for name in lists.get(column) or (column,))
    # An index that is a range is stored as a mapping, not as a column.
    in_file = frozenset(name for name in index if isinstance(name, str))
    return Columns(names, in_file, {column: names for column, names in lists.items() if names})


def _list_length(file: Any, column: Any) -> int:
    """Length of a column's lists: of the first that is not null, 0 where there is none."""
    from pyarrow import types

    if types.is_fixed_size_list(column.type):
        return int(column.type.list_size)
    batches = file.iter_batches(batch_size=1, columns=[column.name])
    return next((len(cell) for batch in batches for cell in batch[0] if cell.is_valid), 0)


def _types(file: Any, names: Iterable[str]) -> dict[str, Any]:
    """Arrow types of columns by name."""
    schema = file.schema_arrow  # made anew of all columns each time that it is asked for
    return {name: schema.field(name).type for name in names}


def _is_list(column_type: Any) -> bool:
    import pyarrow as pa

    return isinstance(column_type, pa.ListType | pa.LargeListType | pa.FixedSizeListType)


def _is_number(column_type: Any) -> bool:
    from pyarrow import types

    kinds = types.is_integer, types.is_floating, types.is_boolean, types.is_decimal
    return any(is_kind(column_type) for is_kind in kinds)


def _kind(column_type: Any) -> Any:
    """NumPy dtype of a column of numbers or lists of numbers; ``str`` of one of text, or object."""
    from pyarrow import types

    number = column_type.value_type if _is_list(column_type) else column_type
    if types.is_decimal(number):
        return np.dtype(np.float64)
    if _is_number(number):
        return np.dtype(number.to_pandas_dtype())
    are_texts = types.is_string, types.is_large_string, types.is_dictionary
    return str if any(is_text(column_type) for is_text in are_texts) else object


def _dtype(file: Any, kinds: Mapping[str, Any], roles: ColumnRoles) -> np.dtype[Any]:
    """Dtype of the features: float64 where integers may be missing, or there is text."""
    dtype = np.result_type(*(np.float64 if kind is str else kind for kind in kinds.values()))
    if not roles.missing or dtype.kind == "f":
        return dtype
    groups = (file.metadata.row_group(group) for group in range(file.num_row_groups))
    statistics = (
        group.column(index).statistics
        for group in groups
        for index in range(group.num_columns)
        if group.column(index).path_in_schema.partition(".")[0] in kinds
    )
    is_complete = all(one is not None and one.null_count == 0 for one in statistics)
    return dtype if is_complete else np.dtype(np.float64)


def _read_columns(path: Path, roles: ColumnRoles) -> Columns:
    with _open(path) as file:
        return _columns(file)


PARQUET = base.Reader(
    name="parquet",
    file_names=".parquet",
    pattern=re.compile(r"\.(parquet|pq)$"),
    layout="columns",
    read=read_parquet_table,
    values=_read_values,
    columns=_read_columns,
)
