"""The project's own csv tables: one writer, one reader; the same bytes for the same rows."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import atomic_write, write_text

_HINT = "run dvc repro"


class Row(dict[str, str]):
    """A row as read, a cell per column, and where it stands: ``"reports/runs.csv, row 3"``."""

    def __init__(self, cells: Iterable[tuple[str, str]], where: str) -> None:
        super().__init__(cells)
        self.where = where

    def number(self, column: str) -> float:
        """A cell as a number.

        Raises:
            InputError: where it is none, naming file, row and column.
        """
        try:
            return float(cell := self.get(column, ""))
        except ValueError:
            what = f"expected a number, got {cell!r}"
            raise InputError(f"{self.where}, column {column}", what) from None

    def numbers_after(self, column: str) -> dict[str, float]:
        """The cells that follow a column, unless empty.

        Raises:
            InputError: where one is no number.
        """
        following = list(self)[list(self).index(column) + 1 :]
        return {name: self.number(name) for name in following if self[name]}


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as csv, atomically; see :func:`csv_text`."""
    write_text(path, csv_text(columns, rows))


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as csv: a header, line feeds, floats in full.

    Floats are written with as many digits as give the same float (or NumPy float32) back, infinity
    as ``inf``, and NaN as an empty cell, or as ``nan`` where it is a float32. Empty are also None
    and a column that a row lacks.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    return text.getvalue()


def write_parquet(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write columns (n,) as parquet, atomically; the same bytes for the same columns."""
    import pyarrow as pa
    from pyarrow import parquet

    numbers = [name for name, values in columns.items() if values.dtype.kind == "f"]
    with atomic_write(path) as stream:
        parquet.write_table(
            pa.table({name: pa.array(values) for name, values in columns.items()}),
            stream,
            compression="zstd",
            use_dictionary=[name for name in columns if name not in numbers],
            use_byte_stream_split=numbers,
        )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value))
    return str(value)


def read_csv(path: Path, required: Sequence[str] = ()) -> list[Row]:
    """Read a csv file with a header as one mapping of column to cell per row, all text.

    Raises:
        InputError: where the file is missing, no csv, lacks a required column, or where a row has
            not one cell per column.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            header, *rows = [row for row in csv.reader(stream, strict=True) if row] or [[]]
    except FileNotFoundError:
        raise InputError(str(path), "no such file", _HINT) from None
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise InputError(str(path), f"is not a table: {error}", _HINT) from None
    for column in required:
        if column not in header:
            raise InputError(str(path), f"has no column {column!r}", _HINT)
    read = []
    for number, row in enumerate(rows, start=1):
        where = f"{path}, row {number}"
        if len(row) != len(header):
            raise InputError(where, f"has {len(row)} cells, expected {len(header)}", _HINT)
        read.append(Row(zip(header, row, strict=True), where))
    return read


def read_numbers(path: Path, required: Sequence[str] = ()) -> dict[str, NDArray[np.float64]]:
    """Read a csv file of numbers alone, an array (rows,) per column.

    Raises:
        InputError: where the file is missing, lacks a required column, or a cell is no number.
    """
    try:
        header, *rows = path.read_text(encoding="utf-8").splitlines() or [""]
        if not rows:
            raise ValueError("it has no rows")
        values = np.loadtxt(rows, delimiter=",", comments=None, ndmin=2)
    except FileNotFoundError:
        raise InputError(str(path), "no such file", _HINT) from None
    except (OSError, ValueError) as error:
        raise InputError(str(path), f"is not a table of numbers: {error}", _HINT) from None
    columns = header.split(",")
    if len(columns) != values.shape[1] or not set(columns).issuperset(required):
        what = f"has the columns {header!r}, expected {','.join(required)}"
        raise InputError(str(path), what, _HINT)
    return dict(zip(columns, values.T, strict=True))
