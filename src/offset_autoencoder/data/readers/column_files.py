"""Files of named columns, read by Arrow: csv with a header, plain or gzipped, and parquet.

Of a csv Arrow reads a block at a time, quickly, but locates errors poorly: a file that it refuses,
or that holds a cell which is no number, is read once more, row by row, to find the place. Of a
parquet it reads a row group at a time, and of that some columns at a time.
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
from offset_autoencoder.data.readers import base
from offset_autoencoder.data.readers.base import ColumnRoles, Columns, Table
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import TempArray, chunks, rows_per_chunk
from offset_autoencoder.io.files import damaged

_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_INTEGER = "^(0|-?[1-9][0-9]{0,17})$"  # as Python writes it: "007" would not come back as it was
_BLOCK = 1 << 22  # bytes of text that Arrow reads at once, 30 times ahead: no row may be longer

Group = tuple[int, Callable[[list[str]], Any]]
"""Some rows of a file: their number, and function from names of columns to an Arrow table."""


def _read_groups(
    groups: Iterable[Group],
    features: tuple[str, ...],
    roles: ColumnRoles,
    dtype: np.dtype[Any],
    null_error: Callable[[int, str, str], InputError],
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Features ``(n, D)`` of all groups of rows, and the Arrow column ``(n,)`` of each other role.

    Of a large group some columns are read at a time: a page of each column of a parquet at once
    may be more than memory holds. ``null_error`` makes the error of the first row that holds
    nothing in a column, from row, column and its role or ``"cell"``.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    names = dict.fromkeys(features, "cell") | {name: role for role, name in roles.named.items()}
    others: dict[str, list[Any]] = {name: [] for name in roles.named.values()}
    x, row = TempArray(), 0
    for rows, read in groups:
        by_column, nulls, step = TempArray(), [], rows_per_chunk(rows)
        for first in range(0, len(names), step):
            some = list(names)[first : first + step]
            table = read(some)
            for position, name in enumerate(some, first):
                column = table.column(name)
                if column.null_count:
                    nulls.append((pc.index(pc.is_null(column), True).as_py(), position))
                elif name in others:
                    others[name] += getattr(column, "chunks", [column])
                else:
                    by_column.write(_to_numbers(column).astype(dtype, copy=False))
        if nulls:
            null, position = min(nulls)
            raise null_error(row + null, *list(names.items())[position])
        for _, chunk in chunks(by_column.array(dtype, (rows, len(features)), order="F")):
            x.write(chunk)
        row += rows
    columns = {
        role: pa.chunked_array(others[name], None if others[name] else pa.string())
        for role, name in roles.named.items()
    }
    return x.array(dtype, (row, len(features))), columns


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
    features = base.choose_features(Columns(header), roles, str(path))
    locate_error = partial(_locate_error, path, header, features, roles.keys)

    def null_error(row: int, name: str, role: str) -> InputError:
        if role == "cell":
            return locate_error("a cell is empty")
        where = f"{path}, row {row} (line {line_of(path, row)}), column {name!r}"
        return InputError(where, f"the {role} is empty")

    try:
        groups = _csv_blocks(path, features, roles)
        x, columns = _read_groups(groups, features, roles, np.dtype(np.float64), null_error)
    except (pa.ArrowException, OSError) as error:
        raise locate_error(error) from None
    for role, texts in columns.items():
        if pc.all(pc.match_substring_regex(texts, _INTEGER)).as_py():
            columns[role] = texts.cast(pa.int64())
    values = {role: _to_values(column) for role, column in columns.items()}
    return Table.from_roles(x, path, values, columns=features, line_of=partial(line_of, path))


def _csv_blocks(path: Path, features: tuple[str, ...], roles: ColumnRoles) -> Iterator[Group]:
    import pyarrow as pa
    from pyarrow import csv as arrow

    types = dict.fromkeys(features, pa.float64())
    types |= dict.fromkeys(roles.named.values(), pa.string())
    with pa.input_stream(path, compression="gzip" if _is_gzipped(path) else None) as stream:
        reader = arrow.open_csv(
            stream,
            read_options=arrow.ReadOptions(block_size=_BLOCK),
            parse_options=arrow.ParseOptions(newlines_in_values=True),
            convert_options=arrow.ConvertOptions(
                include_columns=list(types),
                column_types=types,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
        yield from ((len(batch), lambda names, batch=batch: batch) for batch in reader)


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
        raise damaged(path, f"is a damaged or truncated gzip: {error}") from None


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
        what = f"looks like data ({header[0]}, ...), expected a header"
        raise InputError(where, what, "name the columns")
    return tuple(header)


def _locate_error(
    path: Path,
    header: tuple[str, ...],
    features: tuple[str, ...],
    keys: base.RoleKeys,
    reason: Exception | str,
) -> InputError:
    """Error of the first row that has not one cell per column, or a feature that is no number."""
    positions = [(name, header.index(name)) for name in features]
    for row, (line, cells) in enumerate(_rows(path), start=-1):
        if len(cells) != len(header):
            what = f"has {len(cells)} cells, the header has {len(header)}"
            hint = "the file may be truncated, or a cell with a comma lacks its quotes"
            return InputError(f"{path}, line {line}", what, hint)
        for name, position in positions if row >= 0 else ():
            if not _NUMBER.fullmatch(cell := cells[position]):
                hint = f"fix it, or name the columns to use in {keys.all}"
                if cell.strip() in SPLITS and keys.split is not None:
                    hint = f"name the column in {keys.split} if it names the splits; else {hint}"
                what = f"{cell!r} is not a finite number" if cell.strip() else "the cell is empty"
                return InputError(f"{path}, row {row} (line {line}), column {name!r}", what, hint)
    return InputError(str(path), f"is not csv: {reason}")


CSV = base.Reader(
    name="csv",
    file_names=".csv, .csv.gz",
    pattern=re.compile(r"\.csv(\.gz)?$"),
    layout="columns",
    read=read_csv_table,
    columns=lambda path: Columns(_header(path)),
)


def read_parquet_table(path: Path, roles: ColumnRoles) -> Table:
    """Read features, and labels, ids and splits where they are assigned, from a parquet file.

    An index that pandas stored beside the columns is not a feature, unless it is named.

    Raises:
        InputError: where the file is damaged, a column is missing, or a feature's cell is
            null or no number.
    """

    def null_error(row: int, name: str, role: str) -> InputError:
        return InputError(f"{path}, row {row}, column {name!r}", f"the {role} is null")

    with _open_parquet(path) as file:
        features = base.choose_features(_columns(file.schema_arrow), roles, str(path))
        dtype = np.result_type(*(_number_type(path, file, name, roles.keys) for name in features))
        groups = (
            (file.metadata.row_group(group).num_rows, partial(file.read_row_group, group))
            for group in range(file.num_row_groups)
        )
        x, columns = _read_groups(groups, features, roles, dtype, null_error)
    values = {role: _to_values(column) for role, column in columns.items()}
    return Table.from_roles(x, path, values, columns=features)


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
        raise damaged(path, f"is damaged, truncated or not parquet: {error}") from None


def _columns(schema: Any) -> Columns:
    index = (schema.pandas_metadata or {}).get("index_columns", [])
    # An index that is a range is stored as a mapping, not as a column.
    return Columns(tuple(schema.names), frozenset(name for name in index if isinstance(name, str)))


def _number_type(path: Path, file: Any, name: str, keys: base.RoleKeys) -> np.dtype[Any]:
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
    what = f"{first!r} is not a number: the column's type is {column_type}"
    hint = f"name the columns to use in {keys.all}"
    raise InputError(f"{path}, row 0, column {name!r}", what, hint)


PARQUET = base.Reader(
    name="parquet",
    file_names=".parquet",
    pattern=re.compile(r"\.(parquet|pq)$"),
    layout="columns",
    read=read_parquet_table,
    columns=_parquet_columns,
)
