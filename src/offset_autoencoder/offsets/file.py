"""Kind ``file``: the user's own table, read from ``data/raw`` and aligned with the samples.

One file holds the vectors of the whole data set, or one file a split those of that split.
With ``id``, which names a column (csv, parquet), an array (npz) or, beside one npy, an npy file,
each vector belongs to the sample of that id, in any order. Without it they are aligned by row:
with the rows of the data set as it came, its files one after the other in the order train,
validation, test where it has several (whole data set), or with the rows of
``data/prepared/SPLIT/x.npy``, which stand in ascending order of id (one file a split).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import SPLITS, SplitName
from offset_autoencoder.config.offset_kinds import FileOffset
from offset_autoencoder.data.readers import READERS, find_reader, read_array_table
from offset_autoencoder.data.readers.base import ColumnRoles, Layout, Reader, RoleKeys, Table
from offset_autoencoder.data.samples import locate
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import (
    ConcatenatedRows,
    Matrix,
    RowSubset,
    chunks,
    first_where,
    reorder,
)
from offset_autoencoder.offsets.kind import (
    Float32,
    Int64,
    OffsetKind,
    PreparedIds,
    Samples,
    State,
    Training,
    Vectors,
)

_NAMED = 5  # ids that an error names


def fit(where: str, params: FileOffset, training: Training, latent_dim: int) -> State:
    """Fit nothing: the vectors are read."""
    return {}


def apply(where: str, state: State, samples: Samples) -> Float32:
    """Refuse: a table has vectors for known samples only.

    Raises:
        InputError: always.
    """
    raise InputError(
        where,
        "kind file is a table of vectors for known samples: nothing computes f(x) of a new one",
        "give the new samples' vectors yourself, or take kind function",
    )


def read_tables(
    name: str, params: FileOffset, ids: PreparedIds, latent_dim: int, raw: Path
) -> dict[SplitName, Vectors]:
    """Read and check the table of every split.

    Args:
        name: The name under ``offsets:``.
        params: Its section of params.yaml.
        ids: The samples.
        latent_dim: Length that the vectors must have.
        raw: ``data/raw``.

    Returns:
        The vectors of each split, row-aligned with its samples; of a large file mapped.

    Raises:
        InputError: where a file is missing, damaged or pickled, has another number of columns
            or rows, holds what is not a finite number, or lacks an id, has it twice, or has
            one that no sample has.
    """
    key = f"offsets.{name}"
    if isinstance(params.path, str):
        return _whole(key, params, params.path, ids, latent_dim, raw)
    for split in SPLITS:
        if split not in params.path:
            raise InputError(
                f"params.yaml: {key}.path",
                f"names no file for the {split} split",
                "name one for each of train, validation and test, or one for the whole data set",
            )
    return {
        split: _one_split(f"{key}.path.{split}", key, params, split, ids, latent_dim, raw)
        for split in SPLITS
    }


def _whole(
    key: str, params: FileOffset, path: str, ids: PreparedIds, latent_dim: int, raw: Path
) -> dict[SplitName, Vectors]:
    wanted = np.concatenate([ids.splits[split] for split in SPLITS])
    if params.id is None and not ids.are_rows:
        raise InputError(
            f"params.yaml: {key}",
            "the data has ids of its own (data.id), so that its samples are not told by row",
            f"name the ids of the table in {key}.id, or give one file a split",
        )
    if params.id is None and not np.array_equal(np.sort(wanted), np.arange(len(wanted))):
        raise InputError(
            f"params.yaml: {key}.path",
            "the rows of the data do not count from 0 through all splits",
            "give one file a split",
        )
    table = _read(f"{key}.path", key, params, path, raw)
    _check_values(table, latent_dim)
    if params.id is None:
        _check_rows(key, table, len(wanted), "samples of the whole data set")
        rows = wanted.astype(np.int64)
    else:
        rows = match_ids(table.origin, _ids(table), wanted, "data set")
    ends = np.cumsum([len(ids.splits[split]) for split in SPLITS])
    ordered = reorder(ConcatenatedRows((table.x,)), rows)
    places = zip(SPLITS, np.split(np.arange(len(rows)), ends[:-1]), strict=True)
    return {split: _vectors(RowSubset(ordered, part)) for split, part in places}


def _one_split(
    path_key: str,
    key: str,
    params: FileOffset,
    split: SplitName,
    ids: PreparedIds,
    latent_dim: int,
    raw: Path,
) -> Vectors:
    assert not isinstance(params.path, str)
    wanted = ids.splits[split]
    table = _read(path_key, key, params, params.path[split], raw)
    _check_values(table, latent_dim)
    x = ConcatenatedRows((table.x,))
    if params.id is None:
        _check_rows(key, table, len(wanted), f"samples of the {split} split")
        return _vectors(x)
    return _vectors(reorder(x, match_ids(table.origin, _ids(table), wanted, f"{split} split")))


def _vectors(x: Matrix) -> Vectors:
    def converted() -> Iterator[Float32]:
        return (np.ascontiguousarray(chunk, dtype=np.float32) for _, chunk in chunks(x))

    return Vectors((len(x), x.shape[1]), converted)


def _read(path_key: str, key: str, params: FileOffset, name: str, raw: Path) -> Table:
    path = locate(raw, name, path_key)
    reader = find_reader(path)
    _check_keys(key, params, reader, path)
    if reader.layout == "array":
        return _read_array(key, params, path, raw)
    named = params.columns if params.array is None else [params.array]
    features = f"{key}.array" if reader.layout == "arrays" else f"{key}.columns"
    keys = RoleKeys(features=features, id=f"{key}.id", label=None, split=None)
    roles = ColumnRoles(features=None if named is None else tuple(named), id=params.id, keys=keys)
    return reader.read(path, roles, None)


def _check_keys(key: str, params: FileOffset, reader: Reader, path: Path) -> None:
    if reader.name == "idx":
        raise InputError(str(path), "idx holds images", "give the offset as npy, npz, csv, parquet")
    layouts: dict[str, Layout] = {"array": "arrays", "columns": "columns"}
    for part, layout in layouts.items():
        if getattr(params, part) is not None and reader.layout != layout:
            names = " and ".join(other.name for other in READERS if other.layout == layout)
            raise InputError(
                f"params.yaml: {key}.{part}", f"goes with {names}, {path} is {reader.name}"
            )


def _read_array(key: str, params: FileOffset, path: Path, raw: Path) -> Table:
    if params.id is None:
        return read_array_table(path, {})
    where = f"params.yaml: {key}.id"
    if not isinstance(params.path, str):
        raise InputError(
            where, "the ids of npy tables, one a split, have no place", "give npz, csv or parquet"
        )
    ids = locate(raw, params.id, f"{key}.id")
    if find_reader(ids).name != "npy":
        raise InputError(where, f"the ids of an npy table are an npy file, got {ids}")
    return read_array_table(path, {"id": ids})


def _check_values(table: Table, latent_dim: int) -> None:
    if table.x.dtype.kind not in "fiub":
        raise InputError(table.origin, f"holds {table.x.dtype}, expected real numbers")
    if table.x.ndim != 2:
        raise InputError(
            table.origin, f"has shape {table.x.shape}, expected (samples, {latent_dim})"
        )
    if table.x.shape[1] != latent_dim:
        raise InputError(
            table.origin,
            f"holds vectors of {table.x.shape[1]} columns, network.latent_dim is {latent_dim}",
            f"give the models with this offset latent_dim: {table.x.shape[1]}",
        )
    x = ConcatenatedRows((table.x,))
    if found := first_where(x, _is_no_float32):
        row, column = found
        raise InputError(
            table.location(row, column),
            f"{x[row : row + 1][0, column]} is not a finite float32 number",
        )


def _is_no_float32(values: NDArray[Any]) -> NDArray[np.bool_]:
    with np.errstate(over="ignore"):
        finite: NDArray[np.bool_] = np.isfinite(values.astype(np.float32))
    return ~finite


def _ids(table: Table) -> NDArray[Any]:
    assert table.ids is not None
    if table.ids.dtype.kind not in "iuU":
        raise InputError(
            table.origin, f"its ids are {table.ids.dtype}, expected whole numbers or text"
        )
    return table.ids if table.ids.dtype.kind == "U" else table.ids.astype(np.int64)


def _check_rows(key: str, table: Table, n: int, what: str) -> None:
    if len(table.x) != n:
        raise InputError(
            table.origin,
            f"holds {len(table.x)} rows, there are {n} {what}",
            f"give each sample one row, or align by id: name the table's ids in {key}.id",
        )


def match_ids(where: str, table_ids: NDArray[Any], sample_ids: NDArray[Any], what: str) -> Int64:
    """Row of a table that each sample's id names.

    Whole numbers and text are compared as text where one side has the one and the other the
    other, as when a csv of numbers belongs to data whose ids were text.

    Args:
        where: The place that errors name.
        table_ids: The table's ids, whole numbers or text (m,).
        sample_ids: The samples' ids, whole numbers or text (n,), each once.
        what: What the samples are, for messages: ``"train split"``.

    Returns:
        Rows (n,) with ``table_ids[rows] == sample_ids``.

    Raises:
        InputError: where an id stands twice in the table, is missing from it, or belongs to
            no sample; naming the first few.
    """
    if (table_ids.dtype.kind == "U") != (sample_ids.dtype.kind == "U"):
        table_ids, sample_ids = table_ids.astype(np.str_), sample_ids.astype(np.str_)
    order = np.argsort(table_ids, kind="stable")
    ordered = table_ids[order]
    again = np.flatnonzero(ordered[1:] == ordered[:-1])
    if again.size:
        first, second = order[again[0]], order[again[0] + 1]
        raise InputError(
            f"{where}, rows {first} and {second}",
            f"the id {_name(table_ids[first])} stands twice, each must stand once",
        )
    missing = sample_ids[~np.isin(sample_ids, table_ids)]
    if missing.size:
        raise InputError(
            where,
            f"has no vector for {_count(missing, 'sample')} of the {what}: {_list(missing)}",
            "every sample needs one",
        )
    unknown = table_ids[~np.isin(table_ids, sample_ids)]
    if unknown.size:
        raise InputError(
            where,
            f"has {_count(unknown, 'id')} of no sample of the {what}: {_list(unknown)}",
            "remove these rows or fix their ids",
        )
    rows: Int64 = order[np.searchsorted(ordered, sample_ids)].astype(np.int64)
    return rows


def _count(ids: NDArray[Any], noun: str) -> str:
    return f"{len(ids)} {noun}{'s' if len(ids) != 1 else ''}"


def _list(ids: NDArray[Any]) -> str:
    shown = ", ".join(_name(value) for value in ids[:_NAMED])
    return f"id {shown}" + (", ..." if len(ids) > _NAMED else "")


def _name(value: Any) -> str:
    return repr(value.item())


KIND = OffsetKind(fit, apply, read=read_tables)
