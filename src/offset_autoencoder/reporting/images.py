"""Pictures of samples: thumbnails of images, lines over features, side by side as strips."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.reporting.rendering import png, write_png

if TYPE_CHECKING:
    from offset_autoencoder.evaluation.examples import Reconstructions

LEAST_SIDE, MOST_SIDE = 32, 64  # pixels of an image
MOST_POINTS = 256  # more than this across a small picture cannot be seen
LINE_WIDTH, LINE_HEIGHT = 120, 48
_IMAGE_GAP, _LINE_GAP = 2, 8
_STRIP_WIDTH, _MOST_SIDE_DRAWN, _LETTER = 720, 68, 7
# An image has no part in the page's style: it follows the screen's setting by itself.
_LIGHT = ".x{stroke:#777}.y{stroke:#0072B2;stroke-width:1.5}"
_DARK = "@media(prefers-color-scheme:dark){.x{stroke:#999}.y{stroke:#56B4E9}}"
_LINE = "path{fill:none;stroke-width:1.2;stroke-linejoin:round}"


@dataclass(frozen=True)
class Strip:
    """Small pictures side by side.

    Attributes:
        name: What made them.
        data: The picture as a ``data:`` URI.
        width: Pixels.
        height: Pixels.
        holds: How many of what: ``"10 images"``.
    """

    name: str
    data: str
    width: int
    height: int
    holds: str


def sample_strips(
    reconstructions: Reconstructions | None, *, dark: bool = True
) -> tuple[list[Strip], list[Strip]]:
    """Strips of each setting's reconstructions, and of what decoders make of their prior.

    Images come with a strip of the originals before them; lines over features have the originals
    drawn into each, and no prior.

    Args:
        reconstructions: The samples; None where no run finished.
        dark: Whether lines take lighter colours on a dark screen.

    Returns:
        Both lists, empty where there is nothing to show.

    Raises:
        ValueError: where a row has another shape than the originals.
    """
    if reconstructions is None or not len(reconstructions.originals) or not reconstructions.rows:
        return [], []
    originals, data_range = reconstructions.originals, reconstructions.data_range
    for name, samples in reconstructions.rows:
        if samples.shape != originals.shape:
            raise ValueError(f"{name}: needs the shape {originals.shape}, got {samples.shape}")
    if originals.ndim == 2:
        rows = [
            feature_line(name, originals, samples, data_range, dark=dark)
            for name, samples in reconstructions.rows
        ]
        return rows, []
    images = [("original", originals), *reconstructions.rows]
    return (
        [thumbnails(name, samples, data_range) for name, samples in images],
        [thumbnails(name, samples, data_range) for name, samples in reconstructions.prior],
    )


def write_strips(path: Path, strips: Sequence[Strip], *, title: str = "") -> bool:
    """Write strips below each other as a PNG.

    Args:
        path: Where the PNG goes.
        strips: The strips, all of one size.
        title: Above them.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    if not strips:
        return False
    first = strips[0]
    pictures = int(first.holds.split()[0])
    width = min(_STRIP_WIDTH, _MOST_SIDE_DRAWN * pictures) if "image" in first.holds else 720
    height = round(first.height * width / first.width)
    label_width = _LETTER * max(len(strip.name) for strip in strips) + 20
    rows = [{"name": strip.name, "url": strip.data} for strip in strips]
    write_png(path, _strip_chart(rows, label_width, height, width, title=title), rows)
    return True


def _strip_chart(
    rows: Sequence[Mapping[str, Any]], label_width: int, height: int, width: int, *, title: str = ""
) -> Any:
    """Strips of small pictures below each other, each with its name at the left.

    Args:
        rows: ``name`` and ``url``, a ``data:`` URI, of each strip.
        label_width: Room for the names, pixels.
        height: That of a strip, pixels.
        width: Likewise.
        title: Above the chart.
    """
    import altair as alt

    base = (
        alt.Chart(alt.NamedData(name="rows"))
        .transform_window(row="row_number()")
        .encode(y=alt.Y("row:O").axis(None).scale(padding=0))
    )
    picture = base.mark_image(width=width, height=height, align="left", smooth=False).encode(
        x=alt.value(label_width), url="url:N"
    )
    name = base.mark_text(align="right", fontSize=12, limit=label_width - 10).encode(
        x=alt.value(label_width - 10), text="name:N"
    )
    size: dict[str, Any] = {"width": label_width + width, "height": (height + 5) * len(rows)}
    chart = alt.layer(picture, name).properties(**size)
    return chart.properties(title=alt.TitleParams(title, anchor="start")) if title else chart


def thumbnails(name: str, images: NDArray[Any], data_range: tuple[float, float]) -> Strip:
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
    strip = np.zeros((height, count * (width + _IMAGE_GAP) - _IMAGE_GAP, channels + 1), np.uint8)
    for place, image in enumerate(shares):
        start = place * (width + _IMAGE_GAP)
        strip[:, start : start + width, :channels] = np.rint(255 * image)
        strip[:, start : start + width, channels] = 255
    return strip


def feature_line(
    name: str,
    originals: NDArray[Any],
    reconstructions: NDArray[Any],
    data_range: tuple[float, float],
    *,
    dark: bool = True,
) -> Strip:
    """Samples side by side, each a line over its features, its reconstruction over it.

    Args:
        name: What made the reconstructions.
        originals: (n, features).
        reconstructions: (n, features).
        data_range: The values at the bottom and at the top.
        dark: Whether the lines take lighter colours on a dark screen.
    """
    paths = []
    for of_class, vectors in (("x", originals), ("y", reconstructions)):
        across, up = line_points(vectors, data_range)
        for place, line in enumerate(up):
            left = place * (LINE_WIDTH + _LINE_GAP)
            points = zip(left + LINE_WIDTH * across, LINE_HEIGHT * (1 - line), strict=True)
            drawn = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
            paths.append(f'<path class="{of_class}" d="M{drawn}"/>')
    width = len(originals) * (LINE_WIDTH + _LINE_GAP) - _LINE_GAP
    style = _LINE + _LIGHT + (_DARK if dark else "")
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-1 -1 {width + 2} {LINE_HEIGHT + 2}">'
        f"<style>{style}</style>{''.join(paths)}</svg>"
    )
    data = base64.b64encode(svg.encode()).decode()
    holds = f"{len(originals)} profiles"
    return Strip(name, f"data:image/svg+xml;base64,{data}", width + 2, LINE_HEIGHT + 2, holds)


def line_points(
    vectors: NDArray[Any], data_range: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points of samples as lines in a unit square: across by feature, up by value.

    Of many features, as many adjoining ones are averaged as leave at most 256 points. A value
    that is no number is drawn at the bottom.

    Args:
        vectors: (n, features).
        data_range: The values at 0 and at 1; what is beyond is cut off.

    Returns:
        (points,) from 0 to 1, and (n, points) from 0 to 1, float64.
    """
    low, high = data_range
    values = np.asarray(vectors, np.float64)
    block = -(-values.shape[1] // MOST_POINTS)
    starts = np.arange(0, values.shape[1], block)
    counts = np.diff([*starts, values.shape[1]])
    means = np.add.reduceat(values, starts, axis=1) / counts
    heights = np.nan_to_num(np.clip((means - low) / ((high - low) or 1.0), 0, 1))
    if heights.shape[1] == 1:
        heights = np.repeat(heights, 2, axis=1)
    return np.linspace(0, 1, heights.shape[1]), heights


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
