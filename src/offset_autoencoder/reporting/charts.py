"""Vega-Lite charts of intervals and of settings, from the rows under ``reports/plots/``.

Those of curves are in :mod:`.curves`. A specification gives the PNG and the template for
``dvc plots``, by :mod:`.rendering`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from offset_autoencoder.reporting.palette import OUTCOME_COLOURS
from offset_autoencoder.reporting.wording import PARTS

Chart = Any  # of Altair
DIGITS = ".6~g"
_PERCENT_TICKS = [-1000, -100, -10, 0, 10, 100, 1000, 10_000, 100_000]
_LEVEL_TICKS = [share * 10.0**power for power in range(-6, 4) for share in (1, 2, 5)]
_LINES, _HEIGHT = 390, 400  # of the chart of settings, pixels


def comparison_chart(
    title: Sequence[str] | str,
    x_label: str,
    *,
    margin: float | None = None,
    outcomes: Iterable[str] = tuple(OUTCOME_COLOURS),
    revisions: bool = False,
) -> Chart:
    """The change of each setting's error against each baseline, a panel per baseline and condition.

    The ``margin``, in %, is a grey band; the legend lists the ``outcomes``; with ``revisions``
    rows name one, by the column ``rev``.
    """
    colours = {outcome: OUTCOME_COLOURS[outcome] for outcome in outcomes}  # type: ignore[index]
    colour = (
        alt.Color("verdict:N")
        .title(None)
        .scale(domain=list(colours), range=list(colours.values()))
        .legend(orient="top", columns=len(colours))
    )
    columns = ["setting", "baseline_setting", "condition", "change", "low", "high", "difference"]
    return _interval_panels(
        "'against ' + datum.baseline + '|' + datum.condition",
        colour,
        title,
        x_label,
        hints=[*columns, "p_corrected", "verdict"],
        margin=margin,
        revisions=revisions,
    )


def intervention_chart(
    title: Sequence[str] | str,
    x_label: str,
    *,
    margin: float | None = None,
    revisions: bool = False,
) -> Chart:
    """The change of each setting's error under each intervention; see :func:`comparison_chart`."""
    return _interval_panels(
        "datum.panel",
        own_colour(),
        title,
        x_label,
        hints=["setting", "intervention", "metric", "change", "low", "high", "runs"],
        margin=margin,
        revisions=revisions,
    )


def probe_chart(title: Sequence[str] | str, x_label: str) -> Chart:
    """The shares in % that a linear probe reads from each part: of x, and of the labels."""
    return _interval_panels(
        "datum.panel",
        own_colour(),
        title,
        x_label,
        hints=[],
        order=list(PARTS.values()),
        percent=False,
    )


def setting_chart(
    title: Sequence[str] | str,
    x_label: str,
    y_label: str,
    *,
    y_scale: Mapping[str, Any],
    panels: Sequence[str] = ("line", "point"),
    revisions: bool = False,
) -> Chart:
    """The test metric against the noise level, and beside it that of settings without a line.

    The panel ``line`` has series of several noise levels, ``point`` all others; see
    :func:`comparison_chart`.
    """
    parts = []
    if "line" in panels:
        parts.append(_level_panel(x_label, y_label, y_scale, revisions=revisions))
    if "point" in panels:
        parts.append(_point_panel(None if parts else y_label, y_scale, revisions=revisions))
    chart = alt.hconcat(*parts, data=data(), spacing=95 if len(parts) > 1 else 20)
    return chart.resolve_scale(y="shared").properties(title=titled(title))


