"""Kind ``file``: the user's own table, read from ``data/raw`` and aligned with the samples.

One file holds the vectors of the whole data set, or one file a split those of that split.
With ``id``, which names a column (csv, parquet), an array (npz) or, beside one npy, an npy file,
each vector belongs to the sample of that id, in any order. Without it they are aligned by row:
with the rows of the data set as it came, its files one after the other in the order train,
validation, test where it has several (whole data set), or with the rows of
``data/prepared/SPLIT/x.npy``, which stand in ascending order of id (one file a split). Where each
seed has a split of its own, files of splits are those of the first seed's, and a sample keeps its
vector in the splits of all others.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import values
from offset_autoencoder.config.data_schema import SPLITS, Complex, SplitName
from offset_autoencoder.config.offset_kinds import FileOffset
from offset_autoencoder.data.prepared import PreparedData
from offset_autoencoder.data.readers import READERS, base, find_reader, locate, read_table
from offset_autoencoder.data.readers.role_values import whole_numbers
from offset_autoencoder.errors import InputError, first_names
from offset_autoencoder.io import arrays
from offset_autoencoder.offsets import kind
from offset_autoencoder.offsets.table import INFO, read_info

_NAMED = 5  # ids that an error names


def fit(where: str, params: FileOffset, training: kind.Training, latent_dim: int) -> kind.State:
    """Fit nothing: the vectors are read."""
    return {}


def apply(where: str, state: kind.State, samples: kind.Samples) -> kind.Float32:
    """Refuse, always: a table has vectors for known samples only."""
    what = "kind file is a table of vectors for known samples: nothing computes f(x) of a new one"
    raise InputError(where, what, "give the new samples' vectors yourself, or take kind function")


def read_tables(
    name: str, params: FileOffset, data: PreparedData, latent_dim: int, raw: Path
) -> kind.Vectors:
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
    ids = {split: data.split(split).ids for split in SPLITS}
    if params.by_split:
        for key, value in (("path", params.path), ("array", params.array), ("id", params.id)):
            missing = [split for split in SPLITS if isinstance(value, dict) and split not in value]
            if missing:
                what = f"names no {'file' if key == 'path' else key} for the {missing[0]} split"
                mend = (
                    "name one for each of train, validation and test, or one for the whole data set"
                )
                raise InputError(f"{where}.{key}", what, mend)
        return {
            split: _float32(source.read(split, ids[split], f"{split} split")) for split in SPLITS
        }
    sample_ids = np.concatenate([part.ids for part in data.parts.values()])
    if params.id is None and data.schema.ids != "rows":
        what = "the data has ids of its own (data.id), so that its samples are not told by row"
        mend = f"name the ids of the table in {source.key}.id, or give one file per split"
        raise InputError(where, what, mend)
    x = source.read(None, sample_ids, "data set", dropped=data.schema.dropped)
    if params.id is None:  # the ids are all the rows of the data set, once
        x = arrays.reorder(x, sample_ids)
    ends = np.cumsum([len(ids[split]) for split in SPLITS])
    # Last come the vectors of samples in no split.
    parts = zip(SPLITS, np.split(np.arange(len(x)), ends), strict=False)
    return {split: _float32(arrays.RowSubset(x, part)) for split, part in parts}


def stored_lookup(folder: Path, raw: Path) -> Callable[[NDArray[Any]], kind.Float32] | None:
    """Function from ids of samples, (n,), to their vectors in the file that a table was read from.

    The file is read when it is first asked, as it then is: it may have got vectors of new samples.

    Args:
        folder: The folder of the table, with its offset.json.
        raw: ``data/raw``.

    Returns:
        The function, which raises InputError where the file lacks an id; None where the file goes
        by row.
    """
    info = read_info(folder)
    params = values.validate_section(FileOffset, str(folder / INFO), info["params"])
    if params.id is None:
        return None
    source = _TableSource(f"offsets.{info['name']}", params, int(info["latent_dim"]), raw)

    @functools.cache
    def read_tables() -> list[base.Table]:
        return [source.table(split) for split in (SPLITS if params.by_split else (None,))]

    def look_up(ids: NDArray[Any]) -> kind.Float32:
        tables = read_tables()
        known = np.concatenate([table.ids for table in tables if table.ids is not None])
        files = " and ".join(dict.fromkeys(table.origin for table in tables))
        rows, _ = _find_ids(files, known, ids, "input")
        x = arrays.ConcatenatedRows(tuple(table.x for table in tables))
        return np.ascontiguousarray(x[rows], dtype=np.float32)

    return look_up


def _float32(x: arrays.Matrix) -> Iterator[kind.Float32]:
    return (np.ascontiguousarray(chunk, dtype=np.float32) for _, chunk in arrays.chunks(x))


@dataclass(frozen=True)
class _TableSource:
    key: str
    params: FileOffset
    latent_dim: int
    raw: Path

    def read(
        self,
        split: SplitName | None,
        sample_ids: NDArray[Any],
        samples: str,
        dropped: int = 0,
    ) -> arrays.ConcatenatedRows:
        """Vectors in the order of the samples' ids, or, without ids, as they came.

        ``split`` is that of the samples; None: they are the whole data set. The file may have the
        vectors of as many rows more as the data set's have been ``dropped``.
        """
        table, key = self.table(split), self.key
        x = arrays.ConcatenatedRows((table.x,))
        if table.ids is not None:
            rows = match_ids(table.origin, table.ids, sample_ids, samples, dropped)
            return arrays.reorder(x, rows)
        if len(x) != len(sample_ids) + dropped:
            whole = "whole " if samples == "data set" else ""
            what = f"holds {len(x)} rows, there are {len(sample_ids) + dropped} samples of the "
            mend = f"give each sample one row, or align by id: name the table's ids in {key}.id"
            raise InputError(table.origin, f"{what}{whole}{samples}", mend)
        return x

    def table(self, split: SplitName | None) -> base.Table:
        """Vectors and, where they are named, ids of a split's file, or (None) of the one file."""
        path = self._locate("path", split)
        reader, key, params = find_reader(path), self.key, self.params
        self._check_reader(reader, path)
        array = self._value("array", split)
        names = params.columns if array is None else [array]
        features = f"{key}.array" if reader.layout == "arrays" else f"{key}.columns"
        roles = base.ColumnRoles(
            features=None if names is None else tuple(names),
            id=self._value("id", split),
            part=split,
            header=params.header,
            complex=params.complex,
            keys=base.RoleKeys(
                features=features,
                id=f"{key}.id",
                label=None,
                split=None,
                header=f"{key}.header",
                complex=f"{key}.complex",
            ),
            locate=lambda role, name: self._locate("id", split),
        )
        table = read_table(path, roles)
        _check_values(table, self.latent_dim, key, params.complex)
        return table

    def _check_reader(self, reader: base.Reader, path: Path) -> None:
        if reader.name == "idx":
            mend = "give the offset as npy, npz, csv, parquet, hdf5"
            raise InputError(str(path), "idx holds images", mend)
        for key, layout in (("array", "arrays"), ("columns", "columns")):
            if getattr(self.params, key) is not None and reader.layout != layout:
                names = " and ".join(other.name for other in READERS if other.layout == layout)
                what = f"goes with {names}, {path} is {reader.name}"
                raise InputError(f"params.yaml: {self.key}.{key}", what)

    def _value(self, key: str, split: SplitName | None) -> str | None:
        value = getattr(self.params, key)
        return value[split] if isinstance(value, dict) else value

    def _locate(self, key: str, split: SplitName | None) -> Path:
        """File that a key names, one for each split or one for all."""
        if isinstance(getattr(self.params, key), dict):
            return locate(self.raw, self._value(key, split) or "", f"{self.key}.{key}.{split}")
        if key == "id" and isinstance(self.params.path, dict):
            what = "is one file, path names a file per split"
            mend = "name the ids of each: id: {train: ..., validation: ..., test: ...}"
            raise InputError(f"params.yaml: {self.key}.id", what, mend)
        return locate(self.raw, self._value(key, split) or "", f"{self.key}.{key}")


