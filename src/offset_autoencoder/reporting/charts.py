"""Vega-Lite charts of intervals and of settings, from the rows under ``reports/plots/``.

Those of curves are in :mod:`.curves`. A specification gives the PNG and the template for
``dvc plots``, by :mod:`.rendering`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import altair as alt

from offset_autoencoder.evaluation.comparison import Outcome
from offset_autoencoder.reporting.palette import OUTCOME_COLOURS
from offset_autoencoder.reporting.wording import PARTS, SAMPLES

Chart = Any  # of Altair
DIGITS = ".6~g"
DATA = alt.NamedData(name="rows")  # which the renderer puts in
OWN_COLOUR = alt.Color("colour:N").scale(None)  # that stands in the row
FIRST_ROW = alt.EncodingSortField(field="row", op="min")  # the order of panels
_PERCENT_TICKS = [-1000, -100, -10, 0, 10, 100, 1000, 10_000, 100_000]
_LEVEL_TICKS = [share * 10.0**power for power in range(-6, 4) for share in (1, 2, 5)]
_LINES, _HEIGHT = 390, 400  # of the chart of settings, pixels


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
    :func:`interval_chart`.
    """
    parts = []
    if "line" in panels:
        parts.append(_level_panel(x_label, y_label, y_scale, revisions=revisions))
    if "point" in panels:
        parts.append(_point_panel(None if parts else y_label, y_scale, revisions=revisions))
    chart = alt.hconcat(*parts, data=DATA, spacing=95 if len(parts) > 1 else 20)
    return chart.resolve_scale(y="shared").properties(title=titled(title))


def interval_chart(
    plot: Literal["comparison", "interventions", "probes"],
    title: Sequence[str] | str,
    x_label: str,
    *,
    margin: float | None = None,
    outcomes: Iterable[Outcome] = tuple(OUTCOME_COLOURS),
    revisions: bool = False,
    few: bool = False,
) -> Chart:
    """The rows of a plot as a mean and its interval per setting, in panels side by side.

    A panel is a baseline and condition, an intervention or a part that a linear probe reads; rows
    of labels read right, and of training samples, are hollow diamonds. Changes in percent stand on
    an axis that is about linear up to 10 % and logarithmic beyond; the ``margin``, in %, is a grey
    band. The legend of the comparison lists the ``outcomes``; with ``revisions`` rows name one, by
    the column ``rev``. With ``few``, panels of less than half as many rows as the longest stand
    below the others, as high as they need.
    """
    panel, colour, probes = "datum.panel", OWN_COLOUR, plot == "probes"
    training = f"datum.split == '{SAMPLES['train']}'"
    hollow = {"probes": "datum.open", "interventions": training}.get(plot)
    hints = ["setting", "intervention", "split", "metric", "change", "low", "high", "runs"]
    if plot == "comparison":
        panel = "'against `' + datum.baseline + '`|' + datum.condition"
        hints = ["setting", "baseline_setting", "condition", "change", "low", "high"]
        hints += ["difference", "p_corrected", "verdict"]
        colours = {outcome: OUTCOME_COLOURS[outcome] for outcome in outcomes}
        colour = (
            alt.Color("verdict:N")
            .title(None)
            .scale(domain=list(colours), range=list(colours.values()))
            .legend(orient="top", columns=len(colours))
        )
    axis: dict[str, Any] = {"tickCount": 4}
    x_scale: dict[str, Any] = {"padding": 6}
    if not probes:
        axis = {"labelOverlap": "greedy", "values": _PERCENT_TICKS, "format": "d"}
        x_scale |= {"type": "symlog", "constant": 10, "nice": False}
    value = "mean" if probes else "change"
    where = alt.X("low:Q").title(None).scale(**x_scale).axis(**axis)
    y = alt.Y("setting:N").sort(None).title(None).axis(labelLimit=260, grid=True, ticks=False)
    base = alt.Chart().encode(y, colour)
    if revisions:
        base = base.encode(yOffset=alt.YOffset("rev:N").sort(None))
    elif plot == "interventions":
        base = base.encode(yOffset=alt.YOffset("split:N").sort(list(SAMPLES.values())))
    layers = []
    if margin is not None:
        band = alt.Chart().mark_rect(color="#dddddd")
        layers.append(band.encode(x=alt.datum(-margin), x2=alt.datum(margin)))
    if not probes:
        layers.append(alt.Chart().mark_rule(color="#000000").encode(x=alt.datum(0)))
    bar = base.mark_rule(strokeWidth=2.2).encode(where, x2="high:Q")
    layers.append(bar.transform_filter("isValid(datum.low) && isValid(datum.high)"))
    at = alt.X(value, type="quantitative")
    mean = base.mark_point(filled=True, opacity=1, size=45).encode(at)
    if revisions:
        mean = mean.encode(_revision_shape())
    if not probes:
        mean = mean.encode(tooltip=tooltip(["rev", *hints]))
    closed = f" && !({hollow})" if hollow else ""
    layers.append(mean.transform_filter(f"isValid(datum.{value}){closed}"))
    if hollow:
        diamond = base.mark_point(shape="diamond", fill="white", opacity=1, size=45).encode(at)
        layers.append(diamond.transform_filter(f"isValid(datum.{value}) && {hollow}"))
    facet = (
        alt.Facet("panel:N")
        .sort(list(PARTS.values()) if probes else FIRST_ROW)
        .header(title=None, labelAnchor="start", labelExpr="split(datum.label, '|')")
    )
    columns, width = (2, 330) if revisions else (5, 140) if plot == "interventions" else (4, 170)
    step = alt.Step(14) if revisions else alt.Step(20, **{"for": "position"})
    panels = alt.layer(*layers).properties(width=width, height=step)
    panels = (
        panels.facet(facet=facet, columns=columns, data=DATA, spacing=14)
        .transform_window(row="row_number()")
        .transform_calculate(panel=panel)
    )
    labels = [x_label] if probes else [x_label, "(axis: linear within ±10 %, logarithmic beyond)"]
    parts = [panels]
    if few:
        counted = panels.transform_joinaggregate(
            count="count()", groupby=["panel"]
        ).transform_joinaggregate(most="max(count)")
        is_few = "2 * datum.count < datum.most"
        parts = [counted.transform_filter(f"!({is_few})"), counted.transform_filter(is_few)]
    parts[0] = parts[0].properties(title=shared_title(labels))
    return alt.vconcat(*parts).resolve_scale(x="shared").properties(title=titled(title))


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
    base = alt.Chart().transform_filter("datum.shown_as == 'line'").encode(x, OWN_COLOUR)
    bar, point, mean = _intervals(base, y_label, y_scale, ["noise_level"], revisions=revisions)
    line = base.mark_line(strokeWidth=1.5).encode(mean, detail="series:N")
    if revisions:
        line = line.encode(strokeDash=alt.StrokeDash("rev:N").sort(None).legend(None))
    else:
        point = point.encode(shape=alt.Shape("series:N").sort(None).legend(None))
    # The names stand beside the ends of their lines, moved apart, and joined to them.
    ends = (
        alt.Chart()
        .transform_filter("isValid(datum.label_at)")
        .transform_aggregate(end="mean(mean)", at="mean(label_at)", groupby=["series", "colour"])
    ).encode(OWN_COLOUR)
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
    base = alt.Chart().transform_filter("datum.shown_as != 'line'").encode(x, OWN_COLOUR)
    bar, point, _ = _intervals(base, y_label, y_scale, revisions=revisions)
    point = point.transform_filter("isValid(datum.mean)")
    if revisions:
        bar, point = (each.encode(xOffset=alt.XOffset("rev:N").sort(None)) for each in (bar, point))
    return alt.layer(*_references(y_scale, y_label), bar, point).properties(
        width=alt.Step(24), height=_HEIGHT
    )