def _interval_panels(
    panel: str,
    colour: Any,
    title: Sequence[str] | str,
    x_label: str,
    *,
    hints: Sequence[str],
    margin: float | None = None,
    order: Sequence[str] | None = None,
    percent: bool = True,
    revisions: bool = False,
) -> Chart:
    """Panels side by side, a row per setting: a mean and its interval.

    With an ``order`` of the panels, rows that are ``open`` have a mark that is not filled. Changes
    in percent stand on an axis that is about linear up to 10 % and logarithmic beyond.
    """
    axis: dict[str, Any] = {"tickCount": 4}
    scale: dict[str, Any] = {"padding": 6}
    if percent:
        axis = {"labelOverlap": "greedy", "values": _PERCENT_TICKS, "format": "d"}
        scale |= {"type": "symlog", "constant": 10, "nice": False}
    value = "change" if percent else "mean"
    where = alt.X("low:Q").title(None).scale(**scale).axis(**axis)
    y = alt.Y("setting:N").sort(None).title(None).axis(labelLimit=260, grid=True, ticks=False)
    base = alt.Chart().encode(y, colour)
    if revisions:
        base = base.encode(yOffset=alt.YOffset("rev:N").sort(None))
    layers = []
    if margin is not None:
        band = alt.Chart().mark_rect(color="#dddddd")
        layers.append(band.encode(x=alt.datum(-margin), x2=alt.datum(margin)))
    if percent:
        layers.append(alt.Chart().mark_rule(color="#000000").encode(x=alt.datum(0)))
    bar = base.mark_rule(strokeWidth=2.2).encode(where, x2="high:Q")
    layers.append(bar.transform_filter("isValid(datum.low) && isValid(datum.high)"))
    at = alt.X(value, type="quantitative")
    mean = base.mark_point(filled=True, opacity=1, size=45).encode(at)
    if revisions:
        mean = mean.encode(_revision_shape())
    if hints:
        mean = mean.encode(tooltip=tooltip(["rev", *hints]))
    closed = " && !datum.open" if order else ""
    layers.append(mean.transform_filter(f"isValid(datum.{value}){closed}"))
    if order:
        hollow = base.mark_point(shape="diamond", fill="white", opacity=1, size=45).encode(at)
        layers.append(hollow.transform_filter(f"isValid(datum.{value}) && datum.open"))
    facet = (
        alt.Facet("panel:N")
        .sort(order or first_row())
        .header(title=None, labelAnchor="start", labelExpr="split(datum.label, '|')")
    )
    columns, width = (2, 330) if revisions else (4, 170)
    panels = alt.layer(*layers).properties(width=width, height=alt.Step(14 if revisions else 20))
    panels = (
        panels.facet(facet=facet, columns=columns, data=data(), spacing=14)
        .transform_window(row="row_number()")
        .transform_calculate(panel=panel)
        .properties(title=shared_title(x_label))
    )
    return alt.vconcat(panels).properties(title=titled(title))


def _level_panel(
    x_label: str, y_label: str, y_scale: Mapping[str, Any], *, revisions: bool
) -> Chart:
    """Lines over the noise level, their names at the right, references as level lines."""
    x = (
        alt.X("noise_level:Q")
        .title(x_label)
        .scale(type="log", nice=False, padding=20)
        .axis(format=DIGITS, grid=False, values=_LEVEL_TICKS)
    )
    mean, low = means(y_label, y_scale, ticks_of(y_scale, 8))
    base = alt.Chart().transform_filter("datum.shown_as == 'line'").encode(x, own_colour())
    line = base.mark_line(strokeWidth=1.5).encode(mean, detail="series:N")
    bar = base.mark_rule(strokeWidth=2).encode(low, y2="high:Q")
    point = base.mark_point(filled=True, opacity=1, size=45).encode(
        mean,
        tooltip=tooltip(["rev", "setting", "noise_level", "metric", "mean", "low", "high", "runs"]),
    )
    if revisions:
        line = line.encode(strokeDash=alt.StrokeDash("rev:N").sort(None).legend(None))
        point = point.encode(_revision_shape())
    else:
        point = point.encode(shape=alt.Shape("series:N").sort(None).legend(None))
    # The names stand beside the ends of their lines, moved apart, and joined to them.
    ends = (
        alt.Chart()
        .transform_filter("isValid(datum.label_at)")
        .transform_aggregate(end="mean(mean)", at="mean(label_at)", groupby=["series", "colour"])
    ).encode(own_colour())
    at = alt.Y("at:Q").title(y_label).scale(**y_scale)
    joined = ends.mark_rule(strokeWidth=0.6).encode(
        x=alt.value(_LINES), x2=alt.value(_LINES + 16), y=alt.Y("end:Q").scale(**y_scale), y2="at:Q"
    )
    name = ends.mark_text(align="left", limit=120).encode(
        at, x=alt.value(_LINES + 20), text="series:N"
    )
    layers = [*_references(y_scale, y_label), line, bar, point, joined, name]
    return alt.layer(*layers).properties(width=_LINES, height=_HEIGHT)


