"""Files of one array: NumPy's npy, and the idx of the MNIST database, plain or gzipped.

An idx file has two zero bytes, one byte for the type, one for the number of dimensions, each
dimension as a big-endian uint32, then the values, big-endian.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.schema import SplitName
from offset_autoencoder.data.readers.base import ColumnRoles, Reader, Table
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import TempArray, row_major
from offset_autoencoder.io.files import open_npy

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
_COPIED = 1 << 20  # bytes at a time


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
            raise InputError(str(path), "is not a gzip file", "download or copy it again")
        plain.seek(0)
        if not is_gzipped:
            return _read_stream(path, plain)
        try:
            with gzip.open(plain) as stream:
                return _read_stream(path, stream)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(
                str(path), f"is a damaged or truncated gzip: {error}", "download or copy it again"
            ) from None


def _read_stream(path: Path, stream: IO[bytes] | gzip.GzipFile) -> NDArray[Any]:
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _DTYPES:
        raise InputError(
            str(path), "is not an idx file", "it starts with two zero bytes, type and dimensions"
        )
    dtype, dimensions = np.dtype(_DTYPES[start[2]]), start[3]
    header = 4 + 4 * dimensions
    sizes = stream.read(header - 4)
    if len(sizes) < header - 4:
        raise InputError(
            str(path),
            f"is truncated: {4 + len(sizes)} bytes, its header alone has {header}",
        )
    shape = struct.unpack(f">{dimensions}I", sizes)
    values = TempArray()
    while content := stream.read(_COPIED):
        values.write(content)
    expected = math.prod(shape) * dtype.itemsize
    if len(values) != expected:
        what = "is truncated" if len(values) < expected else "is too long"
        size = header + len(values)
        raise InputError(
            str(path),
            f"{what}: {size} bytes, its header {shape} asks for {header + expected}",
            "download or copy it again",
        )
    return values.array(dtype, shape)


def _reader(name: str, file_names: str, pattern: str, read: Callable[[Path], Any]) -> Reader:
    def read_as_table(path: Path, roles: ColumnRoles, split: SplitName | None) -> Table:
        return Table(x=row_major(read(path)), origin=str(path))

    return Reader(name, file_names, re.compile(pattern), "array", read_as_table)


NPY = _reader("npy", ".npy", r"\.npy$", open_npy)
IDX = _reader(
    "idx",
    "MNIST's idx (x.idx, x-idx3-ubyte, x.idx.gz)",
    r"(\.idx|[.-]idx\d+(-\w+)?)(\.gz)?$",
    read_idx,
)
