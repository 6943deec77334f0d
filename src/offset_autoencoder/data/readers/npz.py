"""npz files: the arrays that the user assigned to roles, and no other."""

from __future__ import annotations

import re
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.schema import SplitName
from offset_autoencoder.data.readers.base import ColumnRoles, Reader, Table, check_length
from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.io.arrays import TempArray, row_major
from offset_autoencoder.io.files import NPY_MAGIC, PICKLE, PICKLED, PLAIN

_DAMAGE = (
    *(ValueError, OSError, EOFError, KeyError, SyntaxError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
_COPIED = 1 << 20  # bytes at a time


def read_npz_table(path: Path, roles: ColumnRoles, split: SplitName | None = None) -> Table:
    """Read features, and labels, ids and splits where they are assigned, from one npz.

    Unless named, the features are the array ``x`` or, failing that, ``x_train`` for train
    and so on, or else the only one of two or more dimensions that has no other role.

    Args:
        path: The file; its arrays may be compressed.
        roles: Roles of its arrays.
        split: The split that the file was named for, if any.

    Raises:
        InputError: where the file is damaged, or an array is missing, pickled, or of a
            length other than the features'.
    """
    with path.open("rb") as stream:
        if stream.read(1) == PICKLE:
            raise InputError(str(path), PICKLED, PLAIN)
    if not zipfile.is_zipfile(path):
        raise InputError(
            str(path), "is damaged, truncated or not an npz file", "write or copy it again"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            for role, name in roles.named.items():
                _check_name(names, name, roles.keys.location(role), path)
            x = row_major(_read(archive, _features(archive, names, roles, path, split), path))
            values = {role: _read(archive, name, path) for role, name in roles.named.items()}
    except _DAMAGE as error:
        raise InputError(
            str(path), f"is damaged or truncated: {error}", "write or copy it again"
        ) from None
    for role, array in values.items():
        check_length(array, x, f"{path}, array {roles.named[role]!r}", role)
    return Table.from_roles(x, path, values)


def _features(
    archive: zipfile.ZipFile,
    names: list[str],
    roles: ColumnRoles,
    path: Path,
    split: SplitName | None,
) -> str:
    """Name of the array that holds the features."""
    key = roles.keys.location("features")
    if roles.features is not None:
        if len(roles.features) != 1:
            raise InputError(key, f"names one array of an npz, got {roles.features}")
        _check_name(names, roles.features[0], key, path)
        return roles.features[0]
    free = [name for name in names if name not in roles.named.values()]
    for name in ("x", f"x_{split}"):
        if name in free:
            return name
    shapes = {}
    for name in free:
        with _open(archive, name, path) as stream:
            shapes[name] = _header(stream, f"{path}, array {name!r}")[0]
    matrices = [name for name, shape in shapes.items() if len(shape) >= 2]
    if len(matrices) != 1:
        arrays = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise InputError(
            key,
            f"which array of {path} holds the features? It holds {arrays or 'none'}",
            "name one",
        )
    return matrices[0]


def _check_name(names: list[str], name: str, key: str, path: Path) -> None:
    if name not in names:
        raise InputError(key, f"{path} has no array {name!r}", did_you_mean(name, names))


def _read(archive: zipfile.ZipFile, name: str, path: Path) -> NDArray[Any]:
    """Array of the archive: in memory or, if large, unpacked to disk and mapped."""
    with _open(archive, name, path) as stream:
        shape, is_fortran, dtype = _header(stream, f"{path}, array {name!r}")
        values = TempArray()
        shutil.copyfileobj(stream, values, _COPIED)
    return values.array(dtype, shape, order="F" if is_fortran else "C")


def _open(archive: zipfile.ZipFile, name: str, path: Path) -> IO[bytes]:
    member = f"{name}.npy" if f"{name}.npy" in archive.namelist() else name
    stream = archive.open(member)
    if stream.read(len(NPY_MAGIC)) != NPY_MAGIC:
        raise InputError(
            f"{path}, array {name!r}", "is not an array", "write the file with np.savez"
        )
    stream.seek(0)
    return stream


def _header(stream: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order or not, and dtype of the npy that begins here.

    Afterwards the stream stands at the first value.
    """
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    except ValueError as error:
        if "Object arrays" in str(error):
            raise InputError(where, PICKLED, PLAIN) from None
        raise
    if dtype.hasobject:
        raise InputError(where, PICKLED, PLAIN)
    return shape, is_fortran, dtype


NPZ = Reader("npz", ".npz", re.compile(r"\.npz$"), "arrays", read_npz_table)
