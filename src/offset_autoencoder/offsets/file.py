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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import SPLITS, SplitName
from offset_autoencoder.config.offset_kinds import FileOffset
from offset_autoencoder.data.readers import READERS, find_reader, read_table
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
    """Refuse, always: a table has vectors for known samples only."""
    raise InputError(
        where,
        "kind file is a table of vectors for known samples: nothing computes f(x) of a new one",
        "give the new samples' vectors yourself, or take kind function",
    )


def read_tables(
    name: str, params: FileOffset, ids: PreparedIds, latent_dim: int, raw: Path
) -> dict[SplitName, Vectors]:
    """Read and check the table of every split.

    Returns:
        The vectors of each split, row-aligned with its samples; of a large file mapped.

    Raises:
        InputError: where a file is missing, damaged or pickled, has another number of columns
            or rows, holds what is not a finite number, or lacks an id, has it twice, or has
            one that no sample has.
    """
    source = _TableSource(f"offsets.{name}", params, latent_dim, raw)
    where = f"params.yaml: {source.key}"
    if not isinstance(params.path, str):
        vectors: dict[SplitName, Vectors] = {}
        if missing := [split for split in SPLITS if split not in params.path]:
            raise InputError(
                f"{where}.path",
                f"names no file for the {missing[0]} split",
                "name one for each of train, validation and test, or one for the whole data set",
            )
        for split in SPLITS:
            table = source.read(f"{source.key}.path.{split}", params.path[split])
            vectors[split] = _vectors(source.align(table, ids.splits[split], f"{split} split"))
        return vectors
    sample_ids = np.concatenate([ids.splits[split] for split in SPLITS])
    if params.id is None and not ids.are_rows:
        raise InputError(
            where,
            "the data has ids of its own (data.id), so that its samples are not told by row",
            f"name the ids of the table in {source.key}.id, or give one file a split",
        )
    if params.id is None and not np.array_equal(np.sort(sample_ids), np.arange(len(sample_ids))):
        raise InputError(
            f"{where}.path",
            "the rows of the data do not count from 0 through all splits",
            "give one file a split",
        )
    x = source.align(source.read(f"{source.key}.path", params.path), sample_ids, "data set")
    if params.id is None:
        x = reorder(x, sample_ids.astype(np.int64))
    ends = np.cumsum([len(ids.splits[split]) for split in SPLITS])
    parts = zip(SPLITS, np.split(np.arange(len(x)), ends[:-1]), strict=True)
    return {split: _vectors(RowSubset(x, part)) for split, part in parts}


@dataclass(frozen=True)
class _TableSource:
    key: str
    params: FileOffset
    latent_dim: int
    raw: Path

    def read(self, path_key: str, name: str) -> Table:
        """Read a file and check its vectors."""
        path = locate(self.raw, name, path_key)
        reader = find_reader(path)
        self._check_keys(reader, path)
        key, params = self.key, self.params
        names = params.columns if params.array is None else [params.array]
        features = f"{key}.array" if reader.layout == "arrays" else f"{key}.columns"
        roles = ColumnRoles(
            features=None if names is None else tuple(names),
            id=params.id,
            keys=RoleKeys(features=features, id=f"{key}.id", label=None, split=None),
            locate=lambda role, name: self._id_file(),
        )
        table = read_table(path, roles)
        _check_values(table, self.latent_dim)
        return table

    def align(self, table: Table, sample_ids: NDArray[Any], samples: str) -> ConcatenatedRows:
        """Vectors in the order of the samples' ids, or, without ids, as they came."""
        x = ConcatenatedRows((table.x,))
        if self.params.id is not None:
            assert table.ids is not None
            return reorder(x, match_ids(table.origin, table.ids, sample_ids, samples))
        if len(x) != len(sample_ids):
            whole = "whole " if samples == "data set" else ""
            raise InputError(
                table.origin,
                f"holds {len(x)} rows, there are {len(sample_ids)} samples of the {whole}{samples}",
                f"give each sample one row, or align by id: name the table's ids in {self.key}.id",
            )
        return x

    def _check_keys(self, reader: Reader, path: Path) -> None:
        if reader.name == "idx":
            raise InputError(
                str(path), "idx holds images", "give the offset as npy, npz, csv, parquet"
            )
        layouts: dict[str, Layout] = {"array": "arrays", "columns": "columns"}
        for part, layout in layouts.items():
            if getattr(self.params, part) is not None and reader.layout != layout:
                names = " and ".join(other.name for other in READERS if other.layout == layout)
                raise InputError(
                    f"params.yaml: {self.key}.{part}",
                    f"goes with {names}, {path} is {reader.name}",
                )

    def _id_file(self) -> Path:
        where = f"params.yaml: {self.key}.id"
        if not isinstance(self.params.path, str):
            raise InputError(
                where,
                "the ids of npy tables, one a split, have no place",
                "give npz, csv or parquet",
            )
        ids = locate(self.raw, self.params.id or "", f"{self.key}.id")
        if find_reader(ids).name != "npy":
            raise InputError(where, f"the ids of an npy table are an npy file, got {ids}")
        return ids


def _vectors(x: Matrix) -> Vectors:
    def converted() -> Iterator[Float32]:
        return (np.ascontiguousarray(chunk, dtype=np.float32) for _, chunk in chunks(x))

    return Vectors((len(x), x.shape[1]), converted)


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


def match_ids(where: str, table_ids: NDArray[Any], sample_ids: NDArray[Any], what: str) -> Int64:
    """Row of a table that each sample's id names, with ``table_ids[rows] == sample_ids``.

    Whole numbers and text are compared as text where one side has the one and the other the
    other, as when a csv of numbers belongs to data whose ids were text.

    Args:
        where: The place that errors name.
        table_ids: The table's ids, whole numbers or text (m,).
        sample_ids: The samples' ids, whole numbers or text (n,), each once.
        what: What the samples are, for messages: ``"train split"``.

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
            f"the id {table_ids[first].item()!r} stands twice, each must stand once",
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
    names = ", ".join(repr(value.item()) for value in ids[:_NAMED])
    return f"id {names}" + (", ..." if len(ids) > _NAMED else "")


KIND = OffsetKind(fit, apply, read=read_tables)
