"""Rows of csv files: the cells of an item by the paths of their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

Row = Mapping[str, Any]
Rows = tuple[Sequence[str], Sequence[Row]]  # columns and rows; a row may lack a column
Fields = Mapping[str, str | Callable[[Any], Any]]  # by column, a value's path in an item


def estimate(name: str, path: str, *, ends: str | None = None) -> dict[str, str]:
    """A mean and its interval: ``NAME``, ``NAME_low`` and ``NAME_high``, or ``ends`` for NAME_."""
    start = f"{name}_" if ends is None else ends
    return {name: f"{path}.mean", f"{start}low": f"{path}.low", f"{start}high": f"{path}.high"}


def percent_of(name: str, path: str) -> Fields:
    """A mean and its interval in percent: ``NAME``, ``low`` and ``high``."""

    def value(path: str) -> Callable[[Any], float]:
        return lambda item: 100 * attrgetter(path)(item)

    return {column: value(end) for column, end in estimate(name, path, ends="").items()}


def row_of(fields: Fields, item: Any) -> dict[str, Any]:
    """The cells of one item."""
    return {
        column: attrgetter(get)(item) if isinstance(get, str) else get(item)
        for column, get in fields.items()
    }


def rows_of(fields: Fields, items: Sequence[Any]) -> Rows:
    """Columns and rows of items."""
    return list(fields), [row_of(fields, item) for item in items]
