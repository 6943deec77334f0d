"""Columns of csv and parquet files: which play which part, and how they become arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.data.table import Roles
from offset_autoencoder.errors import InputError, did_you_mean

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_CONVERTED = 1 << 16


def choose_features(names: Sequence[str], roles: Roles, origin: str) -> tuple[str, ...]:
    """The feature columns: those named, or all that play no other part, in the file's order.

    Args:
        names: Every column of the file.
        roles: The parts that params.yaml gives.
        origin: The file, for messages.

    Raises:
        InputError: where a named column is missing, stands twice, or plays two parts, or
            where no feature is left.
    """
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InputError(origin, f"names column {name!r} twice", "give each its own name")
    for part, name in roles.named.items():
        _check_name(names, name, f"params.yaml: data.{part}", origin)
    if roles.features is None:
        features = tuple(name for name in names if name not in roles.named.values())
        if not features:
            raise InputError(origin, "has no column left for the features")
        if "" in features:
            raise InputError(
                f"{origin}, column {list(names).index('')}",
                "has no name, so that it may be an index and not a feature",
                "name the columns to use in data.features, or write the file without its index",
            )
        return features
    for index, name in enumerate(roles.features):
        where = f"params.yaml: data.features[{index}]"
        _check_name(names, name, where, origin)
        if name in roles.features[:index]:
            raise InputError(where, f"names column {name!r} twice")
        for part, other in roles.named.items():
            if name == other:
                raise InputError(where, f"column {name!r} is the {part}, not a feature")
    if not roles.features:
        raise InputError("params.yaml: data.features", "names no column", "null takes every one")
    return roles.features


def _check_name(names: Sequence[str], name: str, where: str, origin: str) -> None:
    if name not in names:
        raise InputError(where, f"{origin} has no column {name!r}", did_you_mean(name, names))


def to_matrix(columns: Sequence[Any]) -> NDArray[Any]:
    """Arrow columns of numbers → one array, filled a column at a time.

    Args:
        columns: Arrow arrays of n integers, floats or booleans each, no nulls.

    Returns:
        ``(n, columns)`` in the smallest dtype that holds every column's values.
    """
    matrix = np.empty((len(columns[0]), len(columns)), dtype=common_dtype(columns))
    for index, column in enumerate(columns):
        matrix[:, index] = numbers(column)
    return matrix


def common_dtype(columns: Sequence[Any]) -> np.dtype[Any]:
    """The smallest dtype that holds the values of Arrow columns, or of fields of a schema."""
    return np.result_type(*(np.dtype(column.type.to_pandas_dtype()) for column in columns))


def numbers(column: Any) -> NDArray[Any]:
    """An Arrow column of numbers or booleans, no nulls → ``(n,)``."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        return column.to_numpy()
    return column.to_numpy(zero_copy_only=False)


def to_values(column: Any) -> NDArray[Any]:
    """An Arrow column of labels, ids or splits, no nulls → integers, floats or text, ``(n,)``."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array(column.to_pylist(), dtype=np.str_)
    return numbers(column)


def first_null(column: Any) -> int | None:
    """The first row of an Arrow column that holds a null; None where none does."""
    import pyarrow.compute as pc

    return int(pc.index(pc.is_null(column), True).as_py()) if column.null_count else None


def as_integers(texts: NDArray[Any]) -> NDArray[Any]:
    """Text → int64 where every value is an integer as Python writes it, else unchanged.

    ``"007"`` is not: it would not come back as it was.
    """
    for start in range(0, len(texts), _CONVERTED):
        if not all(map(_INTEGER.fullmatch, texts[start : start + _CONVERTED].tolist())):
            return texts
    return texts.astype(np.int64)
