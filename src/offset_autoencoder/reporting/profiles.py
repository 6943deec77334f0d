"""The picture of samples that are no images: each a line over its features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.reporting.figure import PALETTE, WIDTH, written_figure

# More points than this across a small picture are not told apart.
MOST_POINTS = 256
_HEIGHT, _GAP = 0.62, 0.12  # of a row, inches; between two samples, as a share of one's place
_HEAD = 0.35
_GREY = "#777777"


def profile_lines(
    vectors: NDArray[Any], data_range: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Samples as lines: where along a unit square each feature lies, and how high.

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


def draw_profiles(
    path: Path,
    originals: NDArray[Any],
    rows: Sequence[tuple[str, NDArray[Any]]],
    *,
    data_range: tuple[float, float],
) -> bool:
    """Draw samples and what came out for them as lines over the features, one row a setting.

    Args:
        path: Where the PNG goes.
        originals: The samples, (n, features).
        rows: For each row its label and the reconstructions of these samples, same shape.
        data_range: The values at the bottom and at the top of a row.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    if not rows or not len(originals):
        return False
    label_width = 0.085 * max(len(label) for label, _ in rows) + 0.2
    place = (WIDTH - label_width) / len(originals)
    size = (WIDTH, _HEAD + _HEIGHT * len(rows))
    across, before = profile_lines(originals, data_range)
    with written_figure(path, size, layout=None) as figure:
        panel = figure.add_axes((0, 0, 1, 1), xlim=(0, size[0]), ylim=(size[1], 0))
        panel.set_axis_off()
        x, y = label_width, _HEAD / 2
        for text, colour in (("sample", _GREY), ("reconstruction", PALETTE[0])):
            panel.plot([x, x + 0.25], [y, y], color=colour, linewidth=1.5)
            panel.text(x + 0.32, y, text, va="center", fontsize=9)
            x += 0.5 + 0.085 * len(text)
        low, high = data_range
        said = f"features in their order; values from {low:.3g} to {high:.3g}"
        panel.text(x + 0.1, y, said, va="center", fontsize=9, color=_GREY)
        for line, (label, vectors) in enumerate(rows):
            bottom = _HEAD + (line + 0.94) * _HEIGHT
            after = profile_lines(vectors, data_range)[1]
            for column in range(len(originals)):
                places = label_width + (column + (1 - _GAP) * across) * place
                for heights, colour in ((before, _GREY), (after, PALETTE[0])):
                    drawn = bottom - 0.88 * _HEIGHT * heights[column]
                    panel.plot(places, drawn, color=colour, linewidth=0.9)
            panel.text(label_width - 0.1, bottom - 0.44 * _HEIGHT, label, ha="right", va="center")
    return True
