"""Rows of small line charts, a sample each, as SVG data for the page."""

from __future__ import annotations

import base64
from typing import Any

from numpy.typing import NDArray

from offset_autoencoder.reporting.html.strip import Strip
from offset_autoencoder.reporting.profiles import profile_lines

WIDTH, HEIGHT = 120, 48
_GAP = 8
# An image has no part in the page's style: it follows the screen's setting by itself.
_STYLE = (
    "path{fill:none;stroke-width:1.2;stroke-linejoin:round}"
    ".x{stroke:#777}.y{stroke:#0072B2;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){.x{stroke:#999}.y{stroke:#56B4E9}}"
)


def profile_strip(
    name: str,
    originals: NDArray[Any],
    reconstructions: NDArray[Any],
    data_range: tuple[float, float],
) -> Strip:
    """Samples side by side, each a line over its features, its reconstruction over it.

    Args:
        name: What made the reconstructions.
        originals: (n, features).
        reconstructions: (n, features).
        data_range: The values at the bottom and at the top.
    """
    paths = []
    for of_class, vectors in (("x", originals), ("y", reconstructions)):
        across, up = profile_lines(vectors, data_range)
        for place, line in enumerate(up):
            left = place * (WIDTH + _GAP)
            points = zip(left + WIDTH * across, HEIGHT * (1 - line), strict=True)
            drawn = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
            paths.append(f'<path class="{of_class}" d="M{drawn}"/>')
    width = len(originals) * (WIDTH + _GAP) - _GAP
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-1 -1 {width + 2} {HEIGHT + 2}">'
        f"<style>{_STYLE}</style>{''.join(paths)}</svg>"
    )
    data = base64.b64encode(svg.encode()).decode()
    holds = f"{len(originals)} profiles"
    return Strip(name, f"data:image/svg+xml;base64,{data}", width + 2, HEIGHT + 2, holds)
