"""CSV tables of the project, read as text cells."""

from __future__ import annotations

import csv
from pathlib import Path

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
