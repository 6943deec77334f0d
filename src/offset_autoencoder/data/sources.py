"""The files and built-in data sets of params.yaml, read as tables."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, replace
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths
from offset_autoencoder.config.data_schema import SPLIT_COLUMNS, SPLITS, Data, Split, SplitName
from offset_autoencoder.data.readers import base, find_reader, locate, read_table, roles_apart
from offset_autoencoder.data.readers.base import ColumnRoles, Table
from offset_autoencoder.data.readers.named_arrays import split_arrays
from offset_autoencoder.errors import InputError, first_names
from offset_autoencoder.io.arrays import ConcatenatedRows, chunks

_KEYS = base.RoleKeys(
    exclude="data.exclude", missing="data.missing", categorical="data.categorical"
)
_CACHED = {"mnist": "mnist.npz", "fashion_mnist": "fashion-mnist/"}


def load_source(
    data: Data,
    raw: Path = paths.RAW,
    split: Split = Split(),  # noqa: B008 - frozen
) -> tuple[Table, ...]:
    """Read the data set that params.yaml names, unscaled: a table, or one per split.

    Raises:
        InputError: where something named is missing, damaged or cannot be fetched, and where a
            file does not hold samples (see :mod:`.readers.base`).
    """
    if data.source == "file":
        return _read_files(data, raw, split)
    for key in SPLIT_COLUMNS:
        if getattr(split, key) is not None:
            what = f"goes with source: file, not source: {data.source}"
            raise InputError(f"params.yaml: split.{key}", what)
    return _digits() if data.source == "digits" else _keras(data.source)


def _digits() -> tuple[Table, ...]:
    # The file that scikit-learn's load_digits reads: to import scikit-learn takes seconds.
    path = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    rows = np.loadtxt(str(path), delimiter=",")
    images, labels = rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].astype(int)
    return (Table.from_roles(images, "digits", {"label": labels}, full_scale=16.0),)


def _keras(source: str) -> tuple[Table, ...]:
    from offset_autoencoder.models.backend import keras

    try:
        train, test = getattr(keras.datasets, source).load_data()
    # Keras raises a bare Exception where a download fails, and others where the cache is bad.
    except Exception as error:
        home = Path(os.environ.get("KERAS_HOME") or "~/.keras")
        what = f"the data could not be fetched: {error}"
        mend = f"put Keras's own file in its cache as {home}/datasets/{_CACHED[source]}, or any "
        mend += f"copy in {paths.RAW} and set data.source: file"
        raise InputError(f"params.yaml: data.source: {source}", what, mend) from None
    tables = []
    for split, (x, labels) in (("train", train), ("test", test)):
        values = {"label": labels, "split": np.full(len(x), split)}
        tables.append(Table.from_roles(x, f"{source}, {split}", values, full_scale=255.0))
    return tuple(tables)


@dataclass(frozen=True)
class _Named:
    """Files and columns that the sections name: one for all splits, or one per split."""

    data: Data
    split: Split

    def setting(self, role: str) -> str | dict[SplitName, str] | None:
        """What a section gives for a role, the file's own ``path`` among them."""
        value: Any = getattr(self.split if role in SPLIT_COLUMNS else self.data, role)
        if isinstance(value, list):
            return value[0] if len(value) == 1 else None
        return value

    def value(self, role: str, split: SplitName | None) -> str | None:
        """Name for a split.

        Raises:
            InputError: where the section gives a name per split and the path does not, or lacks it.
        """
        value, where = self.setting(role), f"params.yaml: {self.key(role)}"
        if value is None or isinstance(value, str):
            return value
        if split is None:
            what = "names a value per split, but data.path is one file"
            raise InputError(where, what, "name a file per split in data.path, too")
        if split not in value:
            raise InputError(where, f"has no {split}, data.path has")
        return value[split]

    def key(self, role: str, split: SplitName | None = None) -> str:
        """Key of a role in params.yaml, of a split's own value where each has one."""
        key = f"{'split' if role in SPLIT_COLUMNS else 'data'}.{role}"
        return f"{key}.{split}" if split and isinstance(self.setting(role), dict) else key


def _read_files(data: Data, raw: Path, split: Split) -> tuple[Table, ...]:
    named = _Named(data, split)
    if isinstance(data.path, str):
        path = locate(raw, data.path, "data.path")
        if not data.splits_named or find_reader(path).layout != "arrays":
            return (_read_file(named, raw, None, None),)
        data = data.model_copy(update={"path": dict.fromkeys(data.splits_named, data.path)})
        named = _Named(data, split)
    splits = [name for name in SPLITS if name in (data.path or {})]
    if "train" not in splits:
        raise InputError("params.yaml: data.path", f"names no file for train, only for {splits}")
    tables: dict[SplitName, Table] = {}
    for part in splits:
        table = _read_file(named, raw, part, tables.get("train"))
        tables[part] = replace(table, splits=np.full(len(table.x), part))
    for first, second in itertools.combinations(splits, 2):
        _check_different(named, raw, first, second, tables)
    return tuple(tables.values())


