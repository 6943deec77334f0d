"""Parts that all readers share: roles of columns, and tables with the checks of what they hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.data_schema import SplitName
from offset_autoencoder.data.readers import role_values
from offset_autoencoder.data.readers.cells import check_numbers
from offset_autoencoder.data.readers.role_values import Origin
from offset_autoencoder.errors import InputError, did_you_mean, first_names
from offset_autoencoder.io.arrays import ConcatenatedRows

_NOT_NUMBERS: dict[str, tuple[str, str | None]] = {
    "c": ("complex numbers", None),
    "U": ("text", "x.astype(float) reads numbers in it"),
    "S": ("text", "x.astype(float) reads numbers in it"),
    "O": ("Python objects", None),
    "V": ("records", "numpy.lib.recfunctions.structured_to_unstructured(x) makes columns of them"),
    "M": ("dates", "x.astype('datetime64[s]').astype(float) counts seconds"),
    "m": ("time spans", "x.astype('timedelta64[s]').astype(float) counts seconds"),
}


DROP_ROWS = "fill it, or drop such rows: table.dropna(subset=[NAME]) of pandas"

ROLES = ("label", "id", "split", "group", "order")
"""Roles that a column can have beside that of a feature."""

Layout = Literal["columns", "arrays", "array"]
"""Named columns, several named arrays, or one array whose labels and ids are separate files."""


@dataclass(frozen=True)
class RoleKeys:
    """Settings by which the user assigns columns to roles, as error texts name them.

    ``label``, ``split`` and those after it are None where there is none; ``file`` for options of a
    command.
    """

    features: str = "data.features"
    id: str = "data.id"
    label: str | None = "data.label"
    split: str | None = "data.split"
    group: str = "split.group"
    order: str = "split.order"
    exclude: str | None = None
    missing: str | None = None
    categorical: str | None = None
    header: str = "data.header"
    complex: str | None = "data.complex"
    file: str | None = "params.yaml"

    def location(self, role: str) -> str:
        """Location of a setting: ``"params.yaml: data.features"``, or ``"--features"``."""
        name: str = getattr(self, role)
        return name if self.file is None else f"{self.file}: {name}"

    def header_is(self, there: bool) -> str:
        """Setting that a csv has a header, or has none: ``"data.header: false"``."""
        if self.file is None:
            return self.header if there else "--no-header"
        return f"{self.header}: {str(there).lower()}"

    @property
    def all(self) -> str:
        """Enumeration of the settings: ``"data.features, data.label and data.id"``."""
        *others, last = [key for key in (self.features, self.label, self.id) if key is not None]
        return f"{', '.join(others)} and {last}"


@dataclass(frozen=True)
class ColumnRoles:
    """Roles of the columns (csv, parquet), of the arrays (npz, hdf5) or of files (npy, idx).

    Attributes:
        features: Columns of the features, or the one array; None: all without another role.
        split: ``train``, ``validation`` or ``test`` per sample.
        group: What is to stay in one split: the subject, the machine.
        order: What orders the samples: their time.
        part: Split that the file was named for: an npz may hold an array of each.
        header: Whether a csv has one; None: see :func:`.text_files.read_csv_table`.
        complex: What becomes of complex numbers; None: they are refused.
        exclude: Columns that are no features though no other role is theirs.
        missing: Whether cells may be missing: they are NaN.
        text: Columns of features that hold text, read as numbers of levels (see :class:`Table`);
            None: those that hold more text than numbers.
        keys: Settings that assign the roles, for error texts.
        locate: Function from role and name to the file of that role, where it has its own.
    """

    features: tuple[str, ...] | None = None
    label: str | None = None
    id: str | None = None
    split: str | None = None
    group: str | None = None
    order: str | None = None
    part: SplitName | None = None
    header: bool | None = None
    complex: Literal["real_imag", "abs"] | None = None
    exclude: tuple[str, ...] = ()
    missing: bool = False
    text: frozenset[str] | None = frozenset()
    keys: RoleKeys = field(default_factory=RoleKeys)
    locate: Callable[[str, str], Path] = lambda role, name: Path(name)

    @property
    def named(self) -> dict[str, str]:
        """Assigned roles other than features: ``{"label": "species"}``."""
        roles = {role: getattr(self, role) for role in ROLES}
        return {role: name for role, name in roles.items() if name is not None}

    def without(self, roles: Iterable[str]) -> ColumnRoles:
        """Roles without some of those other than features."""
        none: dict[str, Any] = dict.fromkeys(roles)
        return replace(self, **none)

    def check_names(self, names: Sequence[str], origin: str, noun: str) -> None:
        """Refuse a named column or array (the noun) that a file does not have.

        Raises:
            InputError: naming the setting, and the name that comes nearest.
        """
        known, features = frozenset(names), self.features or ()
        key = self.keys.location("features")
        where = [f"{key}[{index}]" if len(features) > 1 else key for index in range(len(features))]
        named = [(self.keys.location(role), name) for role, name in self.named.items()]
        if self.keys.exclude and self.part in (None, "train"):
            named += [(self.keys.location("exclude"), name) for name in self.exclude]
        for setting, name in [*named, *zip(where, features, strict=True)]:
            if name not in known:
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
        levels: Levels of each column of text, whose cells in x are indices of them.
        rows: ``(n,)`` numbers of the rows in the file, where some of it were left out; else None.
        dropped: How many were.
        kept: Indices of the features in the file, where some were left out; else None.
        notes: Lines on what was done to odd samples.
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
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: NDArray[np.int64] | None = None
    dropped: int = 0
    kept: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()

    @property
    def row_numbers(self) -> NDArray[np.int64]:
        """Numbers of the rows in the file, ``(n,)``."""
        return np.arange(len(self.x)) if self.rows is None else self.rows

    @classmethod
    def from_roles(
        cls,
        x: NDArray[Any],
        origin: Path | str,
        values: Mapping[str, NDArray[Any]],
        *,
        origins: Mapping[str, Origin] | None = None,
        **others: Any,
    ) -> Table:
        """Table of features and the values of each other role: see :meth:`with_roles`."""
        return cls(x, str(origin), **others).with_roles(values, origins)

    def with_roles(
        self, values: Mapping[str, NDArray[Any]], origins: Mapping[str, Origin] | None = None
    ) -> Table:
        """Table with the values of roles, from origins of their own if given.

        Integers become int64, and so do whole floats; ``(n, 1)`` is taken as ``(n,)``.

        Raises:
            InputError: where there is not one value per sample; for labels that name no classes,
                ids that are neither integers nor text or are empty, and what names no split.
        """
        converted: dict[str, Any] = {}
        for role, array in values.items():
            origin = Origin(self.origin) if origins is None else origins[role]
            column = role_values.one_per_sample(role, array, origin, Path(self.origin))
            if column.dtype.kind == "S":
                column = np.char.decode(column, "utf-8", "backslashreplace")
            role_values.check_text(role, column, self.location)
            if self.x.ndim and len(column) != len(self.x):
                what = f"holds {len(column)} values for {len(self.x)} samples"
                raise InputError(origin.place, what)
            convert = role_values.CONVERT.get(role, role_values.as_names)
            place: role_values.Location = self.location
            if origins is not None:
                place = f"{origin.place}, row {{}}".format
            converted[f"{role}s"] = convert(role, column, origin.place, place)
        return replace(self, **converted)

    def location(self, row: int, feature: int | None = None) -> str:
        """Location of a value: ``"data/raw/x.csv, row 3 (line 5), column 'b'"``.

        Rows and features count from 0; features of an image are those of the flattened array.
        """
        row = row if self.rows is None else int(self.rows[row])
        words = f"{self.origin}, row {row}"
        if self.line_of is not None:
            words += f" (line {self.line_of(row)})"
        return words if feature is None else f"{words}, {self.feature_name(feature)}"

    def feature_name(self, feature: int) -> str:
        """Name of a feature: ``"column 'width'"``, or its index where it has no name."""
        if self.columns:
            return f"column {self.columns[feature]!r}"
        return f"column {feature if self.kept is None else self.kept[feature]}"


@dataclass(frozen=True)
class Columns:
    """Columns of a file.

    Attributes:
        names: Of the columns in the file's order; of a column of lists, of each place in them.
        index: Those that pandas stored as the index.
        lists: Names of the places in the lists, by the name of the column that holds these.
    """

    names: tuple[str, ...]
    index: frozenset[str] = frozenset()
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def expand(self, features: Iterable[str]) -> tuple[str, ...]:
        """Names of features, those of all its places for a column of lists."""
        return tuple(name for given in features for name in self.lists.get(given, (given,)))

    def without(self, others: Iterable[str]) -> tuple[str, ...]:
        """Names that are neither others nor part of the index."""
        left_out = self.index.union(others)
        return tuple(name for name in self.names if name not in left_out)


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
        values: Reads the one column or array of a file that holds labels, ids or splits alone.
        columns: Reads the columns' names; only of the layout ``columns``.
        arrays: Reads the arrays' names; only of the layout ``arrays``.
        python: Python expression that reads an array, with ``{path}`` and ``{name}``.
    """

    name: str
    file_names: str
    pattern: re.Pattern[str]
    layout: Layout
    read: Callable[[Path, ColumnRoles], Table]
    values: Callable[[Path, ColumnRoles], NDArray[Any]]
    columns: Callable[[Path, ColumnRoles], Columns] | None = None
    arrays: Callable[[Path], Sequence[str]] | None = None
    python: str = "the_array"

    def names(self, path: Path, roles: ColumnRoles) -> Sequence[str]:
        """Names of the columns or arrays of a file; none where it is one array."""
        if self.columns is not None:
            return self.columns(path, roles).names
        return () if self.arrays is None else self.arrays(path)


