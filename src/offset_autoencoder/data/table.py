"""What one file, or one built-in data set, holds, as it came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Roles:
    """Which columns (csv, parquet) or arrays (npz) of a file play which part.

    Attributes:
        features: The features' columns, or the one array; None takes what is left over.
        label: The class labels.
        id: The samples' ids.
        split: ``train``, ``validation`` or ``test`` for each sample.
    """

    features: tuple[str, ...] | None = None
    label: str | None = None
    id: str | None = None
    split: str | None = None

    @property
    def named(self) -> dict[str, str]:
        """The parts other than features that are named: ``{"label": "species"}``."""
        parts = {"label": self.label, "id": self.id, "split": self.split}
        return {part: name for part, name in parts.items() if name is not None}


@dataclass(frozen=True)
class Table:
    """Raw samples and what is said of each; rows count from 0 everywhere.

    Attributes:
        x: Features ``(n, ...)``, in the dtype of the file.
        origin: Where they come from, for messages: ``"data/raw/x.csv"``.
        labels: ``(n,)`` class labels, integers or text, or None.
        ids: ``(n,)`` ids, integers or text, or None.
        splits: ``(n,)`` names of splits, or None.
        columns: The features' names, where the file has names.
        full_scale: The largest value that the kind of data can take, where it is known.
        line_of: The line of the file (from 1) that holds a row, where the file has lines.
    """

    x: NDArray[Any]
    origin: str
    labels: NDArray[Any] | None = None
    ids: NDArray[Any] | None = None
    splits: NDArray[Any] | None = None
    columns: tuple[str, ...] | None = None
    full_scale: float | None = None
    line_of: Callable[[int], int] | None = None

    def place(self, row: int, feature: int | None = None) -> str:
        """A row, and a feature of it, in words: ``"data/raw/x.csv, row 3 (line 5), column 'b'"``.

        Args:
            row: The row, from 0.
            feature: The feature, from 0; of an image, counted over the flattened array.
        """
        words = f"{self.origin}, row {row}"
        if self.line_of is not None:
            words += f" (line {self.line_of(row)})"
        return words if feature is None else f"{words}, {self.name_of(feature)}"

    def name_of(self, feature: int) -> str:
        """A feature in words: ``"column 'width'"``, or its index where it has no name."""
        return f"column {self.columns[feature]!r}" if self.columns else f"column {feature}"
