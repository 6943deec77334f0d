"""What every raw table must be, whatever it comes from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.schema import SPLITS
from offset_autoencoder.data.table import Table
from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.io.arrays import ConcatenatedRows, Matrix, chunks

_NOT_NUMBERS = {
    "c": "complex numbers",
    "U": "text",
    "S": "text",
    "O": "Python objects",
    "V": "records",
    "M": "dates",
    "m": "time spans",
}


def check_features(table: Table) -> None:
    """Refuse features that are not a finite number in each of (samples, features) cells.

    Raises:
        InputError: for a wrong dtype or shape, no samples, no features, NaN or infinity (the
            first row, and in it the first column, named).
    """
    x = table.x
    if x.dtype.kind in _NOT_NUMBERS:
        raise InputError(
            table.origin, f"holds {_NOT_NUMBERS[x.dtype.kind]} ({x.dtype}), expected numbers"
        )
    if x.ndim < 2:
        raise InputError(
            table.origin, f"has shape {x.shape}, expected (samples, features)", "reshape it"
        )
    if not len(x):
        raise InputError(table.origin, "holds no samples")
    if not x.size:
        raise InputError(table.origin, f"has shape {x.shape}: its samples have no features")
    if x.dtype.kind == "f":
        flat = ConcatenatedRows((x,))
        if found := first_not_finite(flat):
            row, feature = found
            raise InputError(
                table.place(row, feature),
                f"{flat[row : row + 1][0, feature]} is not a finite number",
                "mend or drop the row",
            )


def first_not_finite(x: Matrix) -> tuple[int, int] | None:
    """The first row, and in it the first column, of ``(n, D)`` that is NaN or infinite."""
    for start, chunk in chunks(x):
        # Two numbers tell: NaN goes through minimum and maximum.
        if np.isfinite(chunk.min()) and np.isfinite(chunk.max()):
            continue
        at, column = np.unravel_index(int(np.isfinite(chunk).argmin()), chunk.shape)
        return start + int(at), int(column)
    return None


def first_where(x: Matrix, test: Any) -> tuple[int, int] | None:
    """The first row, and in it the first column, of ``(n, D)`` that a test holds for.

    Args:
        x: The matrix; gone through in chunks, so that a mapped file stays on disk.
        test: A chunk of rows → bools of its shape.
    """
    for start, chunk in chunks(x):
        bad = test(chunk)
        if bad.any():
            row, column = np.unravel_index(int(bad.argmax()), bad.shape)
            return start + int(row), int(column)
    return None


def as_ids(table: Table, values: NDArray[Any]) -> NDArray[Any]:
    """Ids as int64 or text, ``(n,)``.

    Raises:
        InputError: for ids of another kind, or an empty one.
    """
    kind = values.dtype.kind
    if kind in "iu" and (kind == "i" or not len(values) or values.max() < 2**63):
        return np.asarray(values, dtype=np.int64)
    if kind == "U":
        if len(empty := (values == "").nonzero()[0]):
            raise InputError(table.place(int(empty[0])), "the id is empty")
        return np.asarray(values)
    raise InputError(
        table.origin,
        f"ids are {values.dtype}, expected integers or text",
        "write them as int64 or as str",
    )


def as_labels(table: Table, values: NDArray[Any]) -> NDArray[Any]:
    """Labels as int64 or text, ``(n,)``; whole floats are integers.

    Raises:
        InputError: for labels that name no classes.
    """
    kind = values.dtype.kind
    if kind == "U":
        return np.asarray(values)
    if kind == "f":
        odd = (values != np.floor(values)) | ~np.isfinite(values) | (np.abs(values) >= 2**53)
        if len(rows := odd.nonzero()[0]):
            raise InputError(
                table.place(int(rows[0])),
                f"label {values[rows[0]]} names no class, expected integers or text",
                "leave data.label out where the labels are measurements",
            )
        return np.asarray(values, dtype=np.int64)
    if kind in "bi" or (kind == "u" and (not len(values) or values.max() < 2**63)):
        return np.asarray(values, dtype=np.int64)
    raise InputError(table.origin, f"labels are {values.dtype}, expected integers or text")


def as_splits(table: Table, values: NDArray[Any]) -> NDArray[np.str_]:
    """Names of splits as text, ``(n,)``.

    Raises:
        InputError: for the first row that names no split.
    """
    texts = values.astype(np.str_) if values.dtype.kind in "iufb" else np.asarray(values)
    if texts.dtype.kind != "U":
        raise InputError(
            table.origin, f"splits are {values.dtype}, expected the text {', '.join(SPLITS)}"
        )
    if len(odd := np.isin(texts, SPLITS, invert=True).nonzero()[0]):
        value = str(texts[odd[0]])
        raise InputError(
            table.place(int(odd[0])), f"unknown split {value!r}", did_you_mean(value, SPLITS)
        )
    return texts
