"""HDF5 files, read by h5py: a data set is an array, named by its path in the file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.data.readers.named_arrays import ArrayFile, arrays_reader
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import copied, rows_per_chunk
from offset_autoencoder.io.files import reading


@contextlib.contextmanager
def _open(path: Path) -> Iterator[ArrayFile]:
    import h5py

    arrays = {}

    def visit(name: str, member: Any) -> None:
        if isinstance(member, h5py.Dataset):
            arrays[name] = member

    with reading(path, "is damaged, truncated or not HDF5"), h5py.File(path, "r") as file:
        file.visititems(visit)
        yield ArrayFile(
            [*arrays], lambda name: arrays[name].shape or (), partial(_read, path, file)
        )


def _read(path: Path, file: Any, name: str) -> NDArray[Any]:
    """Array in memory or, if large, copied to disk chunk by chunk and mapped."""
    import h5py

    array = file[name]
    where = f"{path}, array {name!r}"
    if not array.shape:
        raise InputError(where, "holds a single value, expected an array")
    if h5py.check_string_dtype(array.dtype) is not None:
        return np.array(array.asstr()[()], dtype=np.str_)
    if array.dtype.kind not in "iufbc":
        raise InputError(where, f"holds {array.dtype}, expected numbers or text")
    rows = rows_per_chunk(array.size // max(1, len(array)))
    blocks = (array[start : start + rows] for start in range(0, len(array), rows))
    return copied(blocks, array.dtype, array.shape)


HDF5 = arrays_reader(
    "hdf5", ".h5, .hdf5", r"\.(h5|hdf5?|he5)$", _open, "h5py.File({path!r})[{name!r}][:]"
)
