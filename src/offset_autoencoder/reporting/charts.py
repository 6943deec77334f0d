"""Vega-Lite charts of the rows under ``reports/plots/``, as PNG files and as templates for DVC.

Each chart has one specification. With the rows of its csv file and drawn by vl-convert it is the
PNG beside that file; with DVC's placeholders in their place it is the template that ``dvc plots``
fills with the same file of several revisions. ``python -m offset_autoencoder.reporting.charts``
writes the templates to ``.dvc/plots``.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offset_autoencoder.io.files import atomic_write, write_text
from offset_autoencoder.reporting.palette import OUTCOME_COLOURS

if TYPE_CHECKING:
    import altair as alt

Row = Mapping[str, Any]

WIDTH = 900
"""Pixels that a PNG has room for, about: charts of panels come out a little narrower or wider."""

_FONT = "Liberation Sans"  # vl-convert brings it: the same pixels on every machine
_STYLE: dict[str, Any] = {
    "font": _FONT,
    "axis": {"gridColor": "#e5e5e5", "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal"},
    "header": {"labelFontSize": 12, "labelFontWeight": "bold"},
    "legend": {"labelFontSize": 12, "symbolSize": 80, "titleFontSize": 12, "titleFontWeight": "normal"},
    "title": {"fontSize": 13, "fontWeight": "normal", "subtitleFontSize": 12},
    "view": {"stroke": None},
}
# One minus sign in pictures, tables and files.
_LOCALE = {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["", ""], "minus": "-"}
_SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"  # what DVC's own page loads
_TITLE, _X_LABEL, _Y_LABEL = "<DVC_METRIC_TITLE>", "<DVC_METRIC_X_LABEL>", "<DVC_METRIC_Y_LABEL>"
_PERCENT_TICKS = [-1000, -100, -10, 0, 10, 100, 1000, 10_000, 100_000]
_LEVEL_TICKS = [share * 10.0**power for power in range(-6, 4) for share in (1, 2, 5)]
_SYMLOG = {"type": "symlog", "constant": 0.001}  # of values whose sign and size are not known
_DIGITS = ".6~g"
_REFERENCE = "#999999"
_ZERO = "#000000"
_WORDLESS = "nothing swept"


def comparison_chart(
    title: Sequence[str] | str,
    x_label: str,
    *,
    margin: float | None = None,
    outcomes: Iterable[str] = tuple(OUTCOME_COLOURS),
    revisions: bool = False,
) -> alt.VConcatChart:
    """The change of each setting's error against each baseline, a panel per baseline and condition.

    Args:
        title: Above the chart, a line or several.
        x_label: Title of the axis.
        margin: The change in % within which settings are equivalent: a grey band.
        outcomes: The verdicts to list in the legend.
        revisions: Whether rows name a revision, by the column ``rev``.
    """
    import altair as alt

    colours = {outcome: OUTCOME_COLOURS[outcome] for outcome in outcomes}  # type: ignore[index]
    colour = (
        alt.Color("verdict:N")
        .title(None)
        .scale(domain=list(colours), range=list(colours.values()))
        .legend(orient="top", columns=len(colours))
    )
    columns = ["setting", "baseline_setting", "condition", "change", "low", "high", "difference"]
    return _interval_panels(
        ("'against ' + datum.baseline + '|' + datum.condition"),
        colour,
        _titled(title),
        x_label,
        tooltip=[*columns, "p_corrected", "verdict"],
        margin=margin,
        revisions=revisions,
    )


def intervention_chart(
    title: Sequence[str] | str,
    x_label: str,
    *,
    margin: float | None = None,
    revisions: bool = False,
) -> alt.VConcatChart:
    """The change of each setting's error under each intervention on its offset.

    Args:
        title: Above the chart, a line or several.
        x_label: Title of the axis.
        margin: The change in % that is as good as none: a grey band.
        revisions: Whether rows name a revision, by the column ``rev``.
    """
    return _interval_panels(
        "datum.panel",
        _own_colour(),
        _titled(title),
        x_label,
        tooltip=["setting", "intervention", "metric", "change", "low", "high", "runs"],
        margin=margin,
        revisions=revisions,
    )


def probe_chart(title: Sequence[str] | str, x_label: str) -> alt.VConcatChart:
    """The shares in % that a linear probe reads from each part, a shape per kind of share.

    Args:
        title: Above the chart, a line or several.
        x_label: Title of the axis.
    """
    import altair as alt

    shape = (
        alt.Shape("kind:N").title(None).sort(None).scale(range=["circle", "diamond"])
        .legend(orient="top", symbolFillColor="#777777", symbolStrokeColor="#777777")
    )
    return _interval_panels(
        "datum.panel",
        _own_colour(),
        _titled(title),
        x_label,
        tooltip=[],
        percent=False,
        shape=shape,
    )


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
) -> alt.VConcatChart:
    """Curves with bands in small panels, one per model, one line per setting.

    Args:
        title: Above the chart, a line or several.
        x: The column of x.
        x_label: Title of the axis.
        y_label: Likewise.
        y_scale: Options of the scale of y.
        without_start: Whether the first tenth of the longest curve is left out, where curves
            fall from far above.
        points: Whether every point has a mark.
        reference: Whether there are rows with ``reference``, drawn grey and dashed.
        revisions: Whether rows name a revision, by the column ``rev``.
    """
    import altair as alt

    axis = {"format": _DIGITS, "tickCount": 6}
    scale = {"zero": False, "nice": False, "padding": 8}
    x_axis = alt.X(x, type="quantitative").title(None).scale(**scale).axis(**axis)
    y_axis = {"format": _DIGITS, "titleLimit": 190, **_ticks(y_scale, 5)}
    detail = ["setting:N", "rev:N"] if revisions else ["setting:N"]
    base = alt.Chart().encode(x_axis, _own_colour(), detail=detail)
    drawn = base.transform_filter("!datum.reference") if reference else base
    mean = alt.Y("mean:Q").title(y_label).scale(**y_scale).axis(**y_axis)
    low = alt.Y("low:Q").title(y_label).scale(**y_scale).axis(**y_axis).stack(None)
    line = drawn.mark_line(strokeWidth=1.8, clip=True).encode(mean)
    if revisions:
        line = line.encode(strokeDash=alt.StrokeDash("rev:N").sort(None).title("revision"))
    layers = [drawn.mark_area(opacity=0.18, clip=True).encode(low, y2="high:Q"), line]
    if points or revisions:
        mark = drawn.mark_point(filled=True, opacity=1 if points else 0, size=25, clip=True)
        columns = ["rev", "setting", x, "mean", "low", "high", "runs"]
        layers.append(mark.encode(mean, tooltip=_tooltip(columns)))
    if reference:
        dashed = base.transform_filter("datum.reference").mark_line(
            strokeWidth=1.3, strokeDash=[4, 3], clip=True
        )
        layers.append(dashed.encode(mean, color=alt.value(_REFERENCE)))
    facet = alt.Facet("model:N").sort(_first_row()).header(title=None, labelAnchor="start")
    panels = alt.layer(*layers).properties(width=190, height=150)
    panels = panels.facet(facet=facet, columns=4, data=_data())
    panels.data = alt.Undefined  # Altair asks for it; but what follows is done to the data of all
    panels.title = _below(x_label)
    chart = alt.vconcat(_swept_key(reference), panels, data=_data()).transform_window(
        row="row_number()"
    )
    if without_start:
        chart = chart.transform_joinaggregate(last=f"max({x})").transform_filter(
            f"datum.last <= 20 || datum.{x} >= datum.last / 10"
        )
    swept = f"datum.values ? datum.values : '{_WORDLESS}'"
    return chart.transform_calculate(swept=swept).properties(title=_titled(title))


def setting_chart(
    title: Sequence[str] | str,
    x_label: str,
    y_label: str,
    *,
    y_scale: Mapping[str, Any],
    panels: Sequence[str] = ("line", "point"),
    revisions: bool = False,
) -> alt.HConcatChart:
    """The test metric against the noise level, and beside it that of settings without a line.

    Args:
        title: Above the chart, a line or several.
        x_label: Title of the axis of noise levels.
        y_label: Title of the axis of the metric.
        y_scale: Options of its scale.
        panels: What there is: ``line``, series of several noise levels; ``point``, all others.
        revisions: Whether rows name a revision, by the column ``rev``.
    """
    import altair as alt

    parts = []
    if "line" in panels:
        parts.append(_level_panel(x_label, y_label, y_scale, revisions=revisions))
    if "point" in panels:
        title_there = None if parts else y_label
        parts.append(_point_panel(title_there, y_scale, revisions=revisions))
    chart = alt.hconcat(*parts, data=_data(), spacing=105 if len(parts) > 1 else 20)
    return chart.resolve_scale(y="shared").properties(title=_titled(title))


def strip_chart(
    rows: Sequence[Row], label_width: int, height: int, width: int, *, title: str = ""
) -> alt.LayerChart:
    """Strips of small pictures below each other, each with its name at the left.

    Args:
        rows: ``name`` and ``url``, a ``data:`` URI, of each strip.
        label_width: Room for the names, pixels.
        height: That of a strip, pixels.
        width: Likewise.
        title: Above the chart.
    """
    import altair as alt

    base = alt.Chart(_data()).transform_window(row="row_number()").encode(
        y=alt.Y("row:O").axis(None).scale(padding=0)
    )
    picture = base.mark_image(width=width, height=height, align="left", smooth=False).encode(
        x=alt.value(label_width), url="url:N"
    )
    name = base.mark_text(align="right", fontSize=12, limit=label_width - 10).encode(
        x=alt.value(label_width - 10), text="name:N"
    )
    size = {"width": label_width + width, "height": (height + 5) * len(rows)}
    chart = alt.layer(picture, name).properties(**size)
    return chart.properties(title=_titled(title)) if title else chart


def with_reference(rows: Sequence[Row]) -> tuple[list[Row], str]:
    """Rows of curves, and the first model's curve again in the panel of every other model.

    Args:
        rows: The rows, with ``model`` and ``setting``.

    Returns:
        All rows, those that are for comparison with ``reference``; and the name of that model,
        empty where it has several curves or is the only one.
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    first = [row for row in rows if row["model"] == models[0]]
    if len(models) == 1 or len({row["setting"] for row in first}) > 1:
        return list(rows), ""
    copies = [{**row, "model": model, "reference": True} for model in models[1:] for row in first]
    return [*rows, *copies], models[0]


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
        stream.write(vl_convert.vegalite_to_png(spec, vl_version="6.4"))


