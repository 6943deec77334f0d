"""The data set of params.yaml, read from its source: features, ids, classes and splits, checked."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths
from offset_autoencoder.config.schema import SPLIT_COLUMNS, SPLITS, Data, Split, SplitName
from offset_autoencoder.data.readers import base, find_reader, read_table
from offset_autoencoder.data.readers.base import ColumnRoles, Table
from offset_autoencoder.data.shapes import SampleShape
from offset_autoencoder.data.splits import as_moments
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import ConcatenatedRows, chunks

_LISTED = 8
_CACHED = {"mnist": "mnist.npz", "fashion_mnist": "fashion-mnist/"}


@dataclass(frozen=True)
class Samples:
    """Data set before it is split and scaled.

    Attributes:
        x: ``(n, D)`` raw features, read where they lie; images are flattened in C order.
        ids: ``(n,)`` int64 or text, each once.
        ids_given: Whether the ids are the user's; otherwise they are row numbers.
        y: ``(n,)`` int64 index into ``classes``, or None.
        classes: The labels as they came, ascending, or None.
        splits: ``(n,)`` name of the split that the source assigns, or None where it assigns none.
        groups: ``(n,)`` int64 or text, equal for samples that stay in one split, or None.
        moments: ``(n,)`` numbers or dates that order the samples, or None.
        shape: How a sample's values are read, as an image or a series.
        tables: Sources of the rows, in order.
    """

    x: ConcatenatedRows
    ids: NDArray[Any]
    ids_given: bool
    y: NDArray[np.int64] | None
    classes: list[int] | list[str] | None
    splits: NDArray[np.str_] | None
    shape: SampleShape
    tables: tuple[Table, ...]
    groups: NDArray[Any] | None = None
    moments: NDArray[Any] | None = None

    def location(self, row: int, feature: int | None = None) -> str:
        """Location of a row of the whole, as its own file counts."""
        for table in self.tables:
            if row < len(table.x):
                return table.location(row, feature)
            row -= len(table.x)
        raise IndexError(row)


def load_samples(
    data: Data,
    raw: Path = paths.RAW,
    split: Split = Split(),  # noqa: B008
    *,
    draw_series: bool = False,
) -> Samples:
    """Read the data set that params.yaml names, check it and join its files.

    Rows follow each other in the order train, validation, test; without ids a sample's id is
    its row in the whole. ``draw_series`` is that of :meth:`.SampleShape.of`.

    Raises:
        InputError: where something cannot be read (see :func:`load_source`), the tables do not
            fit together, an id stands twice, or a shape under ``data`` does not fit.
    """
    tables = load_source(data, raw, split)
    _check_alike(tables)
    x = ConcatenatedRows(tuple(table.x for table in tables))
    labels = _join([table.labels for table in tables])
    ids = _join([table.ids for table in tables])
    y = classes = None
    if labels is not None:
        values, indices = np.unique(labels, return_inverse=True)
        y, classes = indices.astype(np.int64), values.tolist()
    samples = Samples(
        x=x,
        ids=np.arange(len(x), dtype=np.int64) if ids is None else ids,
        ids_given=ids is not None,
        y=y,
        classes=classes,
        splits=_join([table.splits for table in tables]),
        shape=SampleShape.of(data, tables[0].x.shape[1:], x.shape[1], draw_series=draw_series),
        tables=tables,
        groups=_join([table.groups for table in tables]),
    )
    _check_unique(samples)
    orders = _join([table.orders for table in tables])
    moments = None if orders is None else as_moments(orders, samples.location)
    return replace(samples, moments=moments)


def _check_alike(tables: Sequence[Table]) -> None:
    first = tables[0]
    for table in tables[1:]:
        if table.x.shape[1:] != first.x.shape[1:]:
            shapes = f"{table.x.shape[1:]}, {first.origin} of {first.x.shape[1:]}"
            raise InputError(table.origin, f"has samples of shape {shapes}")
        # The integers of a csv may be whole by chance; uint8 in one file and floats in the
        # other are two scales.
        if table.x.dtype != first.x.dtype and not (table.columns and first.columns):
            what = f"holds {table.x.dtype}, {first.origin} holds {first.x.dtype}"
            raise InputError(table.origin, what)


def _join(parts: Sequence[NDArray[Any] | None]) -> NDArray[Any] | None:
    arrays = [array for array in parts if array is not None]
    if len({array.dtype.kind for array in arrays}) > 1:
        arrays = [array.astype(np.str_) for array in arrays]
    return np.concatenate(arrays) if arrays else None


def _check_unique(samples: Samples) -> None:
    if not samples.ids_given:
        return
    order = np.argsort(samples.ids, kind="stable")
    repeats = (samples.ids[order[1:]] == samples.ids[order[:-1]]).nonzero()[0]
    if len(repeats):
        position = repeats[np.argmin(order[repeats + 1])]
        first, second = int(order[position]), int(order[position + 1])
        what = f"id {samples.ids[second].item()!r} stands twice: it is that of "
        what += f"{samples.location(first)}, too"
        if (more := len(np.unique(samples.ids[order[repeats]])) - 1) > 0:
            what += f"; {more} more ids stand twice"
        if samples.splits is not None:
            of_split = {name: samples.ids[samples.splits == name] for name in SPLITS}
            for name, other in itertools.combinations(SPLITS, 2):
                if both := len(np.intersect1d(of_split[name], of_split[other])):
                    what += f"; {both} of {other} stand in {name}, too"
        mend = "ids must be unique; rows that belong together are kept in one split by split.group"
        raise InputError(samples.location(second), what, mend)


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
    # TensorFlow reads these when it is first imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

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
        value: str | dict[SplitName, str] | None = getattr(
            self.split if role in SPLIT_COLUMNS else self.data, role
        )
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
            raise InputError(where, "names a value per split, but data.path is one file")
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
        return (_read_file(named, raw, None, None),)
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
    features = [data.features] if isinstance(data.features, str) else data.features
    roles = ColumnRoles(
        features=None if features is None else tuple(features),
        label=named.value("label", split),
        id=named.value("id", split),
        split=data.split,
        group=named.value("group", split),
        order=named.value("order", split),
        part=split,
        locate=locate_role,
    )
    columns = find_reader(path).columns
    if train is not None and train.columns and columns is not None:
        _check_same_columns(train, base.choose_features(columns(path), roles, str(path)), str(path))
        roles = replace(roles, features=train.columns)
    table = read_table(path, roles)
    base.check_features(table, roles)
    return table


def _check_same_columns(train: Table, columns: tuple[str, ...], origin: str) -> None:
    names, expected = set(columns), set(train.columns or ())
    if missing := sorted(expected - names):
        raise InputError(origin, f"has no column {missing[0]!r}, {train.origin} has")
    if extra := sorted(names - expected):
        what = f"has a column {extra[0]!r} that {train.origin} has not"
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
        raise InputError(f"params.yaml: data.path.{second}", what, mend)
    if any(find_reader(file).layout != "array" for file in (path, other)):
        return
    for key, (file, other) in files.items():
        if file.samefile(other):
            what = f"{other} is the {key} of {first}, too"
            mend = "give each split a file of its own"
            raise InputError(f"params.yaml: {named.key(key)}.{second}", what, mend)


def _is_equal(x: NDArray[Any], other: NDArray[Any]) -> bool:
    if x.shape != other.shape:
        return False
    flat = ConcatenatedRows((other,))
    return all(
        np.array_equal(chunk, flat[start : start + len(chunk)])
        for start, chunk in chunks(ConcatenatedRows((x,)))
    )


def locate(raw: Path, name: str, key: str) -> Path:
    """Path of a file that params.yaml names under ``key``, relative to ``data/raw``.

    A symbolic link inside the folder may point out of it (DVC's cache links files so); a
    name may not. What a temporary clone lacks is brought in from the project it is made of.

    Raises:
        InputError: where the name leaves the folder, or is not a file that can be read.
    """
    where = f"params.yaml: {key}"
    inside = os.path.normpath(name)
    if not name.strip() or Path(name).is_absolute() or os.pardir in Path(inside).parts[:1]:
        mend = f"put the file there and name it from {raw} on"
        raise InputError(where, f"{name!r} is not inside {raw}", mend)
    path = raw / inside
    if not path.exists():
        paths.copy_into_clone(raw)
    if path.is_dir():
        raise InputError(where, f"{path} is a folder, expected a file", _holds(path))
    if not path.exists():
        tracked = path.with_name(f"{path.name}.dvc").exists()
        hint = "DVC knows it: run dvc pull" if tracked else _holds(raw)
        raise InputError(where, f"there is no file {path}", hint)
    try:
        path.open("rb").close()
    except OSError as error:
        raise InputError(where, f"{path} cannot be read: {error.strerror}") from None
    return path


def _holds(folder: Path) -> str:
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in (folder.rglob("*") if folder.is_dir() else ())
        if path.is_file()
        and path.suffix != ".dvc"
        and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )
    if not names:
        return f"{folder} is empty"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{folder} holds {', '.join(names[:_LISTED])}{more}"