def _check_values(table: base.Table, latent_dim: int, key: str, parts: Complex | None) -> None:
    where, x = table.origin, table.x
    if x.dtype.kind not in "fiub":
        hint = f"set {key}.complex: real_imag, which is two columns of each, or {key}.complex: abs"
        what = f"holds {x.dtype}, expected real numbers"
        raise InputError(where, what, hint if x.dtype.kind == "c" else None)
    if parts == "real_imag" and x.ndim == 3:
        x = x.reshape(len(x), -1)
    if x.ndim != 2:
        raise InputError(where, f"has shape {x.shape}, expected (samples, {latent_dim})")
    if x.shape[1] != latent_dim:
        what = f"holds vectors of {x.shape[1]} columns, network.latent_dim is {latent_dim}"
        mend = f"give the models with this offset latent_dim: {x.shape[1]}"
        raise InputError(where, what, mend)
    if cell := arrays.first_where(arrays.ConcatenatedRows((x,)), _is_no_float32):
        raise InputError(table.location(*cell), f"{x[cell]} is not a finite float32 number")


def _is_no_float32(values: NDArray[Any]) -> NDArray[np.bool_]:
    with np.errstate(over="ignore"):
        return ~np.isfinite(values.astype(np.float32))


def match_ids(
    where: str,
    table_ids: NDArray[Any],
    sample_ids: NDArray[Any],
    samples: str,
    dropped: int = 0,
) -> kind.Int64:
    """Rows (n,) of a table such that ``table_ids[rows] == sample_ids``, which are (n,), each once.

    ``samples`` is what messages call them: ``"train split"``; of ``dropped`` samples the table may
    have an id.

    Raises:
        InputError: where an id stands twice in the table, is missing from it, or belongs to
            no sample; naming the first few.
    """
    rows, unknown = _find_ids(where, table_ids, sample_ids, samples)
    if unknown.size > dropped:
        what = f"has {_count(unknown, 'id')} of no sample of the {samples}: {_list(unknown)}"
        raise InputError(where, what, "remove these rows or fix their ids")
    return rows