def _read_file(named: _Named, raw: Path, split: SplitName | None, train: Table | None) -> Table:
    """Table of a file; its columns stand in the order of the train file's."""
    data = named.data

    def locate_role(role: str, name: str) -> Path:
        if split is not None and isinstance(named.setting(role), str):
            what = "data.path names a file per split, so this must, too"
            mend = "{train: ..., test: ...}"
            raise InputError(f"params.yaml: {named.key(role)}", what, f"{role}: {mend}")
        return locate(raw, name, named.key(role, split))

    path = locate(raw, named.value("path", split) or "", named.key("path", split))
    read_columns = find_reader(path).columns
    if read_columns is not None and isinstance(data.features, dict):
        what = f"names a value per split, but {path} has the same columns in each"
        raise InputError("params.yaml: data.features", what, "name them once: [NAME, ...]")
    is_list = isinstance(data.features, list)
    features = data.features if is_list else named.value("features", split)
    if isinstance(features, str):
        features = [features]
    roles = ColumnRoles(
        features=None if features is None else tuple(features),
        label=named.value("label", split),
        id=named.value("id", split),
        split=data.split,
        group=named.value("group", split),
        order=named.value("order", split),
        part=split,
        exclude=tuple(data.exclude or ()),
        missing=data.missing != "error",
        text=None if data.categorical == "one_hot" else frozenset(),
        header=data.header,
        complex=data.complex,
        keys=_KEYS,
        locate=locate_role,
    )
    if train is not None and train.columns and read_columns is not None:
        columns = read_columns(path, roles)
        inside = roles.without(roles_apart(path, roles))
        _check_same_columns(train, base.choose_features(columns, inside, str(path)), str(path))
        text = frozenset(train.levels)
        roles = replace(roles, features=train.columns, exclude=(), text=text)
    table = read_table(path, roles)
    base.check_features(table, roles)
    return table


def _check_same_columns(train: Table, columns: tuple[str, ...], origin: str) -> None:
    names, expected = set(columns), set(train.columns or ())
    missing, extra = (
        first_names(map(repr, sorted(some))) for some in (expected - names, names - expected)
    )
    if missing:
        raise InputError(origin, f"has no column {missing}, {train.origin} has")
    if extra:
        what = f"has a column {extra} that {train.origin} has not"
        raise InputError(origin, what, "name the columns to use in data.features")


def _check_different(
    named: _Named, raw: Path, first: SplitName, second: SplitName, tables: dict[SplitName, Table]
) -> None:
    """Refuse one file for two splits; one npz may hold an array of each."""
    files = {
        key: [raw / str(named.value(key, split)) for split in (first, second)]
        for key in ("path", "label", "id", *SPLIT_COLUMNS)
        if named.setting(key) is not None
    }
    path, other = files.pop("path")
    if path.samefile(other) and _is_equal(tables[first].x, tables[second].x):
        what = f"{other} holds the samples of {first}, too"
        mend = "give each split samples of its own"
        if (names := find_reader(path).arrays) is not None:
            arrays = f"{{{first}: NAME, {second}: NAME}} in data.features"
            mend += f", its array by {arrays}: the file holds {first_names(names(path))}"
        raise InputError(f"params.yaml: data.path.{second}", what, mend)
    if any(find_reader(file).layout != "array" for file in (path, other)):
        return
    for key, (file, other) in files.items():
        if file.samefile(other):
            what = f"{other} is the {key} of {first}, too"
            mend = "give each split a file of its own"
            raise InputError(f"params.yaml: {named.key(key)}.{second}", what, mend)


def unread_splits(data: Data, raw: Path, split: Split) -> str:
    """Clause on arrays that nobody reads, named as those of further splits are; or ``""``.

    So of ``features: X_train`` where the npz or hdf5, or of npy files the folder, has ``X_test``.
    """
    if data.source != "file" or not isinstance(data.path, str):
        return ""
    reader, named = find_reader(raw / data.path), _Named(data, split)
    if reader.layout == "columns":
        return ""
    unread: list[str] = []
    settings: list[str] = []
    for role in ("path" if reader.arrays is None else "features", "label", "id", *SPLIT_COLUMNS):
        value = named.setting(role)
        if value is None and settings:
            continue
        own = {*value.values()} if isinstance(value, dict) else {str(value)}
        if reader.arrays is not None:
            names = reader.arrays(raw / data.path)
        else:
            files = sorted((raw / min(own)).parent.glob("*"))
            names = [str(file.relative_to(raw)) for file in files]
        of_splits = next((s for s in split_arrays(names).values() if own <= {*s.values()}), {})
        left = [name for name in of_splits.values() if name not in own]
        if not left and not settings:
            return ""
        unread += left
        words = ", ".join(f"{name}: {of_splits[name]}" for name in SPLITS if name in of_splits)
        settings.append(f"{named.key(role)}: {{{words}}}" if words else "")
    what = f"{first_names(unread)} in {raw if reader.arrays is None else raw / data.path}"
    what += f" {'is' if len(unread) == 1 else 'are'} not read"
    return what + (f": to have further splits, set {' and '.join(settings)}" * all(settings))


def _is_equal(x: NDArray[Any], other: NDArray[Any]) -> bool:
    if x.shape != other.shape:
        return False
    flat = ConcatenatedRows((other,))
    return all(
        np.array_equal(chunk, flat[start : start + len(chunk)], equal_nan=chunk.dtype.kind == "f")
        for start, chunk in chunks(ConcatenatedRows((x,)))
    )
