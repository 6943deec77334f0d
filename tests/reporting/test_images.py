from __future__ import annotations

import base64
import io
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from offset_autoencoder.evaluation.examples import Reconstructions
from offset_autoencoder.reporting.palette import PALETTE
from offset_autoencoder.reporting.rendering import (
    MOST_CHANNELS,
    MOST_POINTS,
    compressed,
    line_points,
    png,
    profiles_over,
    sample_strips,
    strip_pixels,
    thumbnails,
    write_strips,
)

_SVG = "{http://www.w3.org/2000/svg}"


def decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)))


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


def test_a_strip_says_what_it_holds_and_how_large_it_is_and_the_originals_come_first() -> None:
    images = np.random.default_rng(0).random((3, 8, 8), dtype=np.float32)
    strip = thumbnails("pca", images, (0.0, 1.0))
    assert (strip.name, strip.holds) == ("pca", "3 images")
    head, _, data = strip.data.partition(",")
    assert head == "data:image/png;base64"
    assert decoded(base64.b64decode(data)).shape[:2] == (strip.height, strip.width)
    shown, prior = sample_strips(
        Reconstructions(images, [("pca", images)], [("vae", images)], (0.0, 1.0))
    )
    assert [strip.name for strip in shown] == ["original", "pca"]
    assert [strip.name for strip in prior] == ["vae"]


def test_profiles_have_the_sample_and_its_reconstruction_in_one() -> None:
    x = np.array([[0.0, 2.0, 4.0], [4.0, 4.0, 0.0]], np.float32)
    y = np.array([[1.0, 2.0, 9.0], [np.nan, 4.0, 0.0]], np.float32)
    shown, prior = sample_strips(Reconstructions(x, [("pca", y)], [], (0.0, 4.0)))
    assert prior == []
    assert [(strip.name, strip.holds) for strip in shown] == [("pca", "2 profiles")]
    head, _, data = shown[0].data.partition(",")
    assert head == "data:image/svg+xml;base64"
    svg = ElementTree.fromstring(base64.b64decode(data))
    lines = [(path.get("class"), path.get("d")) for path in svg.iter(f"{_SVG}path")]
    assert lines == [
        ("x", "M0.0 48.0L60.0 24.0L120.0 0.0"),
        ("x", "M128.0 0.0L188.0 0.0L248.0 48.0"),
        ("y", "M0.0 36.0L60.0 24.0L120.0 0.0"),  # cut off at the top
        ("y", "M128.0 48.0L188.0 0.0L248.0 48.0"),  # what is no number lies at the bottom
    ]


@pytest.mark.parametrize(("channels", "drawn"), [(1, 1), (3, 3), (9, MOST_CHANNELS)])
def test_a_series_is_a_line_per_channel_one_below_the_other(channels: int, drawn: int) -> None:
    x = np.zeros((2, 4, channels), np.float32)
    x[:, 1, :] = 1  # a peak at the second step of each
    series = Reconstructions(x, [("pca", 0 * x)], [], (0.0, 1.0), are_series=True)
    ((strip,), prior) = sample_strips(series)
    assert (prior, strip.holds) == ([], "2 profiles")
    svg = ElementTree.fromstring(base64.b64decode(strip.data.partition(",")[2]))
    paths = [path.get("d") or "" for path in svg.iter(f"{_SVG}path") if path.get("class") == "x"]
    height = 48 if channels == 1 else 24
    tops = [channel * (height + 4) for channel in range(drawn)]
    assert [path.split("L")[1] for path in paths[::2]] == [f"40.0 {top:.1f}" for top in tops]
    assert strip.height == tops[-1] + height + 2
    assert ("the first 6 of 9" in profiles_over(series)) == (drawn < channels)
    assert profiles_over(series).startswith("steps")


def test_nothing_is_shown_of_nothing_and_leaves_no_file(tmp_path: Path) -> None:
    empty = Reconstructions(np.zeros((0, 8), np.float32), [], [], (0.0, 1.0))
    assert sample_strips(None) == sample_strips(empty) == ([], [])
    write_strips(tmp_path / "nothing.png", [])
    assert not list(tmp_path.iterdir())


@given(st.integers(1, 2000))
def test_a_line_has_few_points_and_the_mean_of_its_features(features: int) -> None:
    vectors = np.random.default_rng(features).random((2, features))
    across, heights = line_points(vectors, (0.0, 1.0))
    assert across[0] == 0
    assert across[-1] == 1
    assert heights.shape == (2, across.size)
    assert min(2, features) <= across.size <= MOST_POINTS
    block = -(-features // MOST_POINTS)
    expected = [
        vectors[:, start : start + block].mean(axis=1) for start in range(0, features, block)
    ]
    np.testing.assert_allclose(heights[:, : len(expected)], np.transpose(expected))


def test_values_lie_between_the_ends_of_the_range() -> None:
    _, heights = line_points(np.array([[-9.0, 1.0, 2.0, 3.0, 9.0, np.nan]]), (1.0, 3.0))
    np.testing.assert_array_equal(heights, [[0, 0, 0.5, 1, 1, 0]])
    _, flat = line_points(np.array([[2.0, 2.0]]), (2.0, 2.0))
    assert np.isfinite(flat).all()


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (6, 9, 3), (4, 4, 2)])
def test_images_of_every_shape_are_drawn_in_the_order_given(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    path = tmp_path / "reconstructions.png"
    black, white = np.zeros((3, *shape), np.float32), np.ones((3, *shape), np.float32)
    strips, _ = sample_strips(Reconstructions(black, [("pca rms=0.2", white)], [], (0, 1)))
    write_strips(path, strips)
    picture = np.asarray(Image.open(path).convert("L")) / 255
    height, width = picture.shape
    last = picture[:, width - 20]
    assert last[: height // 4].min() < 0.01
    assert last[-height // 4 :].min() > 0.99


def test_the_reconstruction_lies_over_the_sample(tmp_path: Path) -> None:
    path = tmp_path / "reconstructions.png"
    low, high = np.zeros((2, 5), np.float32), np.ones((2, 5), np.float32)
    strips, _ = sample_strips(
        Reconstructions(low, [("pca", low), ("none", high)], [], (0, 1)), dark=False
    )
    write_strips(path, strips)
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    blue = np.array([int(PALETTE[0][i : i + 2], 16) for i in (1, 3, 5)])
    rows = np.flatnonzero(np.abs(picture[:, -100] - blue).sum(axis=1) < 150)
    assert rows.size
    assert rows[0] > 0.25 * picture.shape[0]  # at the bottom of the first row, over the sample
    assert rows[-1] < 0.75 * picture.shape[0]  # and at the top of the second


def test_rows_must_fit_the_originals() -> None:
    images = np.zeros((2, 8, 8), np.float32)
    with pytest.raises(ValueError, match="pca"):
        sample_strips(Reconstructions(images, [("pca", images[:1])], [], (0, 1)))


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
