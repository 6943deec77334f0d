"""Vega-Lite charts of curves and of codes; the page's are made of the same marks and switched."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from offset_autoencoder.reporting import charts
from offset_autoencoder.reporting.charts import DIGITS, Chart

SHOWN = "shown"
"""The parameter of a page's chart that holds which models, or labels, it shows."""

PANEL = 150  # of codes, pixels
_KEY_COLUMNS = 6
_REFERENCE = "#999999"
_HEIGHT = 340  # of the page's curves, pixels
_DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [14, 4], [4, 5])
_PADDING = 8  # pixels
_MOST_TICKS = 8
_LONGEST_LETTERS = 2


def curve_chart(
    title: Sequence[str] | str,
    x: str,
    x_label: str,
    y_label: str,
    *,
    y_scale: Mapping[str, Any],
    without_start: bool = False,
    points: bool = False,
    reference: bool = False,
    revisions: bool = False,
) -> Chart:
    """Curves over the column ``x``, with bands, in a panel per model, one line per setting.

    ``without_start`` leaves out the first tenth of the longest curve, where curves fall from far
    above; ``points`` marks every point; rows with ``reference`` are drawn grey and dashed, and
    with ``revisions`` rows name one, by the column ``rev``.
    """
    scale: dict[str, Any] = {"zero": False, "nice": False, "padding": _PADDING}
    whole: dict[str, Any] = {"tickMinStep": 1} if x == "epoch" else {}
    x_axis = alt.X(x, type="quantitative").title(None).scale(**scale)
    x_axis = x_axis.axis(format=DIGITS, tickCount=6, **whole)
    detail = ["setting:N", "rev:N"] if revisions else ["setting:N"]
    base = alt.Chart().encode(x_axis, charts.OWN_COLOUR, detail=detail)
    drawn = base.transform_filter("!datum.reference") if reference else base
    axis = {"titleLimit": 190, **charts.ticks_of(y_scale, 5)}
    band, line, mark = _marks(drawn, y_label, y_scale, axis)
    if revisions:
        line = line.encode(strokeDash=alt.StrokeDash("rev:N").sort(None).title("revision"))
    layers = [band.encode(opacity=alt.value(0.18)), line]
    if points or revisions:
        columns = ["rev", "setting", x, "mean", "low", "high", "runs"]
        opacity = alt.value(1 if points else 0)
        layers.append(
            mark.encode(size=alt.value(25), opacity=opacity, tooltip=charts.tooltip(columns))
        )
    if reference:
        compared = _marks(base.transform_filter("datum.reference"), y_label, y_scale, axis)[1]
        dashed = compared.mark_line(strokeWidth=1.3, strokeDash=[4, 3], clip=True)
        layers.append(dashed.encode(color=alt.value(_REFERENCE)))
    facet = alt.Facet("model:N").sort(charts.FIRST_ROW).header(title=None, labelAnchor="start")
    panels = alt.layer(*layers).properties(width=190, height=150)
    panels = panels.facet(facet=facet, columns=4, data=charts.DATA)
    panels.data = alt.Undefined  # Altair asks for it; but what follows is done to the data of all
    panels.title = charts.shared_title(x_label)
    chart = alt.vconcat(_swept_key(reference), panels, data=charts.DATA).transform_window(
        row="row_number()"
    )
    if without_start:
        chart = chart.transform_joinaggregate(last=f"max({x})").transform_filter(
            f"datum.last <= 20 || datum.{x} >= datum.last / 10"
        )
    chart = chart.transform_calculate(swept="datum.values ? datum.values : 'nothing swept'")
    return chart.properties(title=charts.titled(title))


def switched_curve_chart(
    rows: Sequence[Mapping[str, Any]],
    colours: Mapping[str, str],
    styles: Mapping[str, int],
    shown: Sequence[str],
    x_label: str,
    y_label: str,
    *,
    log_x: bool = False,
    points: bool = False,
) -> Chart:
    """The page's curves, all in one panel: hovered one by one, switched by model.

    A row per curve, at least one: ``setting``, ``model``, ``values``, ``runs``, and lists ``x``,
    ``mean``, ``low`` and ``high``, None where there is no number. Colours are by model, styles of
    lines by ``values``; models that are ``shown`` are seen at first. The axis of y is logarithmic,
    and its title says so, where all of it is above zero. With ``points`` every point has a mark,
    and x numbers at the points alone where these are few.
    """
    models, values = (list(dict.fromkeys(row[key] for row in rows)) for key in ("model", "values"))
    places = sorted({place for row in rows for place in row["x"]})
    few: dict[str, Any] = {"values": places} if points and len(places) <= _MOST_TICKS else {}
    if not few and all(float(place).is_integer() for place in places):
        few["tickMinStep"] = 1  # there is no epoch 1.5
    ends = [end for row in rows for end in (*row["mean"], *row["low"]) if end is not None]
    scale: dict[str, Any] = {"nice": False, "padding": _PADDING}
    x_scale, y_scale = (
        scale | ({"type": "log"} if log else {"zero": False}) for log in (log_x, min(ends) > 0)
    )
    x = alt.X("x:Q").title(x_label).scale(**x_scale).axis(grid=False, format=DIGITS, **few)
    colour = alt.Color("model:N").scale(domain=models, range=[colours[model] for model in models])
    dashes = [list(_DASHES[styles[value] % len(_DASHES)]) for value in values]
    y_label += ", logarithmic" if min(ends) > 0 else ""
    dash = alt.StrokeDash("values:N").scale(domain=values, range=dashes)
    hovered = alt.selection_point(
        name="hovered", fields=["setting"], on="pointerover", clear="pointerout", nearest=True
    )

    def opacity(least: float, most: float, *, empty: bool = True) -> Any:
        """Opacity of the curve that is hovered, and of all while none is if ``empty``."""
        return alt.when(hovered, empty=empty).then(alt.value(most)).otherwise(alt.value(least))

    base = alt.Chart().encode(x, colour.legend(None), detail="setting:N")
    band, line, mark = _marks(base, y_label, y_scale, {"tickCount": 6})
    mark = mark.encode(
        size=alt.value(46),
        opacity=opacity(0.15, 1) if points else opacity(0, 1, empty=False),
        tooltip=alt.value(alt.ExprRef(_hover_text(x_label))),
    )
    return (
        alt.layer(
            band.encode(opacity=opacity(0.03, 0.16)),
            line.encode(
                dash.title(None) if len(values) > 1 else dash.legend(None), opacity=opacity(0.15, 1)
            ),
            mark.add_params(hovered),
            data=charts.DATA,
        )
        .transform_filter(f"indexof({SHOWN}, datum.model) >= 0")
        .transform_flatten(["x", "mean", "low", "high"])
        .add_params(alt.param(name=SHOWN, value=list(shown)))
        .properties(width="container", height=_HEIGHT)
    )