def templates() -> dict[str, dict[str, Any]]:
    """The templates of ``dvc plots`` by their names, with DVC's placeholders for data and titles."""
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


def _interval_panels(
    panel: str,
    colour: Any,
    title: Any,
    x_label: str,
    *,
    tooltip: Sequence[str],
    margin: float | None = None,
    percent: bool = True,
    shape: Any = None,
    revisions: bool = False,
) -> alt.VConcatChart:
    """Panels side by side, a row per setting: a mean and its interval.

    Changes in percent stand on an axis that is about linear up to 10 % and logarithmic beyond.
    """
    import altair as alt

    axis = {"labelOverlap": True, "values": _PERCENT_TICKS, "format": "d"} if percent else {"tickCount": 4}
    scale: dict[str, Any] = {"type": "symlog", "constant": 10} if percent else {}
    value = "change" if percent else "mean"
    where = alt.X("low:Q").title(None).scale(**scale).axis(**axis)
    y = alt.Y("setting:N").sort(None).title(None).axis(labelLimit=260, grid=True, ticks=False)
    base = alt.Chart().encode(y, colour)
    if revisions:
        base = base.encode(yOffset=alt.YOffset("rev:N").sort(None))
        shape = alt.Shape("rev:N").sort(None).title("revision")
    filled = shape is None or revisions
    layers = []
    if margin is not None:
        band = alt.Chart().mark_rect(color="#dddddd")
        layers.append(band.encode(x=alt.datum(-margin), x2=alt.datum(margin)))
    if percent:
        layers.append(alt.Chart().mark_rule(color=_ZERO).encode(x=alt.datum(0)))
    bar = base.mark_rule(strokeWidth=2.2).encode(where, x2="high:Q")
    layers.append(bar.transform_filter("isValid(datum.low) && isValid(datum.high)"))
    mean = base.mark_point(filled=filled, opacity=1, size=45).encode(
        alt.X(value, type="quantitative")
    )
    if shape is not None:
        mean = mean.encode(shape)
    if tooltip:
        mean = mean.encode(tooltip=_tooltip(["rev", *tooltip]))
    layers.append(mean.transform_filter(f"isValid(datum.{value})"))
    header = {"title": None, "labelAnchor": "start", "labelExpr": "split(datum.label, '|')"}
    facet = alt.Facet("panel:N").sort(_first_row()).header(**header)
    columns, width = (2, 330) if revisions else (4, 170)
    panels = alt.layer(*layers).properties(width=width, height=alt.Step(20))
    panels = (
        panels.facet(facet=facet, columns=columns, data=_data(), spacing=14)
        .transform_window(row="row_number()")
        .transform_calculate(panel=panel)
        .properties(title=_below(x_label))
    )
    return alt.vconcat(panels).properties(title=title)


