"""csv files with a header, plain or gzipped, read by Arrow; errors are located by line.

Arrow reads quickly, a block at a time, but locates errors poorly. So a file that it refuses, or
that holds a cell which is no number, is read once more, row by row, to find the place.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator
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
    to_matrix,
    to_values,
)
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import TempArray

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
            matrix.write(to_matrix(columns))
            rows += len(batch)
            for role, name in roles.named.items():
                blocks[role].append(to_values(batch.column(name)))
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
