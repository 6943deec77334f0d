"""Charts of the page: Vega-Lite specifications as text that can stand in a script element."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from offset_autoencoder.reporting.palette import Colour
from offset_autoencoder.reporting.tables import Table

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
_HEIGHT = 340
_DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [14, 4], [4, 5])
_PADDING = 8  # pixels
_MOST_TICKS = 8
_DIGITS = ".6~g"
_WORDLESS = "nothing swept"
_ARRAYS = ("x", "mean", "low", "high")


@dataclass(frozen=True)
class Switch:
    """Switch of a chart, which its reader turns on and off.

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


@dataclass(frozen=True)
class Line:
    """A setting's line.

    Attributes:
        setting: What it is called.
        model: Its model.
        values: Its swept values, which choose its dashes; empty where it sweeps nothing.
        x: Where, ascending.
        mean: Means over its runs.
        low: Lower ends of their intervals, NaN where there are none.
        high: Upper ends.
        runs: How many runs, in words; empty where that is not said.
    """

    setting: str
    model: str
    values: str
    x: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    runs: str = ""


@dataclass(frozen=True)
class Labels:
    """Texts of a chart.

    Attributes:
        x: Title of the axis.
        y: Likewise.
    """

    x: str
    y: str


def line_chart(
    lines: Sequence[Line],
    colours: Mapping[str, Colour],
    labels: Labels,
    *,
    log_x: bool = False,
    points: bool = False,
) -> Markup:
    """The specification of a chart of lines; y is logarithmic where all of it is above zero.

    Args:
        lines: At least one, each with at least one point.
        colours: By model.
        labels: What is written at the axes.
        log_x: Whether x is logarithmic.
        points: Whether every point has a mark, and x numbers at the points alone where these
            are few.
    """
    import altair as alt

    models = list(dict.fromkeys(line.model for line in lines))
    encode = _encodings(lines, colours, labels, log_x=log_x, points=points)
    hovered = alt.selection_point(
        name="hovered", fields=["setting"], on="pointerover", clear="pointerout", nearest=True
    )

    def opacity(least: float, most: float) -> Any:
        """Opacity: that of all while none is hovered, then of the one that is."""
        return alt.when(hovered).then(alt.value(most)).otherwise(alt.value(least))

    base = alt.Chart().encode(encode["x"], encode["colour"], detail="setting:N")
    bands = base.mark_area(clip=True).encode(
        encode["low"], y2="high:Q", opacity=opacity(least=0.03, most=0.16)
    )
    drawn = base.mark_line(strokeWidth=2, clip=True).encode(
        encode["mean"], encode["dash"], opacity=opacity(least=0.15, most=1)
    )
    tooltip = alt.ExprRef(_tooltip(labels.x))
    on_hover = alt.when(hovered, empty=False).then(alt.value(1)).otherwise(alt.value(0))
    marks = base.mark_point(filled=True, size=46, clip=True, tooltip=tooltip).encode(
        encode["mean"], opacity=opacity(least=0.15, most=1) if points else on_hover
    )
    layered = (
        alt.layer(bands, drawn, marks.add_params(hovered), data=alt.NamedData(name=ROWS))
        .transform_filter(f"indexof({SHOWN}, datum.model) >= 0")
        .transform_flatten(list(_ARRAYS))
        .add_params(alt.param(name=SHOWN, value=models))
        .properties(width="container", height=_HEIGHT)
    )
    return spec_text(layered, _rows(lines))


def _rows(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """A list a line rather than a row a point: a third of the bytes."""
    return [
        {
            "setting": line.setting,
            "model": line.model,
            "values": line.values or _WORDLESS,
            "runs": line.runs,
            **{name: [short(value) for value in getattr(line, name)] for name in _ARRAYS},
        }
        for line in lines
    ]


def _encodings(
    lines: Sequence[Line],
    colours: Mapping[str, Colour],
    labels: Labels,
    *,
    log_x: bool,
    points: bool,
) -> dict[str, Any]:
    import altair as alt

    places = sorted({place for line in lines for place in line.x})
    few: dict[str, Any] = {}
    if points and len(places) <= _MOST_TICKS:
        few["values"] = places
    ends = [end for line in lines for end in (*line.mean, *line.low) if math.isfinite(end)]
    y_scale: dict[str, Any] = {"nice": False, "padding": _PADDING}
    y_scale |= {"type": "log"} if min(ends) > 0 else {"zero": False}
    x_scale: dict[str, Any] = {"nice": False, "padding": _PADDING}
    x_scale |= {"type": "log"} if log_x else {"zero": False}
    models = list(dict.fromkeys(line.model for line in lines))
    values = list(dict.fromkeys(line.values or _WORDLESS for line in lines))
    dashes = [list(_DASHES[place % len(_DASHES)]) for place in range(len(values))]
    dash = alt.StrokeDash("values:N").scale(domain=values, range=dashes)
    return {
        "x": alt.X("x:Q").title(labels.x).scale(**x_scale).axis(grid=False, format=_DIGITS, **few),
        "mean": alt.Y("mean:Q").title(labels.y).scale(**y_scale).axis(format=_DIGITS, tickCount=6),
        "low": alt.Y("low:Q").title(labels.y).scale(**y_scale),
        "colour": alt.Color("model:N")
        .scale(domain=models, range=[colours[model].reference for model in models])
        .legend(None),
        "dash": dash.title(None) if len(values) > 1 else dash.legend(None),
    }


def _tooltip(x_title: str) -> str:
    """Expression of the tooltip at a point; where there is no interval, a mean alone."""
    # Around the points are the cells by which the nearest is found: there a point is datum.datum.
    point = "(datum.datum || datum)"
    x, mean, low, high = (f"format({point}.{name}, '{_DIGITS}')" for name in _ARRAYS)
    return (
        f"{{'setting': {point}.setting, {json.dumps(x_title)}: {x}, 'mean': {mean}, "
        f"'interval': {point}.low === null ? 'none' : {low} + ' to ' + {high}, "
        f"'runs': {point}.runs}}"
    )
