from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from offset_autoencoder.reporting.rendering import compressed, png


def decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_png_is_read_back(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    expected = pixels[..., 0] if channels == 1 else pixels
    np.testing.assert_array_equal(decoded(png(pixels)), expected)


def test_a_file_made_smaller_has_the_same_pixels() -> None:
    pixels = np.zeros((200, 300, 4), dtype=np.uint8)
    pixels[50:100, 20:, 1] = 200
    hasty = io.BytesIO()
    Image.fromarray(pixels).save(hasty, "PNG", compress_level=1)
    smaller = compressed(Image.open(hasty))
    assert len(smaller) < len(hasty.getvalue())
    np.testing.assert_array_equal(decoded(smaller), pixels)
