"""Parts that all readers share: roles of columns, and tables with the checks of what they hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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

_FIX = "fix or drop the row"

ROLES = ("label", "id", "split", "group", "order")
"""Roles that a column can have beside that of a feature."""

Layout = Literal["columns", "arrays", "array"]
"""Named columns, several named arrays, or one array whose labels and ids are separate files."""


@dataclass(frozen=True)
class RoleKeys:
    """Settings by which the user assigns columns to roles, as error texts name them.

    ``label`` or ``split`` is None where there is none; ``file`` for options of a command.
    """

    features: str = "data.features"
    id: str = "data.id"
    label: str | None = "data.label"
    split: str | None = "data.split"
    group: str = "split.group"
    order: str = "split.order"
    file: str | None = "params.yaml"

    def location(self, role: str) -> str:
        """Location of a setting: ``"params.yaml: data.features"``, or ``"--features"``."""
        name: str = getattr(self, role)
        return name if self.file is None else f"{self.file}: {name}"

    @property
    def all(self) -> str:
        """Enumeration of the settings: ``"data.features, data.label and data.id"``."""
        *others, last = [key for key in (self.features, self.label, self.id) if key is not None]
        return f"{', '.join(others)} and {last}"


@dataclass(frozen=True)
class ColumnRoles:
    """Roles of the columns (csv, parquet), of the arrays (npz) or of files (npy, idx).

    Attributes:
        features: Columns of the features, or the one array; None: all without another role.
        split: ``train``, ``validation`` or ``test`` per sample.
        group: What is to stay in one split: the subject, the machine.
        order: What orders the samples: their time.
        part: Split that the file was named for: an npz may hold an array of each.
        keys: Settings that assign the roles, for error texts.
        locate: Function from role and name to the file of that role, beside a file of one array.
    """

    features: tuple[str, ...] | None = None
    label: str | None = None
    id: str | None = None
    split: str | None = None
    group: str | None = None
    order: str | None = None
    part: SplitName | None = None
    keys: RoleKeys = field(default_factory=RoleKeys)
    locate: Callable[[str, str], Path] = lambda role, name: Path(name)

    @property
    def named(self) -> dict[str, str]:
        """Assigned roles other than features: ``{"label": "species"}``."""
        roles = {role: getattr(self, role) for role in ROLES}
        return {role: name for role, name in roles.items() if name is not None}

    def check_names(self, names: Sequence[str], origin: str, noun: str) -> None:
        """Refuse a named column or array (the noun) that a file does not have.

        Raises:
            InputError: naming the setting, and the name that comes nearest.
        """
        key, features = self.keys.location("features"), self.features or ()
        where = [f"{key}[{index}]" if len(features) > 1 else key for index in range(len(features))]
        named = [(self.keys.location(role), name) for role, name in self.named.items()]
        for setting, name in [*named, *zip(where, features, strict=True)]:
            if name not in names:
                hint = did_you_mean(name, names)
                raise InputError(setting, f"{origin} has no {noun} {name!r}", hint)


@dataclass(frozen=True)
class Table:
    """Raw samples of one file or built-in data set; rows count from 0 everywhere.

    Attributes:
        x: Features ``(n, ...)``, in the dtype of the file.
        origin: Source, for messages: ``"data/raw/x.csv"``.
        labels: ``(n,)`` class labels, int64 or text, or None.
        ids: ``(n,)`` ids, int64 or text, or None.
        splits: ``(n,)`` names of splits, or None.
        groups: ``(n,)`` int64 or text: what stays in one split, or None.
        orders: ``(n,)`` real numbers, dates or text that names either, or None.
        columns: Names of the features, where the file has names.
        full_scale: Largest value that the kind of data can take, where it is known.
        line_of: Function from row to line of the file (from 1), where the file has lines.
    """

    x: NDArray[Any]
    origin: str
    labels: NDArray[Any] | None = None
    ids: NDArray[Any] | None = None
    splits: NDArray[np.str_] | None = None
    groups: NDArray[Any] | None = None
    orders: NDArray[Any] | None = None
    columns: tuple[str, ...] | None = None
    full_scale: float | None = None
    line_of: Callable[[int], int] | None = None

    @classmethod
    def from_roles(
        cls,
        x: NDArray[Any],
        origin: Path | str,
        values: Mapping[str, NDArray[Any]],
        *,
        origins: Mapping[str, str] | None = None,
        **others: Any,
    ) -> Table:
        """Table of features and the values of each other role, from origins of their own if given.

        Integers become int64, and so do whole floats that are labels.

        Raises:
            InputError: where there is not one value per sample; for labels that name no classes,
                ids that are neither integers nor text or are empty, and what names no split.
        """
        table = cls(x, str(origin), **others)
        converted: dict[str, Any] = {}
        for role, array in values.items():
            where = table.origin if origins is None else origins[role]
            if array.ndim != 1:
                raise InputError(where, f"has shape {array.shape}, expected one {role} per sample")
            if x.ndim and len(array) != len(x):
                raise InputError(where, f"holds {len(array)} values for {len(x)} samples")
            converted[f"{role}s"] = _CONVERT.get(role, _as_names)(table, role, array)
        return replace(table, **converted)

    def location(self, row: int, feature: int | None = None) -> str:
        """Location of a value: ``"data/raw/x.csv, row 3 (line 5), column 'b'"``.

        Rows and features count from 0; features of an image are those of the flattened array.
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
    """Names of a file's columns in its order, and those that pandas stored as the index."""

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
        read: Reads features and the other roles that are assigned; of the layout ``array``,
            features alone.
        columns: Reads the columns' names; only of the layout ``columns``.
    """

    name: str
    file_names: str
    pattern: re.Pattern[str]
    layout: Layout
    read: Callable[[Path, ColumnRoles], Table]
    columns: Callable[[Path], Columns] | None = None


def choose_features(columns: Columns, roles: ColumnRoles, origin: str) -> tuple[str, ...]:
    """Columns of the features: those named, or all without another role, in the file's order.

    An index that pandas stored is a feature only if named. ``origin`` is the file, for messages.

    Raises:
        InputError: where a named column is missing, stands twice, or has two roles, or where no
            feature is left.
    """
    names = columns.names
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InputError(origin, f"names column {name!r} twice", "give each its own name")
    roles.check_names(names, origin, "column")
    if roles.features is None:
        features = columns.without(roles.named.values())
        if not features:
            raise InputError(origin, "has no column left for the features")
        if "" in features:
            what = "has no name, so that it may be an index and not a feature"
            mend = f"name the columns to use in {roles.keys.features}"
            mend += ", or write the file without its index"
            raise InputError(f"{origin}, column {names.index('')}", what, mend)
        return features
    where = roles.keys.location("features")
    if not roles.features:
        raise InputError(where, "names no column", "null takes every one")
    for index, name in enumerate(roles.features):
        if name in roles.features[:index]:
            raise InputError(f"{where}[{index}]", f"names column {name!r} twice")
        for role, other in roles.named.items():
            if name == other:
                what = f"column {name!r} is the {role}, not a feature"
                raise InputError(f"{where}[{index}]", what)
    return roles.features


def check_features(table: Table, roles: ColumnRoles) -> None:
    """Refuse features that are not a finite number in each of (samples, features) cells.

    Where all columns were taken for features, the error says where to name some.

    Raises:
        InputError: for a wrong dtype or shape, no samples, no features, NaN or infinity (the
            first row, and in it the first column, named).
    """
    x = table.x
    what, hint = "", None
    if x.dtype.kind in _NOT_NUMBERS:
        what = f"holds {_NOT_NUMBERS[x.dtype.kind]} ({x.dtype}), expected numbers"
    elif x.ndim < 2:
        what, hint = f"has shape {x.shape}, expected (samples, features)", "reshape it"
    elif not x.size:
        no_features = f"has shape {x.shape}: its samples have no features"
        what = no_features if len(x) else "holds no samples"
    if what:
        raise InputError(table.origin, what, hint)
    flat = ConcatenatedRows((x,))
    if x.dtype.kind == "f" and (cell := first_not_finite(flat)):
        row, feature = cell
        what, hint = f"{flat[row : row + 1][0, feature]} is not a finite number", _FIX
        if table.columns and roles.features is None:
            hint = f"{_FIX}, or name the columns to use in {roles.keys.all}"
        raise InputError(table.location(row, feature), what, hint)


def _as_names(table: Table, role: str, values: NDArray[Any]) -> NDArray[Any]:
    """Ids or labels as int64 or text."""
    kind = values.dtype.kind
    if kind == "U":
        if role == "id" and len(empty := (values == "").nonzero()[0]):
            raise InputError(table.location(int(empty[0])), "the id is empty")
        return np.asarray(values)
    if kind == "f" and role == "label":
        odd = (values != np.floor(values)) | ~np.isfinite(values) | (np.abs(values) >= 2**53)
        if len(rows := odd.nonzero()[0]):
            what = f"label {values[rows[0]]} names no class, expected integers or text"
            mend = "leave data.label out where the labels are measurements"
            raise InputError(table.location(int(rows[0])), what, mend)
        return np.asarray(values, dtype=np.int64)
    if kind == "i" or (kind == "u" and np.all(values < 2**63)) or (kind, role) == ("b", "label"):
        return np.asarray(values, dtype=np.int64)
    what = f"{role}s are {values.dtype}, expected integers or text"
    raise InputError(table.origin, what, "write them as int64 or as str")


def _as_splits(table: Table, role: str, values: NDArray[Any]) -> NDArray[np.str_]:
    texts = values.astype(np.str_) if values.dtype.kind in "iufb" else np.asarray(values)
    if texts.dtype.kind != "U":
        what = f"splits are {values.dtype}, expected the text {', '.join(SPLITS)}"
        raise InputError(table.origin, what)
    if len(odd := np.isin(texts, SPLITS, invert=True).nonzero()[0]):
        value, where = str(texts[odd[0]]), table.location(int(odd[0]))
        raise InputError(where, f"unknown split {value!r}", did_you_mean(value, SPLITS))
    return texts


def _as_places(table: Table, role: str, values: NDArray[Any]) -> NDArray[Any]:
    """Groups or orders: nothing missing; groups as int64 or text, so that 1 and 1.0 are one."""
    kind, missing = values.dtype.kind, np.zeros(len(values), dtype=bool)
    if kind not in "iufbUM":
        what = f"{role}s are {values.dtype}, expected numbers, dates or text"
        raise InputError(table.origin, what, "write them as int64 or as str")
    if kind == "U":
        missing = np.char.strip(values) == ""
    elif kind in "fM":
        missing = ~np.isfinite(values)
    if len(rows := missing.nonzero()[0]):
        raise InputError(table.location(int(rows[0])), f"the {role} is missing")
    if role == "order":
        return values
    if kind in "iufb" and np.all(values == np.floor(values)) and np.all(np.abs(values) < 2.0**63):
        return values.astype(np.int64)
    return values.astype(np.str_)


_CONVERT = {"split": _as_splits, "group": _as_places, "order": _as_places}
