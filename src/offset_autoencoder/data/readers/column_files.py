"""Files of named columns, read by Arrow: csv with a header, plain or gzipped, and parquet.

Of a csv Arrow reads a block at a time, quickly, but locates errors
poorly: a file that it refuses, or that holds a cell which is no number, is read once more, row by
row, to find the place. Of a parquet it reads a row group at a time, and of that some columns at a
time.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.schema import SPLITS
from offset_autoencoder.data.readers.base import (
    ColumnRoles,
    Columns,
    Reader,
    RoleKeys,
    Table,
    choose_features,
)
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import TempArray, chunks, rows_per_chunk

_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_INTEGER = "^(0|-?[1-9][0-9]{0,17})$"  # as Python writes it: "007" would not come back as it was
_BLOCK = 1 << 22  # bytes of text that Arrow reads at once, 30 times ahead: no row may be longer

Batch = tuple[NDArray[Any], Callable[[str], Any]]
"""Features of some rows ``(rows, D)``, and function from the name of another column to it."""


def _nulls(columns: Iterable[Any], first: int = 0) -> list[tuple[int, int]]:
    """First row that is null, and position, of each Arrow column that has one."""
    import pyarrow.compute as pc

    return [
        (pc.index(pc.is_null(column), True).as_py(), position)
        for position, column in enumerate(columns, first)
        if column.null_count
    ]


def _collect(
    batches: Iterable[Batch], features: tuple[str, ...], roles: ColumnRoles
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Features ``(n, D)`` of all batches, and the Arrow column ``(n,)`` of each other role."""
    import pyarrow as pa

    x, dtype, rows = TempArray(), np.dtype(np.float64), 0
    others: dict[str, list[Any]] = {role: [] for role in roles.named}
    for block, column in batches:
        for _, chunk in chunks(block):
            x.write(chunk)
        dtype, rows = block.dtype, rows + len(block)
        for role, name in roles.named.items():
            others[role] += getattr(column(name), "chunks", [column(name)])
    columns = {role: pa.chunked_array(c, None if c else pa.string()) for role, c in others.items()}
    return x.array(dtype, (rows, len(features))), columns


def _roles_of(features: tuple[str, ...], roles: ColumnRoles) -> dict[str, str]:
    """Columns to read, features first, and what a cell of each is, for error texts."""
    return dict.fromkeys(features, "cell") | {name: role for role, name in roles.named.items()}


def _to_numbers(column: Any) -> NDArray[Any]:
    import pyarrow as pa

    numbers = column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column
    return np.asarray(numbers.to_numpy(zero_copy_only=False))


def _to_values(column: Any) -> NDArray[Any]:
    """Convert an Arrow column of labels, ids or splits, no nulls, to numbers or text ``(n,)``."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        texts = [np.array(chunk.to_pylist(), dtype=np.str_) for chunk in column.chunks]
        return np.concatenate([np.empty(0, np.str_), *texts])
    return np.asarray(column.to_numpy())


def read_csv_table(path: Path, roles: ColumnRoles) -> Table:
    """Read features, and labels, ids and splits where they are assigned, from a csv with a header.

    Features are float64. Labels and ids are text, and integers where every one is. Empty lines
    do not count.

    Raises:
        InputError: where the header is missing, a column is missing, a row has too few or
            too many cells, or a feature's cell is empty or no number.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    header = _header(path)
    features = choose_features(Columns(header), roles, str(path))
    names = _roles_of(features, roles)
    locate_error = partial(_locate_error, path, header, features, roles.keys)

    def batches() -> Iterator[Batch]:
        rows = 0
        for batch in _csv_batches(path, features, list(names)):
            if nulls := _nulls(batch.columns):
                row, position = min(nulls)
                if position < len(features):
                    raise locate_error("a cell is empty")
                name, row = list(names)[position], rows + row
                where = f"{path}, row {row} (line {line_of(path, row)}), column {name!r}"
                raise InputError(where, f"the {names[name]} is empty")
            rows += len(batch)
            columns = [_to_numbers(batch.column(name)) for name in features]
            yield np.column_stack(columns), batch.column

    try:
        x, columns = _collect(batches(), features, roles)
    except (pa.ArrowException, OSError) as error:
        raise locate_error(error) from None
    for role, texts in columns.items():
        if pc.all(pc.match_substring_regex(texts, _INTEGER)).as_py():
            columns[role] = texts.cast(pa.int64())
    values = {role: _to_values(column) for role, column in columns.items()}
    return Table.from_roles(x, path, values, columns=features, line_of=partial(line_of, path))