def _intervals(
    base: Chart,
    y_label: str | None,
    y_scale: Mapping[str, Any],
    columns: Sequence[str] = (),
    *,
    revisions: bool,
) -> tuple[Chart, Chart, Chart]:
    """Intervals, means with a tooltip of further columns, and the encoding of these."""
    mean, low = means(y_label, y_scale, ticks_of(y_scale, 8))
    bar = base.mark_rule(strokeWidth=2).encode(low, y2="high:Q")
    hints = ["rev", "setting", *columns, "metric", "mean", "low", "high", "runs"]
    point = base.mark_point(filled=True, opacity=1, size=45).encode(mean, tooltip=tooltip(hints))
    return bar, point.encode(_revision_shape()) if revisions else point, mean


def _references(y_scale: Mapping[str, Any], y_label: str | None) -> list[Chart]:
    """Baselines without a noise level: a level line, its interval a band, across all of a panel."""
    base = alt.Chart().transform_filter("datum.shown_as == 'reference'").encode(OWN_COLOUR)
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


def tooltip(columns: Sequence[str]) -> list[Chart]:
    """Columns as a tooltip, numbers to four digits."""
    words = {"rev": "revision", "baseline_setting": "baseline", "p_corrected": "corrected p"}
    texts = ["rev", "setting", "baseline_setting", "condition", "intervention", "split"]
    texts += ["metric", "verdict"]
    return [
        alt.Tooltip(f"{column}:N").title(words.get(column, column))
        if column in texts
        else alt.Tooltip(f"{column}:Q").title(words.get(column, column)).format(".4~g")
        for column in columns
    ]


def titled(title: Sequence[str] | str) -> Chart:
    """A title of a line or several, at the left."""
    return alt.TitleParams(text=title if isinstance(title, str) else list(title), anchor="start")


def shared_title(label: Sequence[str] | str) -> Chart:
    """The title of an axis that all panels share, of a line or several."""
    size: dict[str, Any] = {"fontSize": 12, "offset": 8}
    return alt.TitleParams(text=label, orient="bottom", anchor="middle", **size)


def ticks_of(scale: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Options of an axis: round values where it is logarithmic and long enough to have some."""
    ticks, domain = _LEVEL_TICKS, scale.get("domain")
    if domain:
        for shares in ((1, 2, 5), range(1, 10), [tenth / 10 for tenth in range(10, 100, 5)]):
            ticks = [share * 10.0**power for power in range(-12, 13) for share in shares]
            ticks = [float(f"{tick:.6g}") for tick in ticks if domain[0] <= tick <= domain[1]]
            if len(ticks) >= 3:
                break
    if scale.get("type") not in ("log", "symlog") or len(ticks) < 3:
        return {"tickCount": count}
    return {"values": ticks, "labelOverlap": True}