def code_chart(settings: Sequence[str], colours: Mapping[str, str], *, coloured: bool) -> Chart:
    """The page's codes in two dimensions, a panel per setting, switched by label.

    Its rows have lists ``sample``, ``label``, ``c1`` and ``c2``; colours are by label. Where it is
    ``coloured``, labels say something: those of a letter or two are then drawn as themselves, and
    read where colours are not told apart.
    """
    labels = list(colours)
    letters = coloured and max(map(len, labels)) <= _LONGEST_LETTERS
    base = alt.Chart()
    marks = (
        base.mark_text(fontSize=10, fontWeight="bold").encode(text="label:N")
        if letters
        else base.mark_circle(size=18, opacity=0.8)
    )
    axis: dict[str, Any] = {"grid": False, "tickCount": 3, "titleFontSize": 11, "format": DIGITS}
    panels = marks.encode(
        alt.X("c1:Q").title("first component").axis(**axis).scale(zero=False),
        alt.Y("c2:Q").title("second component").axis(**axis, minExtent=26).scale(zero=False),
        alt.Color("label:N").scale(domain=labels, range=list(colours.values())).legend(None),
        tooltip=["setting:N", "sample:N", "label:N"],
    ).properties(width=PANEL, height=PANEL)
    return (
        panels.facet(facet=alt.Facet("setting:N").sort(list(settings)), columns=4, data=charts.DATA)
        .transform_flatten(["sample", "label", "c1", "c2"])
        .transform_filter(f"indexof({SHOWN}, datum.label) >= 0")
        .resolve_scale(x="independent", y="independent")
        .add_params(alt.param(name=SHOWN, value=labels))
    )


def _marks(
    base: Chart, y_label: str, y_scale: Mapping[str, Any], axis: Mapping[str, Any]
) -> tuple[Chart, Chart, Chart]:
    """Bands, lines and points of means and their intervals: what every chart of curves has."""
    mean, low = charts.means(y_label, y_scale, axis)
    return (
        base.mark_area(clip=True).encode(low.stack(None), y2="high:Q"),
        base.mark_line(strokeWidth=1.8, clip=True).encode(mean),
        base.mark_point(filled=True, clip=True).encode(mean),
    )


def _swept_key(reference: bool) -> Chart:
    """The swept values and their colours, in a line above the panels."""
    key = alt.Chart().transform_filter("!datum.reference") if reference else alt.Chart()
    values = (
        key.transform_aggregate(first="min(row)", groupby=["swept", "colour"])
        .transform_window(place="row_number()", sort=[alt.SortField("first")])
        .transform_calculate(
            column=f"(datum.place - 1) % {_KEY_COLUMNS}",
            line=f"floor((datum.place - 1) / {_KEY_COLUMNS})",
        )
        .encode(
            alt.X("column:O").axis(None).scale(domain=list(range(_KEY_COLUMNS))),
            alt.Y("line:O").axis(None),
        )
    )
    mark = values.mark_square(filled=True, opacity=1, size=120).encode(charts.OWN_COLOUR)
    name = values.mark_text(align="left", dx=10, limit=110, fontSize=12).encode(text="swept:N")
    return alt.layer(mark, name).properties(
        width=alt.Step(130), height=alt.Step(18), view=alt.ViewConfig(stroke=None)
    )


def _hover_text(x_title: str) -> str:
    """Expression of the tooltip at a point; where there is no interval, a mean alone."""
    # Around the points are the cells by which the nearest is found: there a point is datum.datum.
    point = "(datum.datum || datum)"
    x, mean, low, high = (
        f"format({point}.{name}, '{DIGITS}')" for name in ("x", "mean", "low", "high")
    )
    return (
        f"{{'setting': {point}.setting, {json.dumps(x_title)}: {x}, 'mean': {mean}, "
        f"'interval': {point}.low === null ? 'none' : {low} + ' to ' + {high}, "
        f"'runs': {point}.runs}}"
    )