def _find_ids(
    where: str, table_ids: NDArray[Any], sample_ids: NDArray[Any], samples: str
) -> tuple[kind.Int64, NDArray[Any]]:
    """Rows as :func:`match_ids` gives them, and the ids of the table that no sample has.

    Whole numbers and text are compared as text where one side has the one and the other the
    other, as when a csv of numbers belongs to data whose ids were text; text of whole numbers
    alone ("7", "7.0") as numbers.
    """
    if (table_ids.dtype.kind == "U") != (sample_ids.dtype.kind == "U"):
        table_ids, sample_ids = (
            whole_numbers(ids) if ids.dtype.kind == "U" else ids for ids in (table_ids, sample_ids)
        )
    if (table_ids.dtype.kind == "U") != (sample_ids.dtype.kind == "U"):
        table_ids, sample_ids = table_ids.astype(np.str_), sample_ids.astype(np.str_)
    order = np.argsort(table_ids, kind="stable")
    ordered = table_ids[order]
    again = np.flatnonzero(ordered[1:] == ordered[:-1])
    if again.size:
        first, second = order[again[0]], order[again[0] + 1]
        what = f"the id {table_ids[first].item()!r} stands twice, each must stand once"
        raise InputError(f"{where}, rows {first} and {second}", what)
    missing = sample_ids[~np.isin(sample_ids, table_ids)]
    if missing.size:
        what = f"has no vector for {_count(missing, 'sample')} of the {samples}: {_list(missing)}"
        raise InputError(where, what, "every sample needs one")
    rows = order[np.searchsorted(ordered, sample_ids)].astype(np.int64)
    return rows, table_ids[~np.isin(table_ids, sample_ids)]


def _count(ids: NDArray[Any], noun: str) -> str:
    return f"{len(ids)} {noun}{'s' if len(ids) != 1 else ''}"


def _list(ids: NDArray[Any]) -> str:
    return f"id {first_names(map(repr, ids.tolist()), _NAMED)}"


KIND = kind.OffsetKind(fit, apply, read=read_tables)
