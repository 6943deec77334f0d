"""PNG files: pixels as a file, and a file made smaller."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels as a PNG file.

    Args:
        pixels: (height, width, channels) uint8, 1 to 4 channels: grey, grey and opacity, colour,
            colour and opacity.
    """
    height, width, channels = pixels.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    # Each line begins with its filter: none.
    lines = np.zeros((height, 1 + width * channels), dtype=np.uint8)
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return _file(header, lines.tobytes())


def recompressed(data: bytes) -> bytes:
    """The same picture in a third of the bytes, where a file was written in a hurry."""
    header, lines, place = b"", b"", len(_SIGNATURE)
    while place < len(data):
        (size,) = struct.unpack(">I", data[place : place + 4])
        name, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        if name == b"IHDR":
            header = content
        elif name == b"IDAT":
            lines += content
        place += 12 + size
    return _file(header, zlib.decompress(lines))


def _file(header: bytes, lines: bytes) -> bytes:
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
