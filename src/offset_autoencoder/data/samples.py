"""The data set of params.yaml, read from its source: features, ids, classes and splits, checked."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths
from offset_autoencoder.config.schema import SPLITS, Data, SplitName
from offset_autoencoder.data.preprocessing import (
    Preprocessing,
    drop_incomplete,
    encode_categories,
)
from offset_autoencoder.data.readers import base, find_reader, read_table, roles_apart
from offset_autoencoder.data.readers.base import ColumnRoles, Table
from offset_autoencoder.data.readers.conversions import folder_conversion
from offset_autoencoder.data.readers.role_values import check_classes
from offset_autoencoder.errors import InputError, first_names
from offset_autoencoder.io.arrays import ConcatenatedRows, chunks

_KEYS = base.RoleKeys(
    exclude="data.exclude", missing="data.missing", categorical="data.categorical"
)
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
        image_shape: ``(h, w)`` or ``(h, w, c)`` of a sample, or None.
        tables: Sources of the rows, in order.
        preprocessing: What was done to the raw features.
        left_out: Names of features that were left out as constant.
    """

    x: ConcatenatedRows
    ids: NDArray[Any]
    ids_given: bool
    y: NDArray[np.int64] | None
    classes: list[int] | list[str] | None
    splits: NDArray[np.str_] | None
    image_shape: tuple[int, ...] | None
    tables: tuple[Table, ...]
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    left_out: tuple[str, ...] = ()

    @property
    def dropped(self) -> int:
        """Number of rows that were left out for a missing cell."""
        return sum(table.dropped for table in self.tables)

    def location(self, row: int, feature: int | None = None) -> str:
        """Location of a row of the whole, as its own file counts."""
        for table in self.tables:
            if row < len(table.x):
                return table.location(row, feature)
            row -= len(table.x)
        raise IndexError(row)


def load_samples(data: Data, raw: Path = paths.RAW) -> Samples:
    """Read the data set that params.yaml names, check it and join its files.

    Rows follow each other in the order train, validation, test; without ids a sample's id is
    its row in the whole.

    Raises:
        InputError: where something cannot be read (see :func:`load_source`), the tables do not
            fit together, an id stands twice, or ``data.image_shape`` does not fit.
    """
    tables, levels = encode_categories(load_source(data, raw))
    _check_alike(tables)
    if data.missing == "drop":
        tables = tuple(map(drop_incomplete, tables))
    x = ConcatenatedRows(tuple(table.x for table in tables))
    labels = _join([table.labels for table in tables])
    ids = _join([table.ids for table in tables])
    y = classes = None
    if labels is not None:
        values, indices = np.unique(labels, return_inverse=True)
        check_classes(values, len(labels))
        y, classes = indices.astype(np.int64), values.tolist()
    samples = Samples(
        x=x,
        ids=_row_numbers(tables) if ids is None else ids,
        ids_given=ids is not None,
        y=y,
        classes=classes,
        splits=_join([table.splits for table in tables]),
        image_shape=_image_shape(data.image_shape, tables[0].x.shape[1:], x.shape[1]),
        tables=tables,
        preprocessing=Preprocessing(missing=data.missing, levels=levels),
    )
    _check_unique(samples)
    return samples


def _row_numbers(tables: Sequence[Table]) -> NDArray[np.int64]:
    """Numbers of the rows in the whole, as it was before any were left out."""
    firsts = itertools.accumulate((len(t.x) + t.dropped for t in tables), initial=0)
    return np.concatenate([t.row_numbers + first for t, first in zip(tables, firsts, strict=False)])


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


def _image_shape(
    image_shape: Sequence[int] | None, shape: tuple[int, ...], features: int
) -> tuple[int, ...] | None:
    if image_shape is None:
        return tuple(shape) if len(shape) in (2, 3) else None
    where = "params.yaml: data.image_shape"
    if len(image_shape) not in (2, 3):
        raise InputError(where, f"is [h, w] or [h, w, channels], got {list(image_shape)}")
    if (values := math.prod(image_shape)) != features:
        raise InputError(where, f"{list(image_shape)} has {values} values, a sample has {features}")
    return tuple(image_shape)


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
        raise InputError(samples.location(second), what, "ids must be unique")


