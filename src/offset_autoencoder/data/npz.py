"""npz files: the arrays that params.yaml names, and no other."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.data.table import Roles, Table
from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.io.arrays import NPY_MAGIC, PICKLE, PICKLED, PLAIN
from offset_autoencoder.io.temp_arrays import TempArray, row_major

_DAMAGE = (
    *(ValueError, OSError, EOFError, KeyError, SyntaxError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
_COPIED = 1 << 20


def read_npz_table(path: Path, roles: Roles, part: str | None = None) -> Table:
    """Read features, and labels, ids and splits where they are named, from one npz.

    Without ``data.features`` the array ``x`` is taken or, failing that, ``x_train`` for train
    and so on, or else the only one of two or more dimensions that plays no other part.

    Args:
        path: The file; its arrays may be compressed.
        roles: Which arrays to take.
        part: The split that the file is named for, if it is named for one.

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
                _check_name(names, name, f"data.{role}", path)
            x = row_major(_read(archive, _features(archive, names, roles, path, part), path))
            others = {role: _read(archive, name, path) for role, name in roles.named.items()}
    except _DAMAGE as error:
        raise InputError(
            str(path), f"is damaged or truncated: {error}", "write or copy it again"
        ) from None
    for role, array in others.items():
        check_length(array, x, f"{path}, array {roles.named[role]!r}", role)
    return Table(
        x=x,
        origin=str(path),
        labels=others.get("label"),
        ids=others.get("id"),
        splits=others.get("split"),
    )


def check_length(array: NDArray[Any], x: NDArray[Any], origin: str, part: str) -> None:
    """Refuse labels, ids or splits that are not one value a sample.

    Raises:
        InputError: naming where the array comes from and both lengths.
    """
    if array.ndim != 1:
        raise InputError(origin, f"has shape {array.shape}, expected one {part} a sample")
    if x.ndim and len(array) != len(x):
        raise InputError(origin, f"holds {len(array)} values for {len(x)} samples")


def _features(
    archive: zipfile.ZipFile, names: list[str], roles: Roles, path: Path, part: str | None
) -> str:
    """The name of the array that holds the features."""
    if roles.features is not None:
        if len(roles.features) != 1:
            raise InputError(
                "params.yaml: data.features", f"names one array of an npz, got {roles.features}"
            )
        _check_name(names, roles.features[0], "data.features", path)
        return roles.features[0]
    free = [name for name in names if name not in roles.named.values()]
    for name in ("x", f"x_{part}"):
        if name in free:
            return name
    found = {name: _shape(archive, name, path) for name in free}
    wide = [name for name, shape in found.items() if len(shape) >= 2]
    if len(wide) != 1:
        shapes = ", ".join(f"{name} {shape}" for name, shape in found.items())
        raise InputError(
            "params.yaml: data.features",
            f"which array of {path} holds the features? It holds {shapes or 'none'}",
            "name one",
        )
    return wide[0]


def _check_name(names: list[str], name: str, key: str, path: Path) -> None:
    if name not in names:
        raise InputError(
            f"params.yaml: {key}", f"{path} has no array {name!r}", did_you_mean(name, names)
        )


def _shape(archive: zipfile.ZipFile, name: str, path: Path) -> tuple[int, ...]:
    with _open(archive, name, path) as stream:
        return _header(stream, f"{path}, array {name!r}")[0]


def _read(archive: zipfile.ZipFile, name: str, path: Path) -> NDArray[Any]:
    """An array of the archive: in memory, or, a large one, unpacked to disk and mapped."""
    with _open(archive, name, path) as stream:
        shape, fortran, dtype = _header(stream, f"{path}, array {name!r}")
        spool = TempArray()
        shutil.copyfileobj(stream, spool, _COPIED)
    return spool.array(dtype, shape, order="F" if fortran else "C")


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
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    except ValueError as error:
        if "Object arrays" in str(error):
            raise InputError(where, PICKLED, PLAIN) from None
        raise
    if dtype.hasobject:
        raise InputError(where, PICKLED, PLAIN)
    return shape, fortran, dtype
