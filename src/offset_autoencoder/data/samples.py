"""One checked data set from the raw tables: flat features, class indices, unique ids."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths
from offset_autoencoder.config.schema import SPLITS, Data, PathOrSplits, SplitName
from offset_autoencoder.data.readers import find_reader, read_array_table
from offset_autoencoder.data.readers.base import (
    ColumnRoles,
    Table,
    as_ids,
    as_labels,
    as_splits,
    check_features,
)
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import ConcatenatedRows, rows_per_chunk


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
    """

    x: ConcatenatedRows
    ids: NDArray[Any]
    ids_given: bool
    y: NDArray[np.int64] | None
    classes: list[int] | list[str] | None
    splits: NDArray[np.str_] | None
    image_shape: tuple[int, ...] | None
    tables: tuple[Table, ...]

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

    Args:
        data: The section ``data`` of params.yaml.
        raw: The folder that files are named relative to.

    Raises:
        InputError: where something cannot be read (see :func:`.load_source`), a table is not fit
            (see :mod:`.checks`), the tables do not fit together, an id stands twice, or
            ``data.image_shape`` does not fit.
    """
    tables = load_source(data, raw)
    parts = tuple(tables.values())
    for table in parts:
        check_features(table)
    _check_alike(parts)
    x = ConcatenatedRows(tuple(table.x for table in parts))
    y, classes = _classes(parts)
    samples = Samples(
        x=x,
        ids=_ids(parts, len(x)),
        ids_given=parts[0].ids is not None,
        y=y,
        classes=classes,
        splits=_splits(tables),
        image_shape=_image_shape(data.image_shape, parts[0].x.shape[1:], x.shape[1]),
        tables=parts,
    )
    _check_unique(samples)
    return samples


def _check_alike(parts: Sequence[Table]) -> None:
    first = parts[0]
    for table in parts[1:]:
        if table.x.shape[1:] != first.x.shape[1:]:
            raise InputError(
                table.origin,
                f"has samples of shape {table.x.shape[1:]}, {first.origin} of {first.x.shape[1:]}",
            )
        # The integers of a csv may be whole by chance; uint8 in one file and floats in the
        # other are two scales.
        if table.x.dtype != first.x.dtype and not (table.columns and first.columns):
            raise InputError(
                table.origin, f"holds {table.x.dtype}, {first.origin} holds {first.x.dtype}"
            )


def _join(values: Sequence[NDArray[Any]]) -> NDArray[Any]:
    if len({array.dtype.kind for array in values}) > 1:
        values = [array.astype(np.str_) for array in values]
    return np.concatenate(values)


def _classes(
    parts: Sequence[Table],
) -> tuple[NDArray[np.int64] | None, list[int] | list[str] | None]:
    labels = [as_labels(table, table.labels) for table in parts if table.labels is not None]
    if not labels:
        return None, None
    classes, y = np.unique(_join(labels), return_inverse=True)
    return y.astype(np.int64), classes.tolist()


def _ids(parts: Sequence[Table], samples: int) -> NDArray[Any]:
    ids = [as_ids(table, table.ids) for table in parts if table.ids is not None]
    return _join(ids) if ids else np.arange(samples, dtype=np.int64)


def _splits(tables: Tables) -> NDArray[np.str_] | None:
    if None in tables:
        table = tables[None]
        return None if table.splits is None else as_splits(table, table.splits)
    return np.repeat(
        np.array([str(name) for name in tables]), [len(table.x) for table in tables.values()]
    )


def _image_shape(
    image_shape: Sequence[int] | None, shape: tuple[int, ...], features: int
) -> tuple[int, ...] | None:
    if image_shape is None:
        return tuple(shape) if len(shape) in (2, 3) else None
    if len(image_shape) not in (2, 3):
        raise InputError(
            "params.yaml: data.image_shape",
            f"is [h, w] or [h, w, channels], got {list(image_shape)}",
        )
    if math.prod(image_shape) != features:
        raise InputError(
            "params.yaml: data.image_shape",
            f"{list(image_shape)} has {math.prod(image_shape)} values, a sample has {features}",
        )
    return tuple(image_shape)


def _check_unique(samples: Samples) -> None:
    if not samples.ids_given:
        return
    order = np.argsort(samples.ids, kind="stable")
    repeats = (samples.ids[order[1:]] == samples.ids[order[:-1]]).nonzero()[0]
    if len(repeats):
        position = repeats[np.argmin(order[repeats + 1])]
        first, second = int(order[position]), int(order[position + 1])
        raise InputError(
            samples.location(second),
            f"id {samples.ids[second].item()!r} stands twice: it is that of "
            f"{samples.location(first)}, too",
            "ids must be unique",
        )


Tables = dict[SplitName | None, Table]
"""One table per split, or the whole data set under None."""

_LISTED = 8
_CACHED = {"mnist": "mnist.npz", "fashion_mnist": "fashion-mnist/"}


def load_source(data: Data, raw: Path = paths.RAW) -> Tables:
    """Read the data set that params.yaml names, unscaled.

    Args:
        data: The section ``data`` of params.yaml.
        raw: The folder that files are named relative to.

    Returns:
        The whole data set under None or, where it brings its own splits as files, one table
        per split.

    Raises:
        InputError: where something named is missing, damaged, or cannot be fetched.
    """
    if data.source == "file":
        return _files(data, raw)
    return _BUILT_IN[data.source]()


def _digits() -> Tables:
    from sklearn.datasets import load_digits

    digits = load_digits()
    table = Table(x=digits.images, origin="digits", labels=digits.target, full_scale=16.0)
    return {None: table}


def _keras(source: str) -> Tables:
    # TensorFlow reads these when it is first imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    try:
        train, test = getattr(keras.datasets, source).load_data()
    # Keras raises a bare Exception where a download fails, and others where the cache is bad.
    except Exception as error:
        home = Path(os.environ.get("KERAS_HOME") or "~/.keras")
        raise InputError(
            f"params.yaml: data.source: {source}",
            f"the data could not be fetched: {error}",
            f"put Keras's own file in its cache as {home}/datasets/{_CACHED[source]}, or any copy "
            f"in {paths.RAW} and set data.source: file",
        ) from None
    return {
        "train": Table(x=train[0], labels=train[1], origin=f"{source}, train", full_scale=255.0),
        "test": Table(x=test[0], labels=test[1], origin=f"{source}, test", full_scale=255.0),
    }


_BUILT_IN: dict[str, Callable[[], Tables]] = {
    "digits": _digits,
    "mnist": lambda: _keras("mnist"),
    "fashion_mnist": lambda: _keras("fashion_mnist"),
}


def _files(data: Data, raw: Path) -> Tables:
    if isinstance(data.path, str):
        return {None: _file(data, raw, None)}
    splits = [name for name in SPLITS if name in (data.path or {})]
    if "train" not in splits:
        raise InputError("params.yaml: data.path", f"names no file for train, only for {splits}")
    tables: Tables = {}
    for split in splits:
        tables[split] = _file(data, raw, split, tables.get("train"))
    for first, second in itertools.combinations(splits, 2):
        _check_different(data, raw, first, second, tables)
    return tables


def _check_different(
    data: Data, raw: Path, first: SplitName, second: SplitName, tables: Tables
) -> None:
    """Refuse one file for two splits; one npz may hold an array of each."""
    path, other = (raw / str(_value("path", data.path, split)) for split in (first, second))
    if path.samefile(other) and _is_equal(tables[first].x, tables[second].x):
        raise InputError(
            f"params.yaml: data.path.{second}",
            f"{other} holds the samples of {first}, too",
            "give each split samples of its own",
        )
    if find_reader(path).layout != "array":
        return
    for key in ("label", "id"):
        names = [_value(key, getattr(data, key), split) for split in (first, second)]
        if None not in names and (raw / str(names[0])).samefile(raw / str(names[1])):
            raise InputError(
                f"params.yaml: data.{key}.{second}",
                f"{raw / str(names[1])} is the {key} of {first}, too",
                "give each split a file of its own",
            )


def _is_equal(x: NDArray[Any], other: NDArray[Any]) -> bool:
    if x.shape != other.shape or not x.size:
        return x.shape == other.shape
    starts = range(0, len(x), rows_per_chunk(x[0].size))
    pieces = [slice(start, start + starts.step) for start in starts]
    return all(np.array_equal(x[piece], other[piece]) for piece in pieces)


def _file(data: Data, raw: Path, split: SplitName | None, train: Table | None = None) -> Table:
    assert data.path is not None
    path = locate(raw, _value("path", data.path, split) or "", _key("path", split))
    reader = find_reader(path)
    label, identity = _value("label", data.label, split), _value("id", data.id, split)
    if reader.layout == "array":
        return _with_files(data, raw, split, path, {"label": label, "id": identity})
    features = (data.features,) if isinstance(data.features, str) else data.features
    roles = ColumnRoles(
        features=None if features is None else tuple(features),
        label=label,
        id=identity,
        split=data.split,
    )
    table = reader.read(path, roles, split)
    if train is not None and train.columns and table.columns:
        _check_same_columns(train, table)
        if table.columns != train.columns:
            table = reader.read(path, ColumnRoles(train.columns, label, identity), split)
    return table


def _check_same_columns(train: Table, table: Table) -> None:
    names, expected = set(table.columns or ()), set(train.columns or ())
    if missing := sorted(expected - names):
        raise InputError(table.origin, f"has no column {missing[0]!r}, {train.origin} has")
    if extra := sorted(names - expected):
        raise InputError(
            table.origin,
            f"has a column {extra[0]!r} that {train.origin} has not",
            "name the columns to use in data.features",
        )


def _with_files(
    data: Data, raw: Path, split: SplitName | None, path: Path, names: dict[str, str | None]
) -> Table:
    """Table whose labels, ids and splits are in files of their own."""
    if data.features is not None:
        raise InputError(
            "params.yaml: data.features", f"{path} holds one array: there is nothing to name"
        )
    for key in names:
        if split is not None and isinstance(getattr(data, key), str):
            raise InputError(
                f"params.yaml: data.{key}",
                "data.path names a file per split, so this must, too",
                f"{key}: {{train: ..., test: ...}}",
            )
    files = {
        key: locate(raw, name, _key(key, split if key != "split" else None))
        for key, name in {**names, "split": data.split}.items()
        if name is not None
    }
    return read_array_table(path, files)


def _value(key: str, value: PathOrSplits | None, split: SplitName | None) -> str | None:
    """Value of a key for a split: the same for all, or one value per split."""
    if value is None or isinstance(value, str):
        return value
    if split is None:
        raise InputError(
            f"params.yaml: data.{key}", "names a value per split, but data.path is one file"
        )
    if split not in value:
        raise InputError(f"params.yaml: data.{key}", f"has no {split}, data.path has")
    return value[split]


def _key(key: str, split: SplitName | None) -> str:
    return f"data.{key}" if split is None else f"data.{key}.{split}"


def locate(raw: Path, name: str, key: str) -> Path:
    """Path of a file that params.yaml names relative to ``data/raw``.

    A symbolic link inside the folder may point out of it (DVC's cache links files so); a
    name may not. What a temporary clone lacks is brought in from the project it is made of.

    Args:
        raw: The folder.
        name: The file's name in it.
        key: The key that names it, for messages: ``"data.path"``.

    Raises:
        InputError: where the name leaves the folder, or is not a file that can be read.
    """
    where = f"params.yaml: {key}"
    inside = os.path.normpath(name)
    if not name.strip() or Path(name).is_absolute() or os.pardir in Path(inside).parts[:1]:
        raise InputError(
            where, f"{name!r} is not inside {raw}", f"put the file there and name it from {raw} on"
        )
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
