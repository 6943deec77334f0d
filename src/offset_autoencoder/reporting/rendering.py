"""Charts as PNG files and as templates for DVC, and samples as strips of small pictures.

With the rows of its csv file a chart is the PNG beside that file; with DVC's placeholders in their
place it is the template that ``dvc plots`` fills with the same file of several revisions.
``python -m offset_autoencoder.reporting.rendering`` writes the templates to ``.dvc/plots``.
"""

from __future__ import annotations

import base64
import functools
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import vl_convert
from numpy.typing import NDArray
from PIL import Image

from offset_autoencoder.io.files import atomic_write, write_text
from offset_autoencoder.reporting import charts
from offset_autoencoder.reporting.curves import curve_chart
from offset_autoencoder.reporting.rows import Row

if TYPE_CHECKING:
    from offset_autoencoder.evaluation.examples import Reconstructions

_TITLE_FONT = {"titleFontSize": 12, "titleFontWeight": "normal"}
# One minus sign in pictures, tables and files.
_NUMBERS = {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["", ""], "minus": "-"}
_STYLE: dict[str, Any] = {
    "font": "Liberation Sans",  # vl-convert brings it: the same pixels on every machine
    "axis": {**_TITLE_FONT, "gridColor": "#e5e5e5", "labelFontSize": 11},
    "header": {"labelFontSize": 12, "labelFontWeight": "bold"},
    "legend": {**_TITLE_FONT, "labelFontSize": 12, "symbolSize": 80},
    "title": {"fontSize": 13, "fontWeight": "normal", "subtitleFontSize": 12},
    "view": {"stroke": None},
    "locale": {"number": _NUMBERS},
}
_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"  # what DVC's own page loads
_TITLE, _X_LABEL, _Y_LABEL = "<DVC_METRIC_TITLE>", "<DVC_METRIC_X_LABEL>", "<DVC_METRIC_Y_LABEL>"
_SYMLOG = {"type": "symlog", "constant": 0.001}  # of values whose sign and size are not known
LEAST_SIDE, MOST_SIDE = 32, 64  # pixels of an image
MOST_POINTS = 256  # more than this across a small picture cannot be seen
LINE_WIDTH, LINE_HEIGHT, CHANNEL_HEIGHT = 120, 48, 24
MOST_CHANNELS = 6  # of a series, each a line below the one before
_IMAGE_GAP, _LINE_GAP = 2, 8
_STRIP_WIDTH, _MOST_SIDE_DRAWN, _LETTER = 720, 68, 7
# An image has no part in the page's style: it follows the screen's setting by itself.
_LIGHT = ".x{stroke:#777}.y{stroke:#0072B2;stroke-width:1.5}"
_DARK = "@media(prefers-color-scheme:dark){.x{stroke:#999}.y{stroke:#56B4E9}}"
_LINE = "path{fill:none;stroke-width:1.2;stroke-linejoin:round}"


