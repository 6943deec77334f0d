"""Files of named columns, read by Arrow: csv with a header, plain or gzipped, and parquet.

Of a csv Arrow reads a block at a time, quickly, but locates errors poorly: a file that it refuses,
or that holds a cell which is no number, is read once more, row by row, to find the place. Of a
parquet it reads a row group at a time, and of a large group some columns at a time.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.schema import SPLITS, SplitName
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
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_CONVERTED = 1 << 16  # texts at a time
_BLOCK = 1 << 22  # bytes of text that Arrow reads at once, 30 times ahead: no row may be longer


def read_csv_table(path: Path, roles: ColumnRoles, split: SplitName | None = None) -> Table:
    """Read features, and labels, ids and splits where they are assigned, from a csv with a header.

    Features are float64. Labels and ids are text, and integers where every one is. Empty lines
    do not count.

    Raises:
        InputError: where the header is missing, a column is missing, a row has too few or
            too many cells, or a feature's cell is empty or no number.
    """
    import pyarrow as pa

    header = _header(path)
    features = choose_features(Columns(header), roles, str(path))
    matrix, rows = TempArray(), 0
    blocks: dict[str, list[NDArray[Any]]] = {role: [] for role in roles.named}
    try:
        for batch in _batches(path, features, tuple(roles.named.values())):
            columns = [batch.column(name) for name in features]
            if any(column.null_count for column in columns):
                raise _locate_error(path, header, features, roles.keys, "a cell is empty")
            matrix.write(_to_matrix(columns))
            rows += len(batch)
            for role, name in roles.named.items():
                blocks[role].append(_to_values(batch.column(name)))
    except (pa.ArrowException, OSError) as error:
        raise _locate_error(path, header, features, roles.keys, error) from None
    values = {role: np.concatenate([np.empty(0, "U1"), *texts]) for role, texts in blocks.items()}
    for role, texts in values.items():
        if len(empty := (texts == "").nonzero()[0]):
            row = f"{path}, row {empty[0]} (line {line_of(path, int(empty[0]))})"
            raise InputError(f"{row}, column {roles.named[role]!r}", f"the {role} is empty")
        if role != "split":
            values[role] = _as_integers(texts)
    x = matrix.array(np.dtype(np.float64), (rows, len(features)))
    return Table.from_roles(x, path, values, columns=features, line_of=partial(line_of, path))


def _batches(path: Path, features: tuple[str, ...], others: tuple[str, ...]) -> Iterator[Any]:
    """Arrow record batches, features as float64 and other columns as text."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    types = dict.fromkeys(features, pa.float64()) | dict.fromkeys(others, pa.string())
    with pa.input_stream(path, compression="gzip" if _is_gzipped(path) else None) as stream:
        yield from arrow.open_csv(
            stream,
            read_options=arrow.ReadOptions(block_size=_BLOCK),
            parse_options=arrow.ParseOptions(newlines_in_values=True),
            convert_options=arrow.ConvertOptions(
                include_columns=list(types), column_types=types, strings_can_be_null=False
            ),
        )


def _as_integers(texts: NDArray[Any]) -> NDArray[Any]:
    """Convert text to int64 where every value is an integer as Python writes it.

    ``"007"`` is not: it would not come back as it was.
    """
    for start in range(0, len(texts), _CONVERTED):
        if not all(map(_INTEGER.fullmatch, texts[start : start + _CONVERTED].tolist())):
            return texts
    return texts.astype(np.int64)


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
        if row < 0:
            continue
        for name, position in positions:
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


def read_parquet_table(path: Path, roles: ColumnRoles, split: SplitName | None = None) -> Table:
    """Read features, and labels, ids and splits where they are assigned, from a parquet file.

    An index that pandas stored beside the columns is not a feature, unless it is named.

    Raises:
        InputError: where the file is damaged, a column is missing, or a feature's cell is
            null or no number.
    """
    with _open_parquet(path) as file:
        features = choose_features(_columns(file.schema_arrow), roles, str(path))
        values = {role: _values(path, file, role, name) for role, name in roles.named.items()}
        x = _matrix(path, file, features, roles.keys)
    return Table.from_roles(x, path, values, columns=features)


def read_parquet_columns(path: Path) -> Columns:
    """Read the columns of a parquet file.

    Raises:
        InputError: where the file is damaged.
    """
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


def _values(path: Path, file: Any, role: str, name: str) -> NDArray[Any]:
    """Labels, ids or splits of all rows."""
    blocks, rows = [], 0
    for group in range(file.num_row_groups):
        column = file.read_row_group(group, columns=[name])[name]
        if (null := _first_null(column)) is not None:
            raise InputError(f"{path}, row {rows + null}, column {name!r}", f"the {role} is null")
        blocks.append(_to_values(column))
        rows += len(column)
    return np.concatenate(blocks) if blocks else np.empty(0, dtype=np.str_)


def _matrix(path: Path, file: Any, features: Sequence[str], keys: RoleKeys) -> NDArray[Any]:
    """Features of all rows ``(n, D)``, one row group after the other."""
    dtype = _common_dtype([_field(path, file, name, keys) for name in features])
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
        first_nulls = [(_first_null(column), first + i) for i, column in enumerate(columns)]
        nulls += [(null, index) for null, index in first_nulls if null is not None]
        if nulls:
            continue
        if step == len(features):
            return _to_matrix(columns).astype(dtype, copy=False)
        for column in columns:
            by_column.write(_to_numbers(column).astype(dtype, copy=False))
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


def _to_matrix(columns: Sequence[Any]) -> NDArray[Any]:
    """Convert Arrow columns of numbers to one array, column by column.

    Args:
        columns: Arrow arrays of n integers, floats or booleans each, no nulls.

    Returns:
        ``(n, columns)`` in the smallest dtype that holds every column's values.
    """
    matrix = np.empty((len(columns[0]), len(columns)), dtype=_common_dtype(columns))
    for index, column in enumerate(columns):
        matrix[:, index] = _to_numbers(column)
    return matrix


def _common_dtype(columns: Sequence[Any]) -> np.dtype[Any]:
    """Smallest dtype that holds the values of Arrow columns, or of fields of a schema."""
    return np.result_type(*(np.dtype(column.type.to_pandas_dtype()) for column in columns))


def _to_numbers(column: Any) -> NDArray[Any]:
    """Convert an Arrow column of numbers or booleans, no nulls, to ``(n,)``."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        return column.to_numpy()
    return column.to_numpy(zero_copy_only=False)


def _to_values(column: Any) -> NDArray[Any]:
    """Convert an Arrow column of labels, ids or splits, no nulls, to numbers or text ``(n,)``."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array(column.to_pylist(), dtype=np.str_)
    return _to_numbers(column)


def _first_null(column: Any) -> int | None:
    """First row of an Arrow column that is null; None where none is."""
    import pyarrow.compute as pc

    return int(pc.index(pc.is_null(column), True).as_py()) if column.null_count else None