def _point_panel(y_label: str | None, y_scale: Mapping[str, Any], *, revisions: bool) -> Chart:
    """Settings side by side, by name."""
    x = alt.X("name:N").sort(None).title(None).axis(labelAngle=-60, labelLimit=240, grid=False)
    base = alt.Chart().transform_filter("datum.shown_as != 'line'").encode(x, own_colour())
    mean, low = means(y_label, y_scale, ticks_of(y_scale, 8))
    bar = base.mark_rule(strokeWidth=2).encode(low, y2="high:Q")
    point = (
        base.transform_filter("isValid(datum.mean)")
        .mark_point(filled=True, opacity=1, size=45)
        .encode(mean, tooltip=tooltip(["rev", "setting", "metric", "mean", "low", "high", "runs"]))
    )
    if revisions:
        offset = alt.XOffset("rev:N").sort(None)
        bar = bar.encode(xOffset=offset)
        point = point.encode(_revision_shape(), xOffset=offset)
    return alt.layer(*_references(y_scale, y_label), bar, point).properties(
        width=alt.Step(24), height=_HEIGHT
    )


def _references(y_scale: Mapping[str, Any], y_label: str | None) -> list[Chart]:
    """Baselines without a noise level: a level line, its interval a band, across all of a panel."""
    base = alt.Chart().transform_filter("datum.shown_as == 'reference'").encode(own_colour())
    across: dict[str, Any] = {"x": alt.value(0), "x2": alt.value("width")}
    mean, low = means(y_label, y_scale)
    return [
        base.mark_rect(opacity=0.12).encode(low, y2="high:Q", **across),
        base.mark_rule(strokeDash=[6, 4]).encode(mean, **across),
    ]


def _revision_shape() -> Chart:
    return alt.Shape("rev:N").sort(None).title("revision")


def means(
    y_label: str | None, y_scale: Mapping[str, Any], axis: Mapping[str, Any] | None = None
) -> tuple[Chart, Chart]:
    """Encodings of a mean and of the lower end of its interval, on one axis."""
    mean, low = (alt.Y(f"{column}:Q").title(y_label).scale(**y_scale) for column in ("mean", "low"))
    if axis is None:
        return mean, low
    return mean.axis(format=DIGITS, **axis), low.axis(format=DIGITS, **axis)


def own_colour() -> Chart:
    """The colour that stands in the row."""
    return alt.Color("colour:N").scale(None)


def first_row() -> Chart:
    """Panels in the order of their first rows."""
    return alt.EncodingSortField(field="row", op="min")


def tooltip(columns: Sequence[str]) -> list[Chart]:
    """Columns as a tooltip, numbers to four digits."""
    words = {"rev": "revision", "baseline_setting": "baseline", "p_corrected": "corrected p"}
    texts = ("rev", "setting", "baseline_setting", "condition", "intervention", "metric", "verdict")
    return [
        alt.Tooltip(f"{column}:N").title(words.get(column, column))
        if column in texts
        else alt.Tooltip(f"{column}:Q").title(words.get(column, column)).format(".4~g")
        for column in columns
    ]


def titled(title: Sequence[str] | str) -> Chart:
    """A title of a line or several, at the left."""
    return alt.TitleParams(text=title if isinstance(title, str) else list(title), anchor="start")


def shared_title(label: str) -> Chart:
    """The title of an axis that all panels share."""
    size: dict[str, Any] = {"fontSize": 12, "offset": 8}
    return alt.TitleParams(text=label, orient="bottom", anchor="middle", **size)


def ticks_of(scale: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Options of an axis: round values where it is logarithmic and long enough to have some."""
    ticks, domain = _LEVEL_TICKS, scale.get("domain")
    if domain:
        ticks = [tick for tick in ticks if domain[0] <= tick <= domain[1]]
    if scale.get("type") not in ("log", "symlog") or len(ticks) < 3:
        return {"tickCount": count}
    return {"values": ticks, "labelOverlap": True}


def data() -> Chart:
    """The rows, which the renderer puts in."""
    return alt.NamedData(name="rows")