def choose_features(columns: Columns, roles: ColumnRoles, origin: str) -> tuple[str, ...]:
    """Columns of the features: those named, or all without another role, in the file's order.

    An index that pandas stored is a feature only if named. ``origin`` is the file, for messages.

    Raises:
        InputError: where a named column is missing, stands twice, or has two roles, or where no
            feature is left.
    """
    names = columns.names
    if (twice := _repeated(names)) is not None:
        raise InputError(origin, f"names column {twice!r} twice", "give each its own name")
    for role, name in roles.named.items():
        if name in columns.lists:
            what = f"{origin} holds lists in column {name!r}, expected one {role} per sample"
            raise InputError(roles.keys.location(role), what, "write one value per row")
    if roles.features is not None:
        roles = replace(roles, features=columns.expand(roles.features))
    roles.check_names(names, origin, "column")
    if roles.features is None:
        features = columns.without((*roles.named.values(), *roles.exclude))
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
    clashes = dict.fromkeys(roles.exclude, f"stands in {roles.keys.exclude}, too")
    clashes |= {name: f"is the {role}, not a feature" for role, name in roles.named.items()}
    if (twice := _repeated(roles.features)) is not None:
        index = roles.features.index(twice, roles.features.index(twice) + 1)
        raise InputError(f"{where}[{index}]", f"names column {twice!r} twice")
    for index, name in enumerate(roles.features):
        if name in clashes:
            raise InputError(f"{where}[{index}]", f"column {name!r} {clashes[name]}")
    return roles.features


