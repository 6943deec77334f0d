"""Files of arrays: NumPy's npy and npz, HDF5, and the idx of the MNIST database, plain or gzipped.

An idx file has two zero bytes, one byte for the type, one for the number of dimensions, each
dimension as a big-endian uint32, then the values, big-endian.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import re
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from offset_autoencoder.data.readers.base import ColumnRoles, Reader, Table
from offset_autoencoder.data.readers.named_arrays import ArrayFile, arrays_reader, read_arrays
from offset_autoencoder.errors import InputError
from offset_autoencoder.io import files
from offset_autoencoder.io.arrays import TempArray, copied, row_major, rows_per_chunk
from offset_autoencoder.io.files import open_npy, reading

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
_COPIED = 1 << 20  # bytes at a time
_DOWNLOAD = "download or copy it again"
_MOST_DIMENSIONS = 64  # that NumPy's arrays have


def read_idx(path: Path) -> NDArray[Any]:
    """Read an idx file; gzip is recognised by the content, not by the name.

    Returns:
        The array, big-endian as in the file: uint8, int8, int16, int32, float32 or float64. A
        large one is mapped.

    Raises:
        InputError: where the file is not idx, or is truncated or too long.
    """
    with path.open("rb") as plain:
        is_gzipped = plain.read(len(_GZIP)) == _GZIP
        if not is_gzipped and path.suffix == ".gz":
            raise InputError(str(path), "is not a gzip file", _DOWNLOAD)
        plain.seek(0)
        if not is_gzipped:
            return _read_stream(path, plain)
        what = "is a damaged or truncated gzip"
        with reading(path, what, _DOWNLOAD), gzip.open(plain) as stream:
            return _read_stream(path, stream)


def _read_stream(path: Path, stream: IO[bytes] | gzip.GzipFile) -> NDArray[Any]:
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _DTYPES:
        mend = "it starts with two zero bytes, type and dimensions"
        raise InputError(str(path), "is not an idx file", mend)
    dtype, dimensions = np.dtype(_DTYPES[start[2]]), start[3]
    header = 4 + 4 * dimensions
    sizes = stream.read(header - 4)
    if len(sizes) < header - 4:
        what = f"is truncated: {4 + len(sizes)} bytes, its header alone has {header}"
        raise InputError(str(path), what)
    if dimensions > _MOST_DIMENSIONS:
        what = f"is damaged: its header asks for {dimensions} dimensions"
        raise InputError(str(path), what, _DOWNLOAD)
    shape = struct.unpack(f">{dimensions}I", sizes)
    values = TempArray()
    while content := stream.read(_COPIED):
        values.write(content)
    expected = math.prod(shape) * dtype.itemsize
    if len(values) != expected:
        what = "is truncated" if len(values) < expected else "is too long"
        what += f": {header + len(values)} bytes"
        what += f", its header {shape} asks for {header + expected}"
        raise InputError(str(path), what, _DOWNLOAD)
    return values.array(dtype, shape)


def _reader(
    name: str, file_names: str, pattern: str, read: Callable[[Path], Any], python: str
) -> Reader:
    return Reader(
        name,
        file_names,
        re.compile(pattern),
        "array",
        read=lambda path, roles: Table(row_major(read(path)), str(path)),
        values=lambda path, roles: np.asarray(read(path)),
        python=python,
    )


NPY = _reader("npy", ".npy", r"\.npy$", open_npy, "np.load({path!r})")
IDX = _reader(
    "idx",
    "MNIST's idx (x.idx, x-idx3-ubyte, x.idx.gz)",
    r"(\.idx|[.-]idx\d+(-\w+)?)(\.gz)?$",
    read_idx,
    "the_array",
)


def read_npz_table(path: Path, roles: ColumnRoles) -> Table:
    """Read features, and labels, ids and splits where they are assigned, from one npz.

    What ``scipy.sparse.save_npz`` wrote holds features alone. Of other files
    :func:`.named_arrays.read_arrays` says which array holds what.

    Raises:
        InputError: where the file is damaged, or an array is missing, pickled, or of a
            length other than the features'.
    """
    with _open_archive(path) as file:
        if set(file.names) >= _SPARSE:
            return Table(_read_sparse(path, roles), str(path))
        return read_arrays(path, file, roles, NPZ.python)


@contextlib.contextmanager
def _open_archive(path: Path) -> Iterator[ArrayFile]:
    with path.open("rb") as stream:
        if stream.read(1) == files.PICKLE:
            raise InputError(str(path), files.PICKLED, files.PLAIN)
    with reading(path, "is damaged or truncated"), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        yield ArrayFile(names, partial(_shape, archive, path), partial(_read, archive, path))


def _shape(archive: zipfile.ZipFile, path: Path, name: str) -> tuple[int, ...]:
    with _open(archive, path, name) as (_, shape, *_):
        return shape


_SPARSE = {"format", "shape", "data"}


def _read_sparse(path: Path, roles: ColumnRoles) -> NDArray[Any]:
    """Rows of a sparse matrix with their zeros, written out a chunk at a time."""
    from scipy import sparse

    if roles.features is not None or roles.named:
        role = "features" if roles.features is not None else next(iter(roles.named))
        what = f"{path} holds one sparse matrix: labels and ids are files of their own"
        raise InputError(roles.keys.location(role), what)
    matrix = sparse.csr_array(sparse.load_npz(path))
    rows = rows_per_chunk(matrix.shape[1])
    starts = range(0, matrix.shape[0], rows)
    blocks = (matrix[start : start + rows].toarray() for start in starts)
    return copied(blocks, matrix.dtype, matrix.shape)


def _read(archive: zipfile.ZipFile, path: Path, name: str) -> NDArray[Any]:
    """Array of the archive: in memory or, if large, unpacked to disk and mapped."""
    values = TempArray()
    with _open(archive, path, name) as (stream, shape, is_fortran, dtype):
        shutil.copyfileobj(stream, values, _COPIED)
    return values.array(dtype, shape, order="F" if is_fortran else "C")


@contextlib.contextmanager
def _open(
    archive: zipfile.ZipFile, path: Path, name: str
) -> Iterator[tuple[IO[bytes], tuple[int, ...], bool, np.dtype[Any]]]:
    """Stream that is at an array's values, their shape, Fortran order or not, and dtype."""
    where = f"{path}, array {name!r}"
    member = f"{name}.npy" if f"{name}.npy" in archive.namelist() else name
    with archive.open(member) as stream:
        if stream.read(len(files.NPY_MAGIC)) != files.NPY_MAGIC:
            raise InputError(where, "is not an array", "write the file with np.savez")
        stream.seek(0)
        if npy_format.read_magic(stream) == (1, 0):
            shape, is_fortran, dtype = npy_format.read_array_header_1_0(stream)
        else:
            shape, is_fortran, dtype = npy_format.read_array_header_2_0(stream)
        if dtype.hasobject:
            raise InputError(where, files.PICKLED, files.PLAIN)
        if min(shape, default=0) < 0:
            raise ValueError(f"array {name!r} has the shape {shape}")
        yield stream, shape, is_fortran, dtype


NPZ = replace(
    arrays_reader("npz", ".npz", r"\.npz$", _open_archive, "np.load({path!r})[{name!r}]"),
    read=read_npz_table,
)


@contextlib.contextmanager
def _open_hdf5(path: Path) -> Iterator[ArrayFile]:
    import h5py

    names: list[str] = []
    with reading(path, "is damaged, truncated or not HDF5"), h5py.File(path, "r") as file:
        file.visititems(
            lambda name, member: names.extend([name] * isinstance(member, h5py.Dataset))
        )
        read = partial(_read_hdf5, path, file)
        yield ArrayFile(names, lambda name: file[name].shape or (), read)


def _read_hdf5(path: Path, file: Any, name: str) -> NDArray[Any]:
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
    "hdf5", ".h5, .hdf5", r"\.(h5|hdf5?|he5)$", _open_hdf5, "h5py.File({path!r})[{name!r}][:]"
)
