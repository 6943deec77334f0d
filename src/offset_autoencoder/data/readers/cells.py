"""Cells that are no numbers: what they are, column by column, and one error that says all of it.

A cell is missing where it is empty, null, NaN or one of :data:`MISSING`. A column holds text where
more of its other cells are text than numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.data_schema import SPLITS
from offset_autoencoder.errors import InputError, first_names, short_repr
from offset_autoencoder.io.arrays import Matrix, chunks, first_not_finite, first_where

if TYPE_CHECKING:
    from offset_autoencoder.data.readers.base import ColumnRoles

MISSING = (
    "",
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "<NA>",
    "NaN",
    "nan",
    "-nan",
    "NULL",
    "null",
    "None",
    "?",
)

_NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"
_MOST_LEVELS, _FEW_ROWS = 1000, 40
_ROWS = 3  # that are named of a column
_COLUMNS, _NAMED = 6, 100  # that an error describes, and that it names


def plain(column: Any) -> Any:
    """An Arrow column that holds its values, not indices of them."""
    import pyarrow as pa

    is_dictionary = pa.types.is_dictionary(column.type)
    return column.cast(column.type.value_type) if is_dictionary else column


def trimmed(column: Any) -> Any:
    """Cells of an Arrow column as text without blanks around them, null where they are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.utf8_trim_whitespace(plain(column).cast(pa.string()))
    is_missing = pc.is_in(texts, value_set=pa.array(MISSING))
    return pc.if_else(is_missing, pa.scalar(None, pa.string()), texts)


def text_to_numbers(column: Any) -> NDArray[np.float64]:
    """Numbers of an Arrow column of text, ``(n,)``; NaN where a cell is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.replace_substring_regex(trimmed(column), r"^\+", "")
    return np.asarray(texts.cast(pa.float64()).to_numpy(zero_copy_only=False))


class LevelCodes:
    """Levels of a column of text, numbered in the order in which they are met."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def __call__(self, column: Any) -> NDArray[np.float64]:
        """Numbers of an Arrow column's cells, ``(n,)``; NaN where a cell is missing."""
        import pyarrow as pa
        import pyarrow.compute as pc

        texts = trimmed(column)
        for level in pc.unique(texts.drop_null()).to_pylist():
            self._codes.setdefault(level, len(self._codes))
        codes = pc.index_in(texts, value_set=pa.array([*self._codes], pa.string()))
        return np.asarray(codes.cast(pa.float64()).to_numpy(zero_copy_only=False))

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels, by number."""
        return tuple(self._codes)


class _Obstacle(NamedTuple):
    """Cells of a column that features must not have: the first one's row, it, their number, all."""

    row: int
    cell: str
    number: int
    clause: str