def _repeated(names: Sequence[str]) -> str | None:
    """First name that stands more than once; None where each stands once."""
    return next((name for name, times in Counter(names).items() if times > 1), None)


def only_one(path: Path, names: Sequence[str], noun: str, file: str = "a file of its own") -> str:
    """Name of the one column or array (the noun) of a file.

    Raises:
        InputError: where it holds none or several, with the ``file`` to write it to.
    """
    if len(names) != 1:
        verb = "has" if noun == "column" else "holds"
        what = f"{verb} {len(names)} {noun}s, expected one: {first_names(names)}"
        raise InputError(str(path), what, f"write the one that is meant to {file}")
    return names[0]


def check_features(table: Table, roles: ColumnRoles) -> None:
    """Refuse features that are not a finite number in each of (samples, features) cells.

    Where cells may be missing (``roles.missing``), NaN is let pass.

    Raises:
        InputError: for a wrong dtype or shape, no samples, no features, NaN or infinity: all
            columns with such cells are named, see :func:`.cells.refuse_obstacles`.
    """
    x = table.x
    what = ""
    hint: str | None = None
    if x.dtype.kind in _NOT_NUMBERS:
        noun, hint = _NOT_NUMBERS[x.dtype.kind]
        what = f"holds {noun} ({x.dtype}), expected numbers"
        if x.dtype.kind == "c":
            key = roles.keys.complex
            hint = f"set {key}: real_imag for two channels, or {key}: abs"
            if key is None:
                hint = "the model was trained on real ones: give np.abs(z), or np.stack([z.real, "
                hint += "z.imag], axis=-1), whichever these were"
    elif x.ndim < 2:
        what, hint = f"has shape {x.shape}, expected (samples, features)", "reshape it"
    elif not x.size:
        no_features = f"has shape {x.shape}: its samples have no features"
        what = no_features if len(x) else "holds no samples"
    if what:
        raise InputError(table.origin, what, hint)
    flat = ConcatenatedRows((x,))
    check_numbers(flat, table.columns or range(flat.shape[1]), roles, table.location)
