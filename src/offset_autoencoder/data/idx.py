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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.errors import InputError

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"


def read_idx(path: Path) -> NDArray[Any]:
    """Read an idx file; gzip is told by the content, not by the name.

    Returns:
        The array in native byte order: uint8, int8, int16, int32, float32 or float64.

    Raises:
        InputError: where the file is not idx, or is truncated or too long.
    """
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _DTYPES:
        raise InputError(
            str(path), "is not an idx file", "it starts with two zero bytes, type and dimensions"
        )
    dtype, dimensions = np.dtype(_DTYPES[content[2]]), content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise InputError(
            str(path), f"is truncated: {len(content)} bytes, its header alone has {start}"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        what = "is truncated" if len(content) < expected else "is too long"
        raise InputError(
            str(path),
            f"{what}: {len(content)} bytes, its header {shape} asks for {expected}",
            "download or copy it again",
        )
    values = np.frombuffer(content, dtype=dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if not content.startswith(_GZIP):
        if path.suffix == ".gz":
            raise InputError(str(path), "is not a gzip file", "download or copy it again")
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            str(path), f"is a damaged or truncated gzip: {error}", "download or copy it again"
        ) from None