def load_source(data: Data, raw: Path = paths.RAW) -> tuple[Table, ...]:
    """Read the data set that params.yaml names, unscaled: a table, or one per split.

    Raises:
        InputError: where something named is missing, damaged or cannot be fetched, and where a
            file does not hold samples (see :mod:`.readers.base`).
    """
    if data.source == "file":
        return _read_files(data, raw)
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


def _read_files(data: Data, raw: Path) -> tuple[Table, ...]:
    if isinstance(data.path, str):
        path = locate(raw, data.path, "data.path")
        if not data.splits_named or find_reader(path).layout != "arrays":
            return (_read_file(data, raw, None, None),)
        data = data.model_copy(update={"path": dict.fromkeys(data.splits_named, data.path)})
    splits = [name for name in SPLITS if name in (data.path or {})]
    if "train" not in splits:
        raise InputError("params.yaml: data.path", f"names no file for train, only for {splits}")
    tables: dict[SplitName, Table] = {}
    for split in splits:
        table = _read_file(data, raw, split, tables.get("train"))
        tables[split] = replace(table, splits=np.full(len(table.x), split))
    for first, second in itertools.combinations(splits, 2):
        _check_different(data, raw, first, second, tables)
    return tuple(tables.values())


def _read_file(data: Data, raw: Path, split: SplitName | None, train: Table | None) -> Table:
    """Table of a file; its columns stand in the order of the train file's."""

    def locate_role(role: str, name: str) -> Path:
        if split is not None and isinstance(getattr(data, role), str):
            what = "data.path names a file per split, so this must, too"
            mend = "{train: ..., test: ...}"
            raise InputError(f"params.yaml: data.{role}", what, f"{role}: {mend}")
        return locate(raw, name, _key(data, role, split))

    path = locate(raw, _value(data, "path", split) or "", _key(data, "path", split))
    read_columns = find_reader(path).columns
    if read_columns is not None and isinstance(data.features, dict):
        what = f"names a value per split, but {path} has the same columns in each"
        raise InputError("params.yaml: data.features", what, "name them once: [NAME, ...]")
    features = data.features if isinstance(data.features, list) else _value(data, "features", split)
    if isinstance(features, str):
        features = [features]
    roles = ColumnRoles(
        features=None if features is None else tuple(features),
        label=_value(data, "label", split),
        id=_value(data, "id", split),
        split=data.split,
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
    if missing := sorted(expected - names):
        raise InputError(origin, f"has no column {missing[0]!r}, {train.origin} has")
    if extra := sorted(names - expected):
        what = f"has a column {extra[0]!r} that {train.origin} has not"
        raise InputError(origin, what, "name the columns to use in data.features")


def _check_different(
    data: Data, raw: Path, first: SplitName, second: SplitName, tables: dict[SplitName, Table]
) -> None:
    """Refuse one file for two splits; one npz may hold an array of each."""
    files = {
        key: [raw / str(_value(data, key, split)) for split in (first, second)]
        for key in ("path", "label", "id")
        if getattr(data, key) is not None
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
            raise InputError(f"params.yaml: data.{key}.{second}", what, mend)


def _is_equal(x: NDArray[Any], other: NDArray[Any]) -> bool:
    if x.shape != other.shape:
        return False
    flat = ConcatenatedRows((other,))
    return all(
        np.array_equal(chunk, flat[start : start + len(chunk)], equal_nan=chunk.dtype.kind == "f")
        for start, chunk in chunks(ConcatenatedRows((x,)))
    )


def _value(data: Data, key: str, split: SplitName | None) -> str | None:
    """Value of a key for a split: the same for all, or one value per split."""
    value: Any = getattr(data, key)
    where = f"params.yaml: data.{key}"
    if value is None or isinstance(value, str):
        return value
    if split is None:
        what = "names a value per split, but data.path is one file"
        raise InputError(where, what, "name a file per split in data.path, too")
    if split not in value:
        raise InputError(where, f"has no {split}, data.path has")
    return value[split]


def _key(data: Data, key: str, split: SplitName | None) -> str:
    return f"data.{key}.{split}" if isinstance(getattr(data, key), dict) else f"data.{key}"


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
        hint = folder_conversion(path) or _holds(path)
        raise InputError(where, f"{path} is a folder, expected a file", hint)
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
    return f"{folder} holds {first_names(names)}"
