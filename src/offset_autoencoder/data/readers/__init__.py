"""Readers of raw files: one module per format, registered in :data:`READERS`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from offset_autoencoder.config.schema import SplitName
from offset_autoencoder.data.readers.array_files import IDX, NPY, NPZ
from offset_autoencoder.data.readers.base import ColumnRoles, Reader, Table, check_length
from offset_autoencoder.data.readers.column_files import CSV, PARQUET
from offset_autoencoder.errors import InputError

READERS: tuple[Reader, ...] = (NPY, NPZ, CSV, PARQUET, IDX)


def find_reader(path: Path) -> Reader:
    """Reader of the format that a file's name stands for.

    Raises:
        InputError: for a name of no known format.
    """
    for reader in READERS:
        if reader.pattern.search(path.name.lower()):
            return reader
    suffix = path.suffix.lower()
    what = f"unknown file format {suffix!r}" if suffix else "a name without a known ending"
    *others, last = [reader.file_names for reader in READERS]
    raise InputError(str(path), what, f"known are {', '.join(others)}, and {last}")


def read_table(path: Path, roles: ColumnRoles, split: SplitName | None = None) -> Table:
    """Read a file of any format.

    Args:
        path: The file.
        roles: Roles of its columns or arrays.
        split: The split that the file was named for, if any: an npz may hold an array of each.

    Raises:
        InputError: where the file is of no known format or damaged, or lacks a column or array.
    """
    return find_reader(path).read(path, roles, split)


def read_array(path: Path, context: str = "features") -> NDArray[Any]:
    """Read a file that holds one array, such as the labels of samples in another file.

    Args:
        path: The file.
        context: What the array goes with, for messages.

    Raises:
        InputError: where the file is of another layout, or cannot be read.
    """
    reader = find_reader(path)
    names = " or ".join(other.name for other in READERS if other.layout == "array")
    if reader.layout != "array":
        raise InputError(
            str(path), f"is {reader.name}, expected {names} beside {context} in {names}"
        )
    return reader.read(path, ColumnRoles(), None).x


def read_array_table(path: Path, others: Mapping[str, Path], context: str = "features") -> Table:
    """Read samples from a file of one array, and their labels, ids or splits from other files.

    Args:
        path: File of the samples.
        others: File per role: ``{"label": Path("data/raw/y.npy")}``.
        context: What the other files go with, for messages.

    Raises:
        InputError: where a file cannot be read, or holds not one value per sample.
    """
    x = read_array(path, context)
    values = {role: read_array(file, context) for role, file in others.items()}
    for role, array in values.items():
        check_length(array, x, str(others[role]), role)
    return Table.from_roles(x, path, values)
