"""MNIST's idx files, plain or gzipped.

The format is that of the MNIST database: two zero bytes, one byte for the type, one for the
number of dimensions, each dimension as a big-endian uint32, then the values, big-endian.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.temp_arrays import TempArray

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
_COPIED = 1 << 20


def read_idx(path: Path) -> NDArray[Any]:
    """Read an idx file; gzip is told by the content, not by the name.

    Returns:
        The array, big-endian as it stands in the file: uint8, int8, int16, int32, float32 or
        float64. A large one is mapped.

    Raises:
        InputError: where the file is not idx, or is truncated or too long.
    """
    with path.open("rb") as plain:
        is_zipped = plain.read(len(_GZIP)) == _GZIP
        if not is_zipped and path.suffix == ".gz":
            raise InputError(str(path), "is not a gzip file", "download or copy it again")
        plain.seek(0)
        if not is_zipped:
            return _read(path, plain)
        try:
            with gzip.open(plain) as stream:
                return _read(path, stream)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(
                str(path), f"is a damaged or truncated gzip: {error}", "download or copy it again"
            ) from None


def _read(path: Path, stream: IO[bytes] | gzip.GzipFile) -> NDArray[Any]:
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
    spool = TempArray()
    while content := stream.read(_COPIED):
        spool.write(content)
    expected = math.prod(shape) * dtype.itemsize
    if len(spool) != expected:
        what = "is truncated" if len(spool) < expected else "is too long"
        raise InputError(
            str(path),
            f"{what}: {header + len(spool)} bytes, its header {shape} asks for {header + expected}",
            "download or copy it again",
        )
    return spool.array(dtype, shape)
