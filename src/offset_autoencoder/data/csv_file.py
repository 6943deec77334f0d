"""csv files with a header, plain or gzipped, read by Arrow; what is wrong with them, found by line.

Arrow reads quickly, a block at a time, but places errors poorly. So a file that it refuses, or
that holds a cell which is no number, is gone through once more, row by row, to say where.
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

from offset_autoencoder.config import SPLITS
from offset_autoencoder.data.columns import as_integers, choose_features, to_matrix, to_values
from offset_autoencoder.data.table import Roles, Table
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.temp_arrays import TempArray

_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_BLOCK = 1 << 22  # bytes of text that Arrow reads at once, 30 times ahead: no row may be longer


def read_csv_table(path: Path, roles: Roles) -> Table:
    """Read features, and labels, ids and splits where they are named, from a csv with a header.

    Features are float64. Labels and ids are text, and integers where every one is. Empty lines
    do not count.

    Raises:
        InputError: where the header is missing, a column is missing, a row has too few or
            too many cells, or a feature's cell is empty or no number.
    """
    import pyarrow as pa

    header = _header(path)
    features = choose_features(header, roles, str(path))
    others = roles.named
    spool, rows = TempArray(), 0
    texts: dict[str, list[NDArray[Any]]] = {part: [] for part in others}
    try:
        for batch in _batches(path, features, tuple(others.values())):
            columns = [batch.column(name) for name in features]
            if any(column.null_count for column in columns):
                raise _misplaced(path, header, features, "a cell is empty")
            spool.write(to_matrix(columns))
            rows += len(batch)
            for part, name in others.items():
                texts[part].append(to_values(batch.column(name)))
    except (pa.ArrowException, OSError) as error:
        raise _misplaced(path, header, features, error) from None
    values = {part: np.concatenate([np.empty(0, "U1"), *blocks]) for part, blocks in texts.items()}
    for part, array in values.items():
        if len(empty := (array == "").nonzero()[0]):
            place = f"{path}, row {empty[0]} (line {line_of(path, int(empty[0]))})"
            raise InputError(f"{place}, column {others[part]!r}", f"the {part} is empty")
        if part != "split":
            values[part] = as_integers(array)
    return Table(
        x=spool.array(np.dtype(np.float64), (rows, len(features))),
        origin=str(path),
        labels=values.get("label"),
        ids=values.get("id"),
        splits=values.get("split"),
        columns=features,
        line_of=partial(line_of, path),
    )


def _batches(path: Path, features: tuple[str, ...], others: tuple[str, ...]) -> Iterator[Any]:
    """Arrow's record batches, features as float64 and other columns as text."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    types = dict.fromkeys(features, pa.float64()) | dict.fromkeys(others, pa.string())
    with pa.input_stream(path, compression="gzip" if _is_zipped(path) else None) as stream:
        yield from arrow.open_csv(
            stream,
            read_options=arrow.ReadOptions(block_size=_BLOCK),
            parse_options=arrow.ParseOptions(newlines_in_values=True),
            convert_options=arrow.ConvertOptions(
                include_columns=list(types), column_types=types, strings_can_be_null=False
            ),
        )


def line_of(path: Path, row: int) -> int:
    """The line (from 1) at which a row (from 0, the header and empty lines not counted) ends."""
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


def _is_zipped(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _open(path: Path) -> TextIO:
    if _is_zipped(path):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _header(path: Path) -> list[str]:
    _, header = next(_rows(path), (0, []))
    where = f"{path}, line 1"
    if not header:
        raise InputError(str(path), "is empty, expected a header and rows")
    if len(header) == 1 and (other := re.search(r"[;\t|]", header[0])):
        raise InputError(where, f"cells are separated by {other[0]!r}, expected commas")
    # Tables without names are often written with their columns' numbers as header.
    counted = [[str(i + start) for i in range(len(header))] for start in (0, 1)]
    if all(_NUMBER.fullmatch(name) for name in header) and header not in counted:
        raise InputError(
            where, f"looks like data ({header[0]}, ...), expected a header", "name the columns"
        )
    return header


def _misplaced(
    path: Path, header: list[str], features: tuple[str, ...], reason: Exception | str
) -> InputError:
    """What is wrong with the first row that has not the header's cells, or a feature no number."""
    places = [(name, header.index(name)) for name in features]
    for row, (line, cells) in enumerate(_rows(path), start=-1):
        if len(cells) != len(header):
            return InputError(
                f"{path}, line {line}",
                f"has {len(cells)} cells, the header has {len(header)}",
                "the file may be truncated, or a cell with a comma lacks its quotes",
            )
        if row < 0:
            continue
        for name, place in places:
            if not _NUMBER.fullmatch(cell := cells[place]):
                return _no_number(path, row, line, name, cell)
    return InputError(str(path), f"is not csv: {reason}")


def _no_number(path: Path, row: int, line: int, name: str, cell: str) -> InputError:
    mend = "mend it, or name the columns to use in data.features, data.label and data.id"
    if cell.strip() in SPLITS:
        mend = f"name the column in data.split if it tells the splits; else {mend}"
    return InputError(
        f"{path}, row {row} (line {line}), column {name!r}",
        f"{cell!r} is not a finite number" if cell.strip() else "the cell is empty",
        mend,
    )
