"""HDF5 files, read by h5py: a data set is an array, named by its path in the file."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.data.readers.base import ColumnRoles, Reader, Table
from offset_autoencoder.data.readers.named_arrays import choose_arrays, only_array
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import TempArray, rows_per_chunk
from offset_autoencoder.io.files import reading


def read_hdf5_table(path: Path, roles: ColumnRoles) -> Table:
    """Read features, and labels, ids and splits where they are assigned, from one HDF5 file.

    Raises:
        InputError: where the file is damaged, or a data set is missing, holds what are neither
            numbers nor text, or is of a length other than the features'.
    """
    with _open(path) as arrays:
        chosen = choose_arrays(path, list(arrays), roles, lambda name: arrays[name].shape or ())
        return chosen.read(path, partial(_read, path, arrays), HDF5.python)


def _read_values(path: Path, roles: ColumnRoles) -> NDArray[Any]:
    with _open(path) as arrays:
        return _read(path, arrays, only_array(path, list(arrays)))


def _names(path: Path) -> list[str]:
    with _open(path) as arrays:
        return list(arrays)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[dict[str, Any]]:
    """Data sets of a file, by their paths in it."""
    import h5py

    arrays = {}

    def visit(name: str, member: Any) -> None:
        if isinstance(member, h5py.Dataset):
            arrays[name] = member

    with reading(path, "is damaged, truncated or not HDF5"), h5py.File(path, "r") as file:
        file.visititems(visit)
        yield arrays


def _read(path: Path, arrays: dict[str, Any], name: str) -> NDArray[Any]:
    """Array in memory or, if large, copied to disk chunk by chunk and mapped."""
    import h5py

    array = arrays[name]
    where = f"{path}, array {name!r}"
    if not array.shape:
        raise InputError(where, "holds a single value, expected an array")
    if h5py.check_string_dtype(array.dtype) is not None:
        return np.array(array.asstr()[()], dtype=np.str_)
    if array.dtype.kind not in "iufbc":
        raise InputError(where, f"holds {array.dtype}, expected numbers or text")
    values, rows = TempArray(), rows_per_chunk(array.size // max(1, len(array)))
    for start in range(0, len(array), rows):
        values.write(array[start : start + rows])
    return values.array(array.dtype, array.shape)


HDF5 = Reader(
    "hdf5",
    ".h5, .hdf5",
    re.compile(r"\.(h5|hdf5?|he5)$"),
    "arrays",
    read=read_hdf5_table,
    values=_read_values,
    arrays=_names,
    python="h5py.File({path!r})[{name!r}][:]",
)
