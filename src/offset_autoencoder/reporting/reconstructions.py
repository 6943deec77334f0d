"""The picture of samples and what came out for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.reporting.figure import WIDTH, written_figure

_GAP = 0.055  # between images, as a share of the place of one


def draw_reconstructions(
    path: Path,
    originals: NDArray[Any],
    rows: Sequence[tuple[str, NDArray[Any]]],
    *,
    data_range: tuple[float, float],
) -> bool:
    """Draw samples and what came out for them, one row a setting.

    Args:
        path: Where the PNG goes.
        originals: The samples, (n, height, width) or (n, height, width, channels).
        rows: For each row its label and the reconstructions of these samples, same shape.
        data_range: What is drawn black and what white.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.

    Raises:
        ValueError: where a row has another shape than the originals.
    """
    for label, images in rows:
        if images.shape != originals.shape:
            raise ValueError(f"{label}: needs the shape {originals.shape}, got {images.shape}")
    if not rows or not len(originals):
        return False
    return draw_image_rows(path, [("original", originals), *rows], data_range=data_range)


def draw_image_rows(
    path: Path, lines: Sequence[tuple[str, NDArray[Any]]], *, data_range: tuple[float, float]
) -> bool:
    """Draw rows of images, each with a label: samples from a prior, say.

    Args:
        path: Where the PNG goes.
        lines: For each row its label and its images, (n, height, width) or
            (n, height, width, channels), as many in each.
        data_range: What is drawn black and what white.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    if not lines or not len(lines[0][1]):
        return False
    images_a_line = len(lines[0][1])
    label_width = 0.085 * max(len(label) for label, _ in lines) + 0.2
    side = min(0.9, (WIDTH - label_width) / images_a_line)
    size = (label_width + side * images_a_line, side * len(lines))
    low, high = data_range
    with written_figure(path, size, layout=None) as figure:
        # One panel for all, in inches from the top left: a panel an image takes ten times as long.
        panel = figure.add_axes((0, 0, 1, 1), xlim=(0, size[0]), ylim=(size[1], 0))
        panel.set_axis_off()
        for line, (label, images) in enumerate(lines):
            for column, image in enumerate(images):
                scaled = np.clip((np.asarray(image, dtype=np.float64) - low) / (high - low), 0, 1)
                left, right, bottom, top = _place(image.shape, (1 - _GAP) * side)
                x, y = label_width + column * side, line * side
                panel.imshow(
                    _drawable(scaled),
                    vmin=0,
                    vmax=1,
                    interpolation="nearest",
                    aspect="auto",
                    extent=(x + left, x + right, y + bottom, y + top),
                )
            middle = (line + (1 - _GAP) / 2) * side
            panel.text(label_width - 0.1, middle, label, ha="right", va="center")
    return True


def _place(shape: Sequence[int], side: float) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of an image that is fitted into a square, from its top left."""
    height, width = (side * length / max(shape[:2]) for length in shape[:2])
    left, top = (side - width) / 2, (side - height) / 2
    return left, left + width, top + height, top


def _drawable(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """An image as it can be drawn: one channel is grey, three or four are colour."""
    if image.ndim == 3 and image.shape[2] not in (3, 4):
        return image.mean(axis=2)
    return image
