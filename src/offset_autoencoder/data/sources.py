"""``data.source`` → raw tables: built-in data sets, and the user's files in ``data/raw``."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder import paths
from offset_autoencoder.config.schema import SPLITS, Data, PathOrSplits, SplitName
from offset_autoencoder.data.npz import check_length, read_npz_table
from offset_autoencoder.data.raw_files import format_of, locate
from offset_autoencoder.data.table import Roles, Table
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import open_npy, rows_per_chunk
from offset_autoencoder.io.temp_arrays import row_major

Tables = dict[SplitName | None, Table]
"""One table a split, or the whole data set under None."""

_CACHED = {"mnist": "mnist.npz", "fashion_mnist": "fashion-mnist/"}


def load_source(data: Data, raw: Path = paths.RAW) -> Tables:
    """Read the data set that params.yaml names, as it came.

    Args:
        data: The section ``data`` of params.yaml.
        raw: The folder that files are named relative to.

    Returns:
        The whole data set under None or, where it brings its own splits as files, a table
        a split.

    Raises:
        InputError: where something named is missing, damaged, or cannot be fetched.
    """
    if data.source == "digits":
        return {None: _digits()}
    if data.source == "file":
        return _files(data, raw)
    return _keras(data.source)


def _digits() -> Table:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Table(x=digits.images, origin="digits", labels=digits.target, full_scale=16.0)


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


def _files(data: Data, raw: Path) -> Tables:
    if isinstance(data.path, str):
        return {None: _file(data, raw, None)}
    parts = [name for name in SPLITS if name in (data.path or {})]
    if "train" not in parts:
        raise InputError("params.yaml: data.path", f"names no file for train, only for {parts}")
    tables: Tables = {}
    for part in parts:
        tables[part] = _file(data, raw, part, tables.get("train"))
    for first, second in itertools.combinations(parts, 2):
        _check_different(data, raw, first, second, tables)
    return tables


def _check_different(
    data: Data, raw: Path, first: SplitName, second: SplitName, tables: Tables
) -> None:
    """Refuse one file for two splits; one npz may hold an array of each."""
    one, other = (raw / str(_pick("path", data.path, part)) for part in (first, second))
    if one.samefile(other) and _equal(tables[first].x, tables[second].x):
        raise InputError(
            f"params.yaml: data.path.{second}",
            f"{other} holds the samples of {first}, too",
            "give each split samples of its own",
        )
    if format_of(one) not in ("npy", "idx"):
        return
    for key in ("label", "id"):
        names = [_pick(key, getattr(data, key), part) for part in (first, second)]
        if None not in names and (raw / str(names[0])).samefile(raw / str(names[1])):
            raise InputError(
                f"params.yaml: data.{key}.{second}",
                f"{raw / str(names[1])} is the {key} of {first}, too",
                "give each split a file of its own",
            )


def _equal(x: NDArray[Any], other: NDArray[Any]) -> bool:
    if x.shape != other.shape or not x.size:
        return x.shape == other.shape
    starts = range(0, len(x), rows_per_chunk(x[0].size))
    pieces = [slice(start, start + starts.step) for start in starts]
    return all(np.array_equal(x[piece], other[piece]) for piece in pieces)


def _file(data: Data, raw: Path, part: SplitName | None, train: Table | None = None) -> Table:
    assert data.path is not None
    path = locate(raw, _pick("path", data.path, part) or "", _key("path", part))
    kind = format_of(path)
    label, identity = _pick("label", data.label, part), _pick("id", data.id, part)
    if kind in ("npy", "idx"):
        return _with_files(data, raw, part, path, {"label": label, "id": identity})
    features = (data.features,) if isinstance(data.features, str) else data.features
    roles = Roles(
        features=None if features is None else tuple(features),
        label=label,
        id=identity,
        split=data.split,
    )
    if kind == "npz":
        return read_npz_table(path, roles, part)
    table = _read_columns(kind, path, roles)
    if train is not None and train.columns and table.columns:
        _check_same_columns(train, table)
        if table.columns != train.columns:
            table = _read_columns(kind, path, Roles(train.columns, label, identity))
    return table


def _read_columns(kind: str, path: Path, roles: Roles) -> Table:
    if kind == "csv":
        from offset_autoencoder.data.csv_file import read_csv_table

        return read_csv_table(path, roles)
    from offset_autoencoder.data.parquet import read_parquet_table

    return read_parquet_table(path, roles)


def _check_same_columns(train: Table, table: Table) -> None:
    ours, theirs = set(table.columns or ()), set(train.columns or ())
    if missing := sorted(theirs - ours):
        raise InputError(table.origin, f"has no column {missing[0]!r}, {train.origin} has")
    if extra := sorted(ours - theirs):
        raise InputError(
            table.origin,
            f"has a column {extra[0]!r} that {train.origin} has not",
            "name the columns to use in data.features",
        )


def _with_files(
    data: Data, raw: Path, part: SplitName | None, path: Path, others: dict[str, str | None]
) -> Table:
    """A table whose labels, ids and splits stand in files of their own."""
    if data.features is not None:
        raise InputError(
            "params.yaml: data.features", f"{path} holds one array: there is nothing to name"
        )
    for key in ("label", "id"):
        if part is not None and isinstance(getattr(data, key), str):
            raise InputError(
                f"params.yaml: data.{key}",
                "data.path names a file a split, so this must, too",
                f"{key}: {{train: ..., test: ...}}",
            )
    x = row_major(read_array(path))
    values = {}
    for key, name in {**others, "split": data.split}.items():
        if name is not None:
            file = locate(raw, name, _key(key, part if key != "split" else None))
            values[key] = read_array(file)
            check_length(values[key], x, str(file), key)
    return Table(
        x=x,
        origin=str(path),
        labels=values.get("label"),
        ids=values.get("id"),
        splits=values.get("split"),
    )


def read_array(path: Path, beside: str = "features") -> NDArray[Any]:
    """Labels or ids in a file of their own.

    Args:
        path: The file, npy or idx.
        beside: What they stand beside, for the error.

    Raises:
        InputError: where the file is of another format, or cannot be read.
    """
    kind = format_of(path)
    if kind == "npy":
        return open_npy(path)
    if kind == "idx":
        from offset_autoencoder.data.idx import read_idx

        return read_idx(path)
    raise InputError(str(path), f"is {kind}, expected npy or idx beside {beside} in npy or idx")


def _pick(key: str, value: PathOrSplits | None, part: SplitName | None) -> str | None:
    """What a key says for a split: the same for all, or one value a split."""
    if value is None or isinstance(value, str):
        return value
    if part is None:
        raise InputError(
            f"params.yaml: data.{key}", "names a value a split, but data.path is one file"
        )
    if part not in value:
        raise InputError(f"params.yaml: data.{key}", f"has no {part}, data.path has")
    return value[part]


def _key(key: str, part: SplitName | None) -> str:
    return f"data.{key}" if part is None else f"data.{key}.{part}"