def _level_panel(
    x_label: str, y_label: str, y_scale: Mapping[str, Any], *, revisions: bool
) -> alt.LayerChart:
    """Lines over the noise level, their names at the right, references as level lines."""
    import altair as alt

    y_axis = {"format": _DIGITS, **_ticks(y_scale, 8)}
    x = (
        alt.X("noise_level:Q").title(x_label).scale(type="log", nice=False, padding=20)
        .axis(format=_DIGITS, grid=False, values=_LEVEL_TICKS)
    )
    mean = alt.Y("mean:Q").title(y_label).scale(**y_scale).axis(**y_axis)
    low = alt.Y("low:Q").title(y_label).scale(**y_scale).axis(**y_axis)
    base = alt.Chart().transform_filter("datum.shown_as == 'line'").encode(x, _own_colour())
    line = base.mark_line(strokeWidth=1.5).encode(mean, detail="series:N")
    bar = base.mark_rule(strokeWidth=2).encode(low, y2="high:Q")
    point = base.mark_point(filled=True, opacity=1, size=45).encode(
        mean, tooltip=_tooltip(["rev", "setting", "noise_level", "metric", "mean", "low", "high", "runs"])
    )
    if revisions:
        line = line.encode(strokeDash=alt.StrokeDash("rev:N").sort(None).legend(None))
        point = point.encode(shape=alt.Shape("rev:N").sort(None).title("revision"))
    else:
        point = point.encode(shape=alt.Shape("series:N").sort(None).legend(None))
    # The names stand beside the ends of their lines, moved apart, and joined to them.
    ends = (
        alt.Chart()
        .transform_filter("isValid(datum.label_at)")
        .transform_aggregate(end="mean(mean)", at="mean(label_at)", groupby=["series", "colour"])
    ).encode(_own_colour())
    at = alt.Y("at:Q").title(y_label).scale(**y_scale)
    joined = ends.mark_rule(strokeWidth=0.6).encode(
        x=alt.value(_LINES), x2=alt.value(_LINES + 16), y=alt.Y("end:Q").scale(**y_scale), y2="at:Q"
    )
    name = ends.mark_text(align="left", limit=120).encode(
        at, x=alt.value(_LINES + 20), text="series:N"
    )
    layers = [*_references(y_scale, y_label), line, bar, point, joined, name]
    return alt.layer(*layers).properties(width=_LINES, height=_HEIGHT)


