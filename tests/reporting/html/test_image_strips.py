from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray
from offset_autoencoder.reporting.html.image_strips import image_strip, strip_pixels

from offset_autoencoder.reporting.png import png


def decoded(data: bytes) -> NDArray[np.uint8]:
    pixels = np.asarray(imread(io.BytesIO(data), format="png"))
    return np.asarray(np.rint(255 * pixels), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_png_is_read_back(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    found = decoded(png(pixels))
    expected = pixels[..., 0] if channels == 1 else pixels
    if channels == 2:  # read as colour
        expected = np.concatenate([pixels[..., [0, 0, 0]], pixels[..., [1]]], axis=2)
    np.testing.assert_array_equal(found, expected)


def test_small_images_are_enlarged_pixel_by_pixel() -> None:
    images = np.array([[[0.0, 0.5], [1.0, 0.25]]] * 2)
    strip = strip_pixels(images, (0.0, 1.0))
    assert strip.shape == (32, 66, 2)
    np.testing.assert_array_equal(strip[::16, :32:16, 0], [[0, 128], [255, 64]])
    assert (strip[:, :32, 1] == 255).all()
    assert (strip[:, 32:34] == 0).all()  # transparent between them
    np.testing.assert_array_equal(strip[:, 34:], strip[:, :32])


def test_large_images_are_averaged_down() -> None:
    image = np.zeros((1, 130, 200, 3))
    image[:, :4, :4, 0] = 1.0
    strip = strip_pixels(image, (0.0, 2.0))
    assert strip.shape == (33, 50, 4)
    assert strip[0, 0].tolist() == [128, 0, 0, 255]
    assert strip[1, 1, 0] == 0


@pytest.mark.parametrize("channels", [2, 5])
def test_other_numbers_of_channels_are_grey(channels: int) -> None:
    image = np.zeros((1, 32, 32, channels))
    image[..., 0] = 1.0
    assert strip_pixels(image, (0.0, 1.0))[0, 0, 0] == round(255 / channels)


def test_values_beyond_the_range_and_a_range_of_nothing() -> None:
    images = np.array([[[-3.0, 7.0], [np.nan, 0.0]]])
    assert set(strip_pixels(images, (0.0, 1.0))[..., 0].ravel()) == {0, 255}
    assert np.isfinite(strip_pixels(images, (1.0, 1.0))).all()


def test_a_strip_says_what_it_holds_and_how_large_it_is() -> None:
    images = np.random.default_rng(0).random((3, 8, 8), dtype=np.float32)
    strip = image_strip("pca", images, (0.0, 1.0))
    assert (strip.name, strip.holds) == ("pca", "3 images")
    head, _, data = strip.data.partition(",")
    assert head == "data:image/png;base64"
    assert decoded(base64.b64decode(data)).shape[:2] == (strip.height, strip.width)
