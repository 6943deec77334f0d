"""Readers of raw files: one module per format, registered in :data:`READERS`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from offset_autoencoder import paths
from offset_autoencoder.data.readers.array_files import HDF5, IDX, NPY, NPZ
from offset_autoencoder.data.readers.base import ColumnRoles, Reader, Table
from offset_autoencoder.data.readers.conversions import conversion, folder_conversion
from offset_autoencoder.data.readers.parquet_files import PARQUET
from offset_autoencoder.data.readers.role_values import Origin
from offset_autoencoder.data.readers.text_files import CSV
from offset_autoencoder.errors import InputError, first_names
from offset_autoencoder.io.arrays import real_parts
from offset_autoencoder.io.files import special_file

READERS: tuple[Reader, ...] = (NPY, NPZ, CSV, PARQUET, HDF5, IDX)


def find_reader(path: Path) -> Reader:
    """Reader of the format that a file's name stands for.

    Raises:
        InputError: for a name of no known format, with the Python that converts it where that is
            known.
    """
    for reader in READERS:
        if reader.pattern.search(path.name.lower()):
            return reader
    if (found := conversion(path)) is not None:
        raise InputError(str(path), *found)
    suffix = path.suffix.lower()
    what = f"unknown file format {suffix!r}" if suffix else "a name without a known ending"
    *others, last = [reader.file_names for reader in READERS]
    raise InputError(str(path), what, f"known are {', '.join(others)}, and {last}")


def read_table(path: Path, roles: ColumnRoles) -> Table:
    """Read samples from a file of any format; complex numbers become real as the roles say.

    Labels, ids and splits may be in files of their own, and are so beside a file of one array.

    Raises:
        InputError: where the file is of no known format or damaged, lacks a column or array, or
            holds not one label, id or split per sample.
    """
    reader, apart = find_reader(path), roles_apart(path, roles)
    if roles.exclude and reader.layout != "columns":
        what = f"names columns, and {path} holds arrays: no column has a name"
        mend = "leave it out; data.constant: drop leaves constant features out"
        raise InputError(roles.keys.location("exclude"), what, mend)
    if reader.layout == "array" and roles.features is not None:
        where = roles.keys.location("features")
        raise InputError(where, f"{path} holds one array: there is nothing to name")
    table = reader.read(path, roles.without(apart))
    if apart:
        files = {role: roles.locate(role, name) for role, name in apart.items()}
        values = {role: find_reader(file).values(file, roles) for role, file in files.items()}
        origins = {
            role: Origin(str(file), find_reader(file).python.format(path=str(file), name="NAME"))
            for role, file in files.items()
        }
        table = table.with_roles(values, origins)
    return table if roles.complex is None else replace(table, x=real_parts(table.x, roles.complex))


def roles_apart(path: Path, roles: ColumnRoles) -> dict[str, str]:
    """Roles with a file of their own beside a file, and its name.

    That is a name with the ending of a known format that no column or array has.
    """
    reader, named = find_reader(path), roles.named
    if reader.layout == "array":
        return named
    files = {
        role: name
        for role, name in named.items()
        if any(other.pattern.search(name.lower()) for other in READERS)
    }
    if not files:
        return {}
    names = reader.names(path, roles)
    return {role: name for role, name in files.items() if name not in names}


def locate(raw: Path, name: str, key: str) -> Path:
    """Path of a file that params.yaml names under ``key``, relative to ``data/raw``.

    A symbolic link inside the folder may point out of it (DVC's cache links files so); a
    name may not. What a temporary clone lacks is brought in from the project it is made of.

    Raises:
        InputError: where the name leaves the folder, or is not a file that can be read.
    """
    where = f"params.yaml: {key}"
    inside = os.path.normpath(name)
    if not name.strip() or Path(name).is_absolute() or os.pardir in Path(inside).parts[:1]:
        mend = f"put the file there and name it from {raw} on"
        raise InputError(where, f"{name!r} is not inside {raw}", mend)
    path = raw / inside
    if not path.exists():
        paths.copy_into_clone(raw)
    if kind := special_file(path):
        hint = folder_conversion(path) or _holds(path) if path.is_dir() else None
        raise InputError(where, f"{path} is {kind}, expected a file", hint)
    if not path.exists():
        tracked = path.with_name(f"{path.name}.dvc").exists()
        hint = "DVC knows it: run dvc pull" if tracked else _holds(raw)
        raise InputError(where, f"there is no file {path}", hint)
    try:
        path.open("rb").close()
    except OSError as error:
        raise InputError(where, f"{path} cannot be read: {error.strerror}") from None
    return path


def _holds(folder: Path) -> str:
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in (folder.rglob("*") if folder.is_dir() else ())
        if path.is_file()
        and path.suffix != ".dvc"
        and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )
    if not names:
        return f"{folder} is empty"
    return f"{folder} holds {first_names(names)}"
