"""CSV tables of the project, read as text cells."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from offset_autoencoder.config import Setting, SweepValue, format_value
from offset_autoencoder.errors import InputError


def read_table(path: Path, required: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Read a CSV file with a header.

    Args:
        path: The file.
        required: Columns that must be there.

    Returns:
        One mapping of column to cell for each row.

    Raises:
        InputError: where the file is missing, lacks a column, or a row has not one cell a column.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(str(path), "no such file", "'dvc repro' makes it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(path), f"cannot be read as UTF-8 text: {error}") from None
    header, *rows = csv.reader(text.splitlines()) if text.strip() else [[]]
    for column in required:
        if column not in header:
            raise InputError(str(path), f"has no column {column!r}", "'dvc repro' makes it anew")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise InputError(
                f"{path}, row {number}", f"has {len(row)} cells, expected {len(header)}"
            )
    return [dict(zip(header, row, strict=True)) for row in rows]


def rows_of(rows: Iterable[dict[str, str]], setting: Setting) -> list[dict[str, str]]:
    """The rows of a table that has a column ``model`` and one a swept key, of one setting."""
    return [
        row
        for row in rows
        if row.get("model") == setting.model
        and all(same_value(row.get(key, ""), value) for key, value in setting.sweep)
    ]


def number(path: Path, row: int, column: str, cell: str) -> float:
    """A cell as a number.

    Raises:
        InputError: where it is none, naming file, row and column.
    """
    try:
        return float(cell)
    except ValueError:
        raise InputError(
            f"{path}, row {row}, column {column}", f"expected a number, got {cell!r}"
        ) from None


def same_value(cell: str, value: SweepValue) -> bool:
    """Whether a cell says this swept value, however its table writes numbers and lists."""
    if cell == format_value(value) or cell == _plain(value) or (value is None and not cell):
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return float(cell) == value
    except ValueError:
        return False


def _plain(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
