"""Parts that all readers share: roles of columns, and tables with the checks of what they hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.schema import SPLITS, SplitName
from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.io.arrays import ConcatenatedRows, first_not_finite

_NOT_NUMBERS = {
    "c": "complex numbers",
    "U": "text",
    "S": "text",
    "O": "Python objects",
    "V": "records",
    "M": "dates",
    "m": "time spans",
}

Layout = Literal["columns", "arrays", "array"]
"""Named columns, several named arrays, or one array whose labels and ids are separate files."""


@dataclass(frozen=True)
class RoleKeys:
    """Settings by which the user assigns columns to roles, as error texts name them.

    Attributes:
        features: Setting of the features' columns.
        id: Setting of the id.
        label: Setting of the label; None where there is none.
        split: Setting of the column of splits, likewise.
        file: File that the settings are in; None for options of a command.
    """

    features: str = "data.features"
    id: str = "data.id"
    label: str | None = "data.label"
    split: str | None = "data.split"
    file: str | None = "params.yaml"

    def location(self, role: str, index: int | None = None) -> str:
        """Location of a setting: ``"params.yaml: data.features[1]"``, or ``"--features"``."""
        name: str = getattr(self, role)
        if self.file is None:
            return name
        return f"{self.file}: {name}" + ("" if index is None else f"[{index}]")

    @property
    def all(self) -> str:
        """Enumeration of the settings: ``"data.features, data.label and data.id"``."""
        *others, last = [key for key in (self.features, self.label, self.id) if key is not None]
        return f"{', '.join(others)} and {last}"


@dataclass(frozen=True)
class ColumnRoles:
    """ColumnRoles of the columns (csv, parquet) or arrays (npz) of a file.

    Attributes:
        features: Columns of the features, or the one array; None: all without another role.
        label: Class labels.
        id: Ids of the samples.
        split: ``train``, ``validation`` or ``test`` per sample.
        keys: Settings that assign the roles, for error texts.
    """

    features: tuple[str, ...] | None = None
    label: str | None = None
    id: str | None = None
    split: str | None = None
    keys: RoleKeys = field(default_factory=RoleKeys)

    @property
    def named(self) -> dict[str, str]:
        """Assigned roles other than features: ``{"label": "species"}``."""
        roles = {"label": self.label, "id": self.id, "split": self.split}
        return {role: name for role, name in roles.items() if name is not None}


@dataclass(frozen=True)
class Table:
    """Raw samples of one file or built-in data set; rows count from 0 everywhere.

    Attributes:
        x: Features ``(n, ...)``, in the dtype of the file.
        origin: Source, for messages: ``"data/raw/x.csv"``.
        labels: ``(n,)`` class labels, integers or text, or None.
        ids: ``(n,)`` ids, integers or text, or None.
        splits: ``(n,)`` names of splits, or None.
        columns: Names of the features, where the file has names.
        full_scale: Largest value that the kind of data can take, where it is known.
        line_of: Function from row to line of the file (from 1), where the file has lines.
    """

    x: NDArray[Any]
    origin: str
    labels: NDArray[Any] | None = None
    ids: NDArray[Any] | None = None
    splits: NDArray[Any] | None = None
    columns: tuple[str, ...] | None = None
    full_scale: float | None = None
    line_of: Callable[[int], int] | None = None

    @classmethod
    def from_roles(
        cls, x: NDArray[Any], path: Path, values: Mapping[str, NDArray[Any]], **others: Any
    ) -> Table:
        """Table of a file from its features and the values of each other role."""
        return cls(
            x=x,
            origin=str(path),
            labels=values.get("label"),
            ids=values.get("id"),
            splits=values.get("split"),
            **others,
        )

    def location(self, row: int, feature: int | None = None) -> str:
        """Location of a value: ``"data/raw/x.csv, row 3 (line 5), column 'b'"``.

        Args:
            row: The row, from 0.
            feature: The feature, from 0; of an image, counted over the flattened array.
        """
        words = f"{self.origin}, row {row}"
        if self.line_of is not None:
            words += f" (line {self.line_of(row)})"
        return words if feature is None else f"{words}, {self.feature_name(feature)}"

    def feature_name(self, feature: int) -> str:
        """Name of a feature: ``"column 'width'"``, or its index where it has no name."""
        return f"column {self.columns[feature]!r}" if self.columns else f"column {feature}"


@dataclass(frozen=True)
class Columns:
    """Columns of a file.

    Attributes:
        names: All names, in the file's order.
        index: Names that pandas stored as the index of the table.
    """

    names: tuple[str, ...]
    index: frozenset[str] = frozenset()

    def without(self, others: Iterable[str]) -> tuple[str, ...]:
        """Names that are neither others nor part of the index."""
        return tuple(name for name in self.names if name not in self.index.union(others))


@dataclass(frozen=True)
class Reader:
    """One file format.

    Attributes:
        name: Name of the format: ``"csv"``.
        file_names: File names of the format, for messages: ``".csv, .csv.gz"``.
        pattern: Matches the end of such a name, in lower case.
        layout: What a file holds.
        read: Reads features and the other roles that are assigned. Its last argument is the
            split that the file was named for, or None. The roles do not matter to the layout
            ``array``.
        columns: Reads the columns' names; only of the layout ``columns``.
    """

    name: str
    file_names: str
    pattern: re.Pattern[str]
    layout: Layout
    read: Callable[[Path, ColumnRoles, SplitName | None], Table]
    columns: Callable[[Path], Columns] | None = None


def check_length(array: NDArray[Any], x: NDArray[Any], origin: str, role: str) -> None:
    """Refuse labels, ids or splits that are not one value per sample.

    Raises:
        InputError: naming the array's origin and both lengths.
    """
    if array.ndim != 1:
        raise InputError(origin, f"has shape {array.shape}, expected one {role} per sample")
    if x.ndim and len(array) != len(x):
        raise InputError(origin, f"holds {len(array)} values for {len(x)} samples")


def choose_features(columns: Columns, roles: ColumnRoles, origin: str) -> tuple[str, ...]:
    """Columns of the features: those named, or all without another role, in the file's order.

    Args:
        columns: The file's columns; an index that pandas stored is a feature only if named.
        roles: The roles that the user assigned.
        origin: The file, for messages.

    Raises:
        InputError: where a named column is missing, stands twice, or has two roles, or where no
            feature is left.
    """
    names = columns.names
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InputError(origin, f"names column {name!r} twice", "give each its own name")
    for role, name in roles.named.items():
        _check_column(names, name, roles.keys.location(role), origin)
    if roles.features is None:
        features = columns.without(roles.named.values())
        if not features:
            raise InputError(origin, "has no column left for the features")
        if "" in features:
            raise InputError(
                f"{origin}, column {names.index('')}",
                "has no name, so that it may be an index and not a feature",
                f"name the columns to use in {roles.keys.features}, or write the file without "
                "its index",
            )
        return features
    for index, name in enumerate(roles.features):
        where = roles.keys.location("features", index)
        _check_column(names, name, where, origin)
        if name in roles.features[:index]:
            raise InputError(where, f"names column {name!r} twice")
        for role, other in roles.named.items():
            if name == other:
                raise InputError(where, f"column {name!r} is the {role}, not a feature")
    if not roles.features:
        raise InputError(roles.keys.location("features"), "names no column", "null takes every one")
    return roles.features


def _check_column(names: Sequence[str], name: str, where: str, origin: str) -> None:
    if name not in names:
        raise InputError(where, f"{origin} has no column {name!r}", did_you_mean(name, names))


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
        if cell := first_not_finite(flat):
            row, feature = cell
            raise InputError(
                table.location(row, feature),
                f"{flat[row : row + 1][0, feature]} is not a finite number",
                "fix or drop the row",
            )


def as_ids(table: Table, values: NDArray[Any]) -> NDArray[Any]:
    """Convert ids to int64 or text, ``(n,)``.

    Raises:
        InputError: for ids of another kind, or an empty one.
    """
    kind = values.dtype.kind
    if kind in "iu" and (kind == "i" or not len(values) or values.max() < 2**63):
        return np.asarray(values, dtype=np.int64)
    if kind == "U":
        if len(empty := (values == "").nonzero()[0]):
            raise InputError(table.location(int(empty[0])), "the id is empty")
        return np.asarray(values)
    raise InputError(
        table.origin,
        f"ids are {values.dtype}, expected integers or text",
        "write them as int64 or as str",
    )


def as_labels(table: Table, values: NDArray[Any]) -> NDArray[Any]:
    """Convert labels to int64 or text, ``(n,)``; whole floats are integers.

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
                table.location(int(rows[0])),
                f"label {values[rows[0]]} names no class, expected integers or text",
                "leave data.label out where the labels are measurements",
            )
        return np.asarray(values, dtype=np.int64)
    if kind in "bi" or (kind == "u" and (not len(values) or values.max() < 2**63)):
        return np.asarray(values, dtype=np.int64)
    raise InputError(table.origin, f"labels are {values.dtype}, expected integers or text")


def as_splits(table: Table, values: NDArray[Any]) -> NDArray[np.str_]:
    """Convert names of splits to text, ``(n,)``.

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
            table.location(int(odd[0])), f"unknown split {value!r}", did_you_mean(value, SPLITS)
        )
    return texts