def _csv_batches(path: Path, features: tuple[str, ...], names: list[str]) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import csv as arrow

    types = dict.fromkeys(names, pa.string()) | dict.fromkeys(features, pa.float64())
    with pa.input_stream(path, compression="gzip" if _is_gzipped(path) else None) as stream:
        yield from arrow.open_csv(
            stream,
            read_options=arrow.ReadOptions(block_size=_BLOCK),
            parse_options=arrow.ParseOptions(newlines_in_values=True),
            convert_options=arrow.ConvertOptions(
                include_columns=names,
                column_types=types,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )


def line_of(path: Path, row: int) -> int:
    """Line (from 1) at which a row (from 0, the header and empty lines not counted) ends."""
    for index, (line, _) in enumerate(_rows(path)):
        if index == row + 1:
            return line
    raise IndexError(row)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with _open(path) as stream:
            reader = csv.reader(stream)
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
    except UnicodeDecodeError as error:
        raise InputError(str(path), f"is not UTF-8 text: {error}", "save it as UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}", f"is not csv: {error}") from None
    except (OSError, EOFError, zlib.error) as error:
        what = f"is a damaged or truncated gzip: {error}"
        raise InputError(str(path), what, "write or copy it again") from None


def _is_gzipped(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _open(path: Path) -> TextIO:
    if _is_gzipped(path):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _header(path: Path) -> tuple[str, ...]:
    _, header = next(_rows(path), (0, []))
    where = f"{path}, line 1"
    if not header:
        raise InputError(str(path), "is empty, expected a header and rows")
    if len(header) == 1 and (other := re.search(r"[;\t|]", header[0])):
        raise InputError(where, f"cells are separated by {other[0]!r}, expected commas")
    # Tables without names are often written with their columns' numbers as header.
    numbered = [[str(i + start) for i in range(len(header))] for start in (0, 1)]
    if all(_NUMBER.fullmatch(name) for name in header) and header not in numbered:
        raise InputError(
            where, f"looks like data ({header[0]}, ...), expected a header", "name the columns"
        )
    return tuple(header)


def _locate_error(
    path: Path,
    header: tuple[str, ...],
    features: tuple[str, ...],
    keys: RoleKeys,
    reason: Exception | str,
) -> InputError:
    """Error of the first row that has not one cell per column, or a feature that is no number."""
    positions = [(name, header.index(name)) for name in features]
    for row, (line, cells) in enumerate(_rows(path), start=-1):
        if len(cells) != len(header):
            return InputError(
                f"{path}, line {line}",
                f"has {len(cells)} cells, the header has {len(header)}",
                "the file may be truncated, or a cell with a comma lacks its quotes",
            )
        for name, position in positions if row >= 0 else ():
            if not _NUMBER.fullmatch(cell := cells[position]):
                hint = f"fix it, or name the columns to use in {keys.all}"
                if cell.strip() in SPLITS and keys.split is not None:
                    hint = f"name the column in {keys.split} if it names the splits; else {hint}"
                return InputError(
                    f"{path}, row {row} (line {line}), column {name!r}",
                    f"{cell!r} is not a finite number" if cell.strip() else "the cell is empty",
                    hint,
                )
    return InputError(str(path), f"is not csv: {reason}")


CSV = Reader(
    "csv",
    ".csv, .csv.gz",
    re.compile(r"\.csv(\.gz)?$"),
    "columns",
    read_csv_table,
    lambda path: Columns(_header(path)),
)


def read_parquet_table(path: Path, roles: ColumnRoles) -> Table:
    """Read features, and labels, ids and splits where they are assigned, from a parquet file.

    An index that pandas stored beside the columns is not a feature, unless it is named.

    Raises:
        InputError: where the file is damaged, a column is missing, or a feature's cell is
            null or no number.
    """
    with _open_parquet(path) as file:
        features = choose_features(_columns(file.schema_arrow), roles, str(path))
        types = [_number_type(path, file, name, roles.keys) for name in features]
        batches = _row_groups(path, file, _roles_of(features, roles), np.result_type(*types))
        x, columns = _collect(batches, features, roles)
    values = {role: _to_values(column) for role, column in columns.items()}
    return Table.from_roles(x, path, values, columns=features)


def _row_groups(
    path: Path, file: Any, names: dict[str, str], dtype: np.dtype[Any]
) -> Iterator[Batch]:
    """Batches of a parquet file, a row group each; of a group some columns are read at a time.

    A page of each column at once may be more than memory holds.
    """
    width, row = sum(role == "cell" for role in names.values()), 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        step, by_column = rows_per_chunk(rows), TempArray()
        nulls: list[tuple[int, int]] = []
        others: dict[str, Any] = {}
        for first in range(0, len(names), step):
            some = list(names)[first : first + step]
            table = file.read_row_group(group, columns=some)
            nulls += _nulls((table[name] for name in some), first)
            for name in some if not nulls else ():
                if names[name] == "cell":
                    by_column.write(_to_numbers(table[name]).astype(dtype, copy=False))
                else:
                    others[name] = table[name]
        if nulls:
            null, position = min(nulls)
            name, role = list(names.items())[position]
            raise InputError(f"{path}, row {row + null}, column {name!r}", f"the {role} is null")
        yield by_column.array(dtype, (rows, width), order="F"), others.__getitem__
        row += rows


def _parquet_columns(path: Path) -> Columns:
    with _open_parquet(path) as file:
        return _columns(file.schema_arrow)


@contextlib.contextmanager
def _open_parquet(path: Path) -> Iterator[Any]:
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


def _number_type(path: Path, file: Any, name: str, keys: RoleKeys) -> np.dtype[Any]:
    """Dtype that a column of numbers is read as."""
    from pyarrow import types

    column_type = file.schema_arrow.field(name).type
    if types.is_decimal(column_type):
        return np.dtype(np.float64)
    are_numbers = types.is_integer, types.is_floating, types.is_boolean
    if any(is_number(column_type) for is_number in are_numbers):
        return np.dtype(column_type.to_pandas_dtype())
    rows = file.metadata.num_rows
    first = file.read_row_group(0, columns=[name])[name][0].as_py() if rows else None
    raise InputError(
        f"{path}, row 0, column {name!r}",
        f"{first!r} is not a number: the column's type is {column_type}",
        f"name the columns to use in {keys.all}",
    )


PARQUET = Reader(
    "parquet",
    ".parquet",
    re.compile(r"\.(parquet|pq)$"),
    "columns",
    read_parquet_table,
    _parquet_columns,
)
