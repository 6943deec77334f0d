"""A chart of the page: its Vega-Lite specification, as text that can stand in a script element."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from offset_autoencoder.reporting.html.palette import Colour
from offset_autoencoder.reporting.html.table import Table

ROWS = "rows"
"""What the data of every chart are called."""

SHOWN = "shown"
"""The parameter that holds which models, or labels, a chart shows."""

_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif'
# The colours of the page: so a chart turns dark with it, and light in print, without being redrawn.
_CONFIG: dict[str, Any] = {
    "background": None,
    "font": _FONT,
    "axis": {
        "domainColor": "var(--line)",
        "gridColor": "var(--grid)",
        "labelColor": "currentColor",
        "labelFontSize": 12,
        "labelOverlap": "greedy",
        "tickColor": "var(--line)",
        "titleColor": "currentColor",
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    },
    "header": {
        "labelColor": "currentColor",
        "labelFontSize": 12,
        "labelFontWeight": "bold",
        "title": None,
    },
    "legend": {
        "columns": 4,
        "labelColor": "currentColor",
        "labelFontSize": 12,
        "labelLimit": 220,
        "orient": "top",
        "symbolSize": 800,
        "symbolStrokeColor": "currentColor",
        "symbolStrokeWidth": 2,
        "titleColor": "currentColor",
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "view": {"stroke": None},
}


@dataclass(frozen=True)
class Switch:
    """What a reader can switch on and off in a chart.

    Attributes:
        value: Of the parameter :data:`SHOWN`, and what it is called.
        css: The class of its colour.
    """

    value: str
    css: str


@dataclass(frozen=True)
class Chart:
    """A chart and what belongs to it.

    Attributes:
        name: Its id on the page.
        caption: What it shows, and what its axes are.
        spec: Its specification, JSON that is safe within a script element.
        switches: What can be switched.
        switched: What these are: ``models``.
        table: The numbers behind it.
        facet_width: The width of a panel where there are several, pixels; 0 for a single one.
    """

    name: str
    caption: str
    spec: Markup
    switches: Sequence[Switch]
    switched: str
    table: Table | None
    facet_width: int = 0


def switches_of(values: Iterable[str], colours: Mapping[str, Colour]) -> list[Switch]:
    """A switch a value, each once, in the order of the colours."""
    present = set(values)
    return [Switch(value, each.name) for value, each in colours.items() if value in present]


def spec_text(chart: Any, rows: Sequence[Mapping[str, Any]]) -> Markup:
    """A chart's specification, in the page's colours and fonts.

    Args:
        chart: An Altair chart of the data called :data:`ROWS`, which are added here: Altair would
            look through all of them several times.
        rows: The data.
    """
    spec = chart.to_dict()
    spec.pop("$schema", None)
    return json_text({**spec, "config": _CONFIG, "datasets": {ROWS: rows}})


def json_text(value: Any) -> Markup:
    """JSON that no HTML parser takes for the end of the script element that it stands in.

    Raises:
        ValueError: for NaN and infinities, which are not JSON.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def short(value: float) -> float | None:
    """A number to five digits, which is more than can be seen; None where it is not finite."""
    return float(f"{value:.5g}") if math.isfinite(value) else None