_LINES, _HEIGHT = 390, 400
_KEY_COLUMNS = 6


def _point_panel(
    y_label: str | None, y_scale: Mapping[str, Any], *, revisions: bool
) -> alt.LayerChart:
    """Settings side by side, by name."""
    import altair as alt

    x = (
        alt.X("name:N").sort(None).title(None)
        .axis(labelAngle=-60, labelLimit=240, grid=False)
    )
    y_axis = {"format": _DIGITS, **_ticks(y_scale, 8)}
    base = alt.Chart().transform_filter("datum.shown_as != 'line'").encode(x, _own_colour())
    low = alt.Y("low:Q").title(y_label).scale(**y_scale).axis(**y_axis)
    mean = alt.Y("mean:Q").title(y_label).scale(**y_scale).axis(**y_axis)
    bar = base.mark_rule(strokeWidth=2).encode(low, y2="high:Q")
    point = base.transform_filter("isValid(datum.mean)").mark_point(
        filled=True, opacity=1, size=45
    ).encode(mean, tooltip=_tooltip(["rev", "setting", "metric", "mean", "low", "high", "runs"]))
    if revisions:
        offset = alt.XOffset("rev:N").sort(None)
        bar = bar.encode(xOffset=offset)
        point = point.encode(xOffset=offset, shape=alt.Shape("rev:N").sort(None).title("revision"))
    return alt.layer(*_references(y_scale, y_label), bar, point).properties(
        width=alt.Step(24), height=_HEIGHT
    )


