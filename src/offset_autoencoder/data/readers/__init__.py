"""Readers of raw files: one module per format, registered in :data:`READERS`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from offset_autoencoder.data.readers.array_files import IDX, NPY, NPZ
from offset_autoencoder.data.readers.base import ColumnRoles, Reader, Table
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


def read_table(path: Path, roles: ColumnRoles) -> Table:
    """Read samples from a file of any format.

    Beside a file of one array, labels, ids and splits are in files of one array each.

    Raises:
        InputError: where the file is of no known format or damaged, lacks a column or array, or
            holds not one label, id or split per sample.
    """
    reader = find_reader(path)
    if roles.exclude and reader.layout != "columns":
        what = f"names columns, and {path} holds arrays: no column has a name"
        mend = "leave it out; data.constant: drop leaves constant features out"
        raise InputError(roles.keys.location("exclude"), what, mend)
    if reader.layout != "array":
        return reader.read(path, roles)
    if roles.features is not None:
        where = roles.keys.location("features")
        raise InputError(where, f"{path} holds one array: there is nothing to name")
    files = {role: roles.locate(role, name) for role, name in roles.named.items()}
    x = read_array(path)
    values = {role: read_array(file) for role, file in files.items()}
    origins = {role: str(file) for role, file in files.items()}
    return Table.from_roles(x, path, values, origins=origins)


def read_array(path: Path) -> NDArray[Any]:
    """Read a file that holds one array: features, or values that go with them.

    Raises:
        InputError: where the file is of another layout, or cannot be read.
    """
    reader = find_reader(path)
    if reader.layout != "array":
        names = " or ".join(other.name for other in READERS if other.layout == "array")
        what = f"is {reader.name}, expected {names} beside features in {names}"
        raise InputError(str(path), what)
    return reader.read(path, ColumnRoles()).x