def write_png(path: Path, chart: Any, rows: Sequence[Row]) -> None:
    """Draw an Altair chart of data called ``rows``, atomically; the same rows give the same bytes.

    What is not finite is drawn as if it were not there.
    """

    def drawable(value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    plain = [{name: drawable(value) for name, value in row.items()} for row in rows]
    spec = {**chart.to_dict(), "config": _STYLE, "datasets": {"rows": plain}}
    with atomic_write(path) as stream:
        hasty = vl_convert.vegalite_to_png(spec, vl_version="6.4")
        stream.write(compressed(Image.open(io.BytesIO(hasty))))


def templates() -> dict[str, dict[str, Any]]:
    """The templates of ``dvc plots`` by name, with DVC's placeholders for data and titles."""
    numbers = ("mean", "low", "high", "runs")
    changes = ("change", "low", "high", "runs", "difference", "p_corrected")
    scale = {**_SYMLOG, "zero": False, "nice": False, "padding": 10}
    intervals = functools.partial(charts.interval_chart, revisions=True)
    curve = functools.partial(curve_chart, _TITLE, revisions=True)
    settings = charts.setting_chart(_TITLE, _X_LABEL, _Y_LABEL, y_scale=scale, revisions=True)
    epochs = curve("epoch", _X_LABEL, _Y_LABEL, y_scale={"zero": False}, without_start=True)
    levels = curve("level", _X_LABEL, _Y_LABEL, y_scale=scale, points=True)
    return {
        "comparison_intervals": _template(intervals("comparison", _TITLE, _X_LABEL), changes),
        "intervention_changes": _template(intervals("interventions", _TITLE, _X_LABEL), changes),
        "learning_curves": _template(epochs, ("epoch", *numbers)),
        "level_curves": _template(levels, ("level", *numbers)),
        "settings_intervals": _template(settings, ("noise_level", "label_at", *numbers)),
    }


def write_templates(folder: Path) -> None:
    """Write each template as ``NAME.json``."""
    for name, spec in templates().items():
        write_text(folder / f"{name}.json", json.dumps(spec, indent=1, ensure_ascii=False) + "\n")


def _template(chart: Any, numbers: Sequence[str]) -> dict[str, Any]:
    parse = dict.fromkeys(numbers, "number")
    data = {"values": "<DVC_METRIC_DATA>", "format": {"parse": parse}}
    return {**chart.to_dict(), "$schema": _SCHEMA, "data": data, "config": _STYLE}


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels, (height, width, channels) uint8, as a PNG file: grey or colour, opacity or none."""
    return compressed(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))


def compressed(image: Image.Image) -> bytes:
    """A picture as a PNG file: a few percent larger than the smallest, in a quarter of its time."""
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=6)
    return stream.getvalue()


@dataclass(frozen=True)
class Strip:
    """Small pictures side by side as a ``data:`` URI of so many pixels.

    ``name`` is what made them, ``holds`` their number and kind: ``"10 images"``.
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
    drawn into each, in lighter colours on a ``dark`` screen, and no prior. Both are empty where
    there is nothing to show.

    Raises:
        ValueError: where a row has another shape than the originals.
    """
    if reconstructions is None or not len(reconstructions.originals) or not reconstructions.rows:
        return [], []
    originals, data_range = reconstructions.originals, reconstructions.data_range
    for name, samples in reconstructions.rows:
        if samples.shape != originals.shape:
            raise ValueError(f"{name}: needs the shape {originals.shape}, got {samples.shape}")
    if reconstructions.are_lines:
        draw = functools.partial(feature_line, data_range=data_range, dark=dark)
        return [draw(name, originals, samples) for name, samples in reconstructions.rows], []
    images = [("original", originals), *reconstructions.rows]
    return (
        [thumbnails(name, samples, data_range) for name, samples in images],
        [thumbnails(name, samples, data_range) for name, samples in reconstructions.prior],
    )


def write_strips(path: Path, strips: Sequence[Strip], *, title: str = "") -> None:
    """Write strips, all of one size, below each other as a PNG, each with its name at the left.

    Nothing is written where there are none.
    """
    if not strips:
        return
    first = strips[0]
    width = _STRIP_WIDTH
    if "image" in first.holds:
        width = min(width, _MOST_SIDE_DRAWN * int(first.holds.split()[0]))
    height = round(first.height * width / first.width)
    room = _LETTER * max(len(strip.name) for strip in strips) + 20  # of the names
    base = alt.Chart(charts.DATA).transform_window(row="row_number()")
    base = base.encode(y=alt.Y("row:O").axis(None).scale(padding=0))
    picture = base.mark_image(width=width, height=height, align="left", smooth=False).encode(
        x=alt.value(room), url="url:N"
    )
    name = base.mark_text(align="right", fontSize=12, limit=room - 10).encode(
        x=alt.value(room - 10), text="name:N"
    )
    size: dict[str, Any] = {"width": room + width, "height": (height + 5) * len(strips)}
    chart = alt.layer(picture, name).properties(**size)
    if title:
        chart = chart.properties(title=alt.TitleParams(title, anchor="start"))
    write_png(path, chart, [{"name": strip.name, "url": strip.data} for strip in strips])


def thumbnails(name: str, images: NDArray[Any], data_range: tuple[float, float]) -> Strip:
    """Images side by side as a strip, drawn by :func:`strip_pixels`."""
    pixels = strip_pixels(images, data_range)
    data = base64.b64encode(png(pixels)).decode()
    height, width = pixels.shape[:2]
    return Strip(name, f"data:image/png;base64,{data}", width, height, f"{len(images)} images")


def strip_pixels(images: NDArray[Any], data_range: tuple[float, float]) -> NDArray[np.uint8]:
    """Images side by side, transparent between them.

    Small ones are enlarged pixel by pixel, large ones made smaller by averaging blocks, so that
    the longer side has 32 to 64 pixels or as near to that as whole factors come. Images are (n,
    height, width) or (n, height, width, channels), from black to white over the ``data_range``.

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

    Both are (n, features), or (n, steps, channels) with a line over the steps for each of the first
    channels, one below the other. The ends of ``data_range`` lie at the bottom and at the top.
    """
    channels = 1 if originals.ndim == 2 else min(originals.shape[2], MOST_CHANNELS)
    line_height = LINE_HEIGHT if channels == 1 else CHANNEL_HEIGHT
    paths = []
    for channel in range(channels):
        top = channel * (line_height + _LINE_GAP // 2)
        for of_class, samples in (("x", originals), ("y", reconstructions)):
            vectors = samples if samples.ndim == 2 else samples[..., channel]
            across, up = line_points(vectors, data_range)
            for place, line in enumerate(up):
                left = place * (LINE_WIDTH + _LINE_GAP)
                heights = top + line_height * (1 - line)
                points = zip(left + LINE_WIDTH * across, heights, strict=True)
                drawn = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
                paths.append(f'<path class="{of_class}" d="M{drawn}"/>')
    width = len(originals) * (LINE_WIDTH + _LINE_GAP) - _LINE_GAP
    height = channels * (line_height + _LINE_GAP // 2) - _LINE_GAP // 2
    style = _LINE + _LIGHT + (_DARK if dark else "")
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-1 -1 {width + 2} {height + 2}">'
        f"<style>{style}</style>{''.join(paths)}</svg>"
    )
    data = base64.b64encode(svg.encode()).decode()
    holds = f"{len(originals)} profiles"
    return Strip(name, f"data:image/svg+xml;base64,{data}", width + 2, height + 2, holds)


def profiles_over(reconstructions: Reconstructions | None) -> str:
    """Clause on what lines go over: ``"features, in their order"``; ``""`` where none are drawn."""
    if reconstructions is None or not reconstructions.are_lines:
        return ""
    if not reconstructions.are_series:
        return "features, in their order"
    channels = reconstructions.originals.shape[2]
    if channels == 1:
        return "steps"
    each = f"each of the first {MOST_CHANNELS} of" if channels > MOST_CHANNELS else "each of"
    return f"steps, a line for {each} {channels} channels"


def line_points(
    vectors: NDArray[Any], data_range: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points of samples, (n, features), as lines in a unit square: across by feature, up by value.

    Of many features, as many adjoining ones are averaged as leave at most 256 points. What is
    beyond the range is cut off; a value that is no number is drawn at the bottom.

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
    rest = [(0, 0), (0, -height % factor), (0, -width % factor), (0, 0)]
    images = np.pad(images, rest, mode="edge")
    return images.reshape(
        count, images.shape[1] // factor, factor, images.shape[2] // factor, factor, channels
    ).mean(axis=(2, 4))


if __name__ == "__main__":
    write_templates(Path(".dvc/plots"))