@dataclass
class Cells:
    """Cells of a column that are no finite numbers, counted while it is gone through.

    Attributes:
        column: Its name, or its index where it has none.
        missing: Number of missing cells; ``missing_rows`` are the first of them, ``missing_cell``
            says what the first is.
        other: Number of cells that are neither missing nor a finite number; ``first_other`` is the
            row and the text of the first.
        levels: Distinct texts, as long as they are few.
        type_name: Type of the column, where the file has types and this is none of numbers or text.
    """

    column: str | int
    rows: int = 0
    missing: int = 0
    missing_rows: list[int] = field(default_factory=list)
    missing_cell: str = "the cell is empty"
    other: int = 0
    first_other: tuple[int, str] = (0, "")
    levels: set[str] = field(default_factory=set)
    type_name: str | None = None

    @property
    def is_text(self) -> bool:
        """True if more of the cells are text than numbers."""
        is_number = self.type_name is not None or not self.levels
        return not is_number and 2 * self.other > self.rows - self.missing

    @property
    def is_category(self) -> bool:
        """True of text with as few levels as a feature may stand for each."""
        few = min(_MOST_LEVELS, max(_FEW_ROWS, self.rows // 2))
        return self.is_text and len(self.levels) <= few

    def count_texts(self, column: Any) -> None:
        """Go on with an Arrow column of text."""
        import pyarrow.compute as pc

        texts = trimmed(column)
        missing = np.flatnonzero(pc.is_null(texts).to_numpy(zero_copy_only=False))
        cell = column[int(missing[0])].as_py() if len(missing) else None
        is_blank = cell is None or not str(cell).strip()
        self._count_missing(
            missing, "the cell is empty" if is_blank else f"{cell!r} is not a finite number"
        )
        if len(self.levels) <= _MOST_LEVELS:
            self.levels |= set(pc.unique(texts.drop_null()).to_pylist())
        is_other = pc.invert(pc.match_substring_regex(texts, _NUMBER)).fill_null(False)
        others = np.flatnonzero(is_other.to_numpy(zero_copy_only=False))
        self._count_other(others, lambda row: short_repr(texts[row].as_py()))
        self.rows += len(texts)

    def count_numbers(self, values: NDArray[Any], missing_cell: str | None = None) -> None:
        """Go on with numbers ``(n,)``, NaN where they are missing."""
        is_missing = np.isnan(values)
        missing_cell = missing_cell or "nan is not a finite number"
        self._count_missing(np.flatnonzero(is_missing), missing_cell)
        others = np.flatnonzero(~np.isfinite(values) & ~is_missing)
        self._count_other(others, lambda row: str(values[row]))
        self.rows += len(values)

    def count_others(self, column: Any, type_name: str) -> None:
        """Go on with an Arrow column of a type that is none of numbers or text."""
        self.type_name = type_name
        self._count_other(np.arange(len(column)), lambda row: short_repr(column[row].as_py()))
        self.rows += len(column)

    def _count_missing(self, rows: NDArray[np.int64], cell: str) -> None:
        if len(rows) and not self.missing:
            self.missing_cell = cell
        self.missing_rows += (self.rows + rows[: _ROWS - len(self.missing_rows)]).tolist()
        self.missing += len(rows)

    def _count_other(self, rows: NDArray[np.int64], text: Callable[[int], str]) -> None:
        if len(rows) and not self.other:
            self.first_other = self.rows + int(rows[0]), text(int(rows[0]))
        self.other += len(rows)

    def obstacles(self, roles: ColumnRoles) -> list[_Obstacle]:
        """Cells that stand in the way of the features."""
        found = []
        row, text = self.first_other
        cell = f"{text} is not a finite number"
        if self.type_name is not None:
            cell = f"{text} is not a number: the column's type is {self.type_name}"
            found.append(_Obstacle(row, cell, self.other, f"is of type {self.type_name}"))
        elif self.is_text:
            count = len(self.levels)
            number = f"{count}" if count <= _MOST_LEVELS else f"more than {_MOST_LEVELS}"
            clause = f"holds text, {number} level{'s' * (count != 1)}: "
            clause += first_names(map(repr, sorted(self.levels)), _ROWS)
            if roles.text is None and not self.is_category:
                clause += f" (too many for categories, in {self.rows} rows)"
            if not self.is_category if roles.text is None else self.column not in roles.text:
                found.append(_Obstacle(row, cell, self.other, clause))
        elif self.other:
            clause = f"has {_count(self.other, 'cell')} of no finite number"
            found.append(_Obstacle(row, cell, self.other, clause))
        if self.missing and not roles.missing:
            unnamed = range(self.missing - len(self.missing_rows))  # counted only
            clause = f"has {_count(self.missing, 'missing cell')}, row{'s' * (self.missing > 1)} "
            clause += first_names([*self.missing_rows, *unnamed], _ROWS)
            row = self.missing_rows[0]
            found.append(_Obstacle(row, self.missing_cell, self.missing, clause))
        return found


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def refuse_obstacles(
    cells: Iterable[Cells],
    roles: ColumnRoles,
    location: Callable[[int, int], str],
    mend: Callable[[int, str], str] = lambda row, mend: mend,
) -> None:
    """Refuse features whose cells are no finite numbers, and say in one error of which columns.

    ``location`` is a function from row and position of a column to the place of a cell, ``mend``
    one from the first row and what can be done about columns to what can be done about the file.

    Raises:
        InputError: at the first such cell in the order of rows, then columns.
    """
    found = [(i, c, obstacles) for i, c in enumerate(cells) if (obstacles := c.obstacles(roles))]
    if not found:
        return
    first, position = min((obstacle, i) for i, _, obstacles in found for obstacle in obstacles)
    what = first.cell
    if sum(obstacle.number for *_, obstacles in found for obstacle in obstacles) > 1:
        clauses = [
            f"column {c.column!r} {' and '.join(obstacle.clause for obstacle in obstacles)}"
            for _, c, obstacles in found
        ]
        if more := [repr(c.column) for _, c, _ in found[_COLUMNS:]]:
            clauses[_COLUMNS:] = [f"{_count(len(more), 'more column')}: "]
            clauses[-1] += first_names(more, _NAMED)
            if len(more) > _NAMED:
                is_table = isinstance(found[0][1].column, str)
                every = "table.apply(pandas.to_numeric, errors='coerce').isna().sum()"
                clauses[-1] += f", all by {every if is_table else 'np.isfinite(x).all(axis=0)'}"
        what += f"; in all: {'; '.join(clauses)}"
    hint = mend(first.row, _mend([c for _, c, _ in found], roles))
    raise InputError(location(first.row, position), what, hint)


def _mend(cells: Sequence[Cells], roles: ColumnRoles) -> str:
    """Ways to mend the columns that an error names."""
    keys, settings, mends = roles.keys, [], []
    texts = [cell for cell in cells if cell.is_text]
    named = [cell.column for cell in cells if isinstance(cell.column, str)]
    no_numbers = [c.column for c in cells if (c.is_text or c.type_name) and not c.is_category]
    if keys.missing and not roles.missing and any(cell.missing for cell in cells):
        settings.append(f"{keys.missing}: drop, mean or median")
    if keys.categorical and roles.text is not None and any(cell.is_category for cell in cells):
        settings.append(f"{keys.categorical}: one_hot")
    if settings:
        if keys.exclude and no_numbers and len(no_numbers) < len(cells):
            settings.append(f"{keys.exclude}: [{first_names(no_numbers, _NAMED)}]")
        mends.append(f"set {' and '.join(settings)}")
    if keys.split and any(cell.levels <= set(SPLITS) for cell in texts):
        mends.append(f"name the column in {keys.split} if it names the splits")
    if any(not cell.is_text and cell.type_name is None for cell in cells):
        mends.append("fix the cell" if keys.label is None else "fix or drop the row")
    elif not settings:
        mends.append("make it numbers")
    if roles.features is None and named:  # not of columns that the user asked for
        if keys.exclude:
            mends.append(f"leave columns out: {keys.exclude}: [{first_names(named, _NAMED)}]")
        mends.append(f"name the columns to use in {keys.all}")
    return ", or ".join(mends)


def check_numbers(
    x: Matrix,
    columns: Iterable[str | int],
    roles: ColumnRoles,
    location: Callable[[int, int], str],
) -> None:
    """Refuse numbers ``(n, D)`` that are not finite, except for missing ones where these may be.

    Raises:
        InputError: see :func:`refuse_obstacles`.
    """
    if x.dtype.kind != "f" or first_not_finite(x) is None:
        return
    if roles.missing and first_where(x, np.isinf) is None:
        return
    cells = [Cells(column) for column in columns]
    for _, chunk in chunks(x):
        for column, values in zip(cells, chunk.T, strict=True):
            column.count_numbers(values)
    refuse_obstacles(cells, roles, location)
