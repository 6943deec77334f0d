"""Rows of small images as PNG data for the page."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.reporting.html.strip import Strip

LEAST_SIDE, MOST_SIDE = 32, 64
_GAP = 2


def image_strip(name: str, images: NDArray[Any], data_range: tuple[float, float]) -> Strip:
    """Images side by side as a strip.

    Args:
        name: What made them.
        images: (n, height, width) or (n, height, width, channels).
        data_range: What is black and what is white.
    """
    pixels = strip_pixels(images, data_range)
    data = base64.b64encode(png(pixels)).decode()
    height, width = pixels.shape[:2]
    return Strip(name, f"data:image/png;base64,{data}", width, height, f"{len(images)} images")


def strip_pixels(images: NDArray[Any], data_range: tuple[float, float]) -> NDArray[np.uint8]:
    """Images side by side, transparent between them.

    Small ones are enlarged pixel by pixel, large ones made smaller by averaging blocks, so that
    the longer side has 32 to 64 pixels or as near to that as whole factors come.

    Args:
        images: (n, height, width) or (n, height, width, channels).
        data_range: What is black and what is white.

    Returns:
        (height, width, 2 or 4) uint8: grey or colour, and opacity.
    """
    low, high = data_range
    shares = np.asarray(images, dtype=np.float64)
    shares = np.nan_to_num(np.clip((shares - low) / ((high - low) or 1.0), 0, 1))
    if shares.ndim == 3:
        shares = shares[..., None]
    if shares.shape[3] not in (1, 3):
        colours = shares[..., :3] if shares.shape[3] == 4 else shares
        shares = colours if colours.shape[3] == 3 else colours.mean(axis=3, keepdims=True)
    shares = _resized(shares)
    count, height, width, channels = shares.shape
    strip = np.zeros((height, count * (width + _GAP) - _GAP, channels + 1), dtype=np.uint8)
    for place, image in enumerate(shares):
        start = place * (width + _GAP)
        strip[:, start : start + width, :channels] = np.rint(255 * image)
        strip[:, start : start + width, channels] = 255
    return strip


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
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _resized(images: NDArray[np.float64]) -> NDArray[np.float64]:
    count, height, width, channels = images.shape
    side = max(height, width)
    if side < LEAST_SIDE:
        factor = LEAST_SIDE // side
        return images.repeat(factor, axis=1).repeat(factor, axis=2)
    factor = -(-side // MOST_SIDE)
    if factor == 1:
        return images
    padded = [(0, 0), (0, -height % factor), (0, -width % factor), (0, 0)]
    images = np.pad(images, padded, mode="edge")
    blocks = images.reshape(
        count, images.shape[1] // factor, factor, images.shape[2] // factor, factor, channels
    )
    return blocks.mean(axis=(2, 4))
