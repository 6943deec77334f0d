"""Charts as PNG files, and as templates for DVC.

With the rows of its csv file a chart is the PNG beside that file; with DVC's placeholders in their
place it is the template that ``dvc plots`` fills with the same file of several revisions.
``python -m offset_autoencoder.reporting.rendering`` writes the templates to ``.dvc/plots``.
"""

from __future__ import annotations

import functools
import json
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.io.files import atomic_write, write_text
from offset_autoencoder.reporting.charts import (
    comparison_chart,
    curve_chart,
    intervention_chart,
    setting_chart,
)
from offset_autoencoder.reporting.rows import Row

_FONT = "Liberation Sans"  # vl-convert brings it: the same pixels on every machine
_STYLE: dict[str, Any] = {
    "font": _FONT,
    "axis": {
        "gridColor": "#e5e5e5",
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "header": {"labelFontSize": 12, "labelFontWeight": "bold"},
    "legend": {
        "labelFontSize": 12,
        "symbolSize": 80,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "title": {"fontSize": 13, "fontWeight": "normal", "subtitleFontSize": 12},
    "view": {"stroke": None},
}
# One minus sign in pictures, tables and files.
_LOCALE = {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["", ""], "minus": "-"}
_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"  # what DVC's own page loads
_TITLE, _X_LABEL, _Y_LABEL = "<DVC_METRIC_TITLE>", "<DVC_METRIC_X_LABEL>", "<DVC_METRIC_Y_LABEL>"
_SYMLOG = {"type": "symlog", "constant": 0.001}  # of values whose sign and size are not known


def write_png(path: Path, chart: Any, rows: Sequence[Row]) -> None:
    """Draw a chart with its rows, atomically; the same rows give the same bytes.

    Args:
        path: Where the PNG goes.
        chart: One of the charts of this module.
        rows: Its data; what is not finite is drawn as if it were not there.
    """
    import vl_convert

    data = [{name: _plain(value) for name, value in row.items()} for row in rows]
    spec = {**chart.to_dict(), "config": _STYLE | {"locale": {"number": _LOCALE}}}
    spec["datasets"] = {"rows": data}
    with atomic_write(path) as stream:
        stream.write(recompressed(vl_convert.vegalite_to_png(spec, vl_version="6.4")))


def templates() -> dict[str, dict[str, Any]]:
    """The templates of ``dvc plots`` by name, with DVC's placeholders for data and titles."""
    numbers = ("mean", "low", "high", "runs")
    changes = ("change", "low", "high", "runs", "difference", "p_corrected")
    scale = {**_SYMLOG, "zero": False, "nice": False, "padding": 10}
    curve = functools.partial(curve_chart, _TITLE, revisions=True)
    return {
        "comparison_intervals": _template(
            comparison_chart(_TITLE, _X_LABEL, revisions=True), changes
        ),
        "intervention_changes": _template(
            intervention_chart(_TITLE, _X_LABEL, revisions=True), changes
        ),
        "learning_curves": _template(
            curve("epoch", _X_LABEL, _Y_LABEL, y_scale={"zero": False}, without_start=True),
            ("epoch", *numbers),
        ),
        "level_curves": _template(
            curve("level", _X_LABEL, _Y_LABEL, y_scale=scale, points=True), ("level", *numbers)
        ),
        "settings_intervals": _template(
            setting_chart(_TITLE, _X_LABEL, _Y_LABEL, y_scale=scale, revisions=True),
            ("noise_level", "label_at", *numbers),
        ),
    }


def write_templates(folder: Path) -> None:
    """Write each template as ``NAME.json``."""
    for name, spec in templates().items():
        write_text(folder / f"{name}.json", json.dumps(spec, indent=1, ensure_ascii=False) + "\n")


def _template(chart: Any, numbers: Sequence[str]) -> dict[str, Any]:
    spec = chart.to_dict()
    parse = dict.fromkeys(numbers, "number")
    return {
        **spec,
        "$schema": _SCHEMA,
        "data": {"values": "<DVC_METRIC_DATA>", "format": {"parse": parse}},
        "config": _STYLE | {"locale": {"number": _LOCALE}},
    }


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


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
    """Picture with the same pixels in fewer bytes, where it was compressed in a hurry."""
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


if __name__ == "__main__":
    write_templates(Path(".dvc/plots"))