def _references(y_scale: Mapping[str, Any], y_label: str | None) -> list[alt.Chart]:
    """Baselines without a noise level: a level line, its interval a band, across all of a panel."""
    import altair as alt

    base = alt.Chart().transform_filter("datum.shown_as == 'reference'").encode(_own_colour())
    across = {"x": alt.value(0), "x2": alt.value("width")}
    low = alt.Y("low:Q").title(y_label).scale(**y_scale)
    mean = alt.Y("mean:Q").title(y_label).scale(**y_scale)
    return [
        base.mark_rect(opacity=0.12).encode(low, y2="high:Q", **across),
        base.mark_rule(strokeDash=[6, 4]).encode(mean, **across),
    ]


def _swept_key(reference: bool) -> alt.LayerChart:
    """The swept values and their colours, in a line above the panels."""
    import altair as alt

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
    mark = values.mark_square(filled=True, opacity=1, size=120).encode(_own_colour())
    name = values.mark_text(align="left", dx=10, limit=110, fontSize=12).encode(text="swept:N")
    return alt.layer(mark, name).properties(
        width=alt.Step(130), height=alt.Step(18), view=alt.ViewConfig(stroke=None)
    )


def _own_colour() -> alt.Color:
    """The colour that stands in the row."""
    import altair as alt

    return alt.Color("colour:N").scale(None)


def _first_row() -> alt.EncodingSortField:
    """Panels in the order of their first rows."""
    import altair as alt

    return alt.EncodingSortField(field="row", op="min")


def _tooltip(columns: Sequence[str]) -> list[alt.Tooltip]:
    import altair as alt

    words = {"rev": "revision", "baseline_setting": "baseline", "p_corrected": "corrected p"}
    texts = ("rev", "setting", "baseline_setting", "condition", "intervention", "metric", "verdict")
    return [
        alt.Tooltip(f"{column}:N").title(words.get(column, column))
        if column in texts
        else alt.Tooltip(f"{column}:Q").title(words.get(column, column)).format(".4~g")
        for column in columns
    ]


def _titled(title: Sequence[str] | str) -> alt.TitleParams:
    import altair as alt

    return alt.TitleParams(text=title if isinstance(title, str) else list(title), anchor="start")


def _below(label: str) -> alt.TitleParams:
    """The title of an axis that all panels share."""
    import altair as alt

    size = {"fontSize": 12, "offset": 8}
    return alt.TitleParams(text=label, orient="bottom", anchor="middle", **size)


def _ticks(scale: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Options of an axis: round values where it is logarithmic and long enough to have some."""
    domain = scale.get("domain")
    if scale.get("type") not in ("log", "symlog") or (domain and domain[1] < 4 * domain[0]):
        return {"tickCount": count}
    return {"values": _LEVEL_TICKS, "labelOverlap": True}


def _data() -> alt.NamedData:
    import altair as alt

    return alt.NamedData(name="rows")


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


if __name__ == "__main__":
    write_templates(Path(".dvc/plots"))
