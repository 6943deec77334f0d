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
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.data.readers import base
from offset_autoencoder.data.readers.base import ColumnRoles, Columns, Table
from offset_autoencoder.data.readers.cells import (
    Cells,
    LevelCodes,
    plain,
    refuse_obstacles,
    to_numbers,
)
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import TempArray, chunks, rows_per_chunk
from offset_autoencoder.io.files import damaged

_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_INTEGER = "^(0|-?[1-9][0-9]{0,17})$"  # as Python writes it: "007" would not come back as it was
_BLOCK = 1 << 22  # bytes of text that Arrow reads at once, 30 times ahead: no row may be longer

Group = tuple[int, Callable[[list[str]], Any]]
"""Some rows of a file: their number, and function from names of columns to an Arrow table."""


Convert = Callable[[Any], NDArray[Any]]
"""Function from an Arrow column to its numbers ``(n,)``, NaN where a cell is missing."""


def _read_groups(
    groups: Iterable[Group],
    features: Mapping[str, Convert],
    roles: ColumnRoles,
    dtype: np.dtype[Any],
    null_error: Callable[[int, str, str], InputError],
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Features ``(n, D)`` of all groups of rows, and the Arrow column ``(n,)`` of each other role.

    Of a large group some columns are read at a time: a page of each column of a parquet at once
    may be more than memory holds. ``null_error`` makes the error of the first row that holds
    nothing in a column, where it must, from row, column and its role or ``"cell"``.
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
                if column.null_count and (name in others or not roles.missing):
                    nulls.append((pc.index(pc.is_null(column), True).as_py(), position))
                elif name in others:
                    others[name] += getattr(column, "chunks", [column])
                else:
                    by_column.write(features[name](column).astype(dtype, copy=False))
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

    has_no_dtype = pa.types.is_decimal(column.type) or (
        pa.types.is_boolean(column.type) and column.null_count
    )
    numbers = column.cast(pa.float64()) if has_no_dtype else column
    return np.asarray(numbers.to_numpy(zero_copy_only=False))


def _to_values(column: Any) -> NDArray[Any]:
    """Convert an Arrow column of labels, ids or splits, no nulls, to numbers or text ``(n,)``."""
    import pyarrow as pa

    column = plain(column)
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

    def location(row: int, name: str) -> str:
        return f"{path}, row {row} (line {line_of(path, row)}), column {name!r}"

    def null_error(row: int, name: str, role: str) -> InputError:
        return InputError(location(row, name), f"the {role} is empty")

    def read(converters: Mapping[str, Convert]) -> tuple[NDArray[Any], dict[str, Any]]:
        are_text = [name for name in features if converters[name] is not _to_numbers]
        groups = _csv_blocks(path, features, roles, are_text)
        return _read_groups(groups, converters, roles, np.dtype(np.float64), null_error)

    levels = {name: LevelCodes() for name in features if name in (roles.text or ())}
    try:
        try:
            x, columns = read({name: levels.get(name, _to_numbers) for name in features})
        # Arrow met what is no number, or a cell that must not be missing is: see what all are.
        except (pa.ArrowException, OSError, InputError):
            cells = [Cells(name) for name in features]
            for _, group in _csv_blocks(path, features, roles, features):
                for column in cells:
                    column.count_texts(group(features).column(column.column))
            refuse_obstacles(cells, roles, lambda row, index: location(row, features[index]))
            levels = {
                name: LevelCodes()
                for name, column in zip(features, cells, strict=True)
                if (column.is_text if roles.text is None else name in roles.text)
            }
            x, columns = read({name: levels.get(name, to_numbers) for name in features})
    except (pa.ArrowException, OSError) as error:
        raise _locate_error(path, header, error) from None
    for role, texts in columns.items():
        if pc.all(pc.match_substring_regex(texts, _INTEGER)).as_py():
            columns[role] = texts.cast(pa.int64())
    values = {role: _to_values(column) for role, column in columns.items()}
    return Table.from_roles(
        x,
        path,
        values,
        columns=features,
        line_of=partial(line_of, path),
        levels={name: codes.levels for name, codes in levels.items()},
    )


def _csv_blocks(
    path: Path, features: Sequence[str], roles: ColumnRoles, are_text: Collection[str]
) -> Iterator[Group]:
    """Groups of rows; features are read as numbers or, where they are said to be, as text."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    types = {name: pa.string() if name in are_text else pa.float64() for name in features}
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


def _locate_error(path: Path, header: tuple[str, ...], reason: Exception) -> InputError:
    """Error of the first row that has not one cell per column."""
    for line, cells in _rows(path):
        if len(cells) != len(header):
            what = f"has {len(cells)} cells, the header has {len(header)}"
            hint = "the file may be truncated, or a cell with a comma lacks its quotes"
            return InputError(f"{path}, line {line}", what, hint)
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

    def location(row: int, name: str) -> str:
        return f"{path}, row {row}, column {name!r}"

    def null_error(row: int, name: str, role: str) -> InputError:
        return InputError(location(row, name), f"the {role} is null")

    with _open_parquet(path) as file:
        features = base.choose_features(_columns(file.schema_arrow), roles, str(path))
        kinds = {name: _kind(file.schema_arrow.field(name).type) for name in features}
        levels = {
            name: LevelCodes()
            for name in features
            if (kinds[name] is str if roles.text is None else name in roles.text)
        }
        groups = [
            (file.metadata.row_group(group).num_rows, partial(file.read_row_group, group))
            for group in range(file.num_row_groups)
        ]
        is_refused = any(kinds[name] in (str, object) for name in features if name not in levels)
        try:
            if is_refused or levels:
                _refuse_parquet_obstacles(groups, kinds, roles, location)
            converters = {name: levels.get(name, _to_numbers) for name in features}
            dtype = _dtype(file, kinds | dict.fromkeys(levels, str), roles)
            x, columns = _read_groups(groups, converters, roles, dtype, null_error)
        except InputError:
            _refuse_parquet_obstacles(groups, kinds, roles, location)
            raise
    values = {role: _to_values(column) for role, column in columns.items()}
    known = {name: codes.levels for name, codes in levels.items()}
    return Table.from_roles(x, path, values, columns=features, levels=known)


def _refuse_parquet_obstacles(
    groups: Iterable[Group],
    kinds: Mapping[str, Any],
    roles: ColumnRoles,
    location: Callable[[int, str], str],
) -> None:
    """Go through all features, and refuse those that are no numbers: all in one error."""
    cells = {name: Cells(name) for name in kinds}
    for rows, read in groups:
        step = rows_per_chunk(rows)
        for first in range(0, len(kinds), step):
            table = read(list(kinds)[first : first + step])
            for name in table.column_names:
                column = table.column(name)
                if kinds[name] is str or (roles.text and name in roles.text):
                    cells[name].count_texts(column)
                elif kinds[name] is object:
                    cells[name].count_others(column, str(column.type))
                else:
                    is_null = "the cell is null" if column.null_count else None
                    cells[name].count_numbers(_to_numbers(column).astype(np.float64), is_null)
    names = list(kinds)
    refuse_obstacles(cells.values(), roles, lambda row, index: location(row, names[index]))


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


def _kind(column_type: Any) -> Any:
    """NumPy dtype of a column of numbers; ``str`` for one of text, and ``object`` for another."""
    from pyarrow import types

    if types.is_decimal(column_type):
        return np.dtype(np.float64)
    are_numbers = types.is_integer, types.is_floating, types.is_boolean
    if any(is_number(column_type) for is_number in are_numbers):
        return np.dtype(column_type.to_pandas_dtype())
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
        if group.column(index).path_in_schema in kinds
    )
    is_complete = all(one is not None and one.null_count == 0 for one in statistics)
    return dtype if is_complete else np.dtype(np.float64)


PARQUET = base.Reader(
    name="parquet",
    file_names=".parquet",
    pattern=re.compile(r"\.(parquet|pq)$"),
    layout="columns",
    read=read_parquet_table,
    columns=_parquet_columns,
)
