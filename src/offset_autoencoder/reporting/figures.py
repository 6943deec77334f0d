"""Figures of the page: charts that can be switched and hovered, with their captions and numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from offset_autoencoder.evaluation.metrics import METRICS
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.reporting import tables, wording
from offset_autoencoder.reporting.answer import by_error
from offset_autoencoder.reporting.curves import PANEL, code_chart, switched_curve_chart
from offset_autoencoder.reporting.palette import NOTHING, NOTHING_ELSE, Colour, Palette, line_styles
from offset_autoencoder.reporting.rows import Row
from offset_autoencoder.reporting.tables import NAN, UNKNOWN, Cell, Column, Table

MOST_POINTS = 6000
LEVELS = {
    "robustness": (
        "Gaussian noise on every coordinate of the code at test time",
        "standard deviation of the noise, per coordinate of the code",
    ),
    "offset_scales": (
        "The offset multiplied by a factor at test time (1: as trained, 0: omitted)",
        "factor that the offset is multiplied by",
    ),
}
"""Of each plot of levels what it shows, and what a level is."""

FILES = "reports/plots"
_FEWEST_POINTS = 12
_PANEL_AXIS = 60  # pixels beside a panel of codes
_MOST_SWITCHES = 20
_MOST_PANELS = 24
_MOST_SHOWN = 6
_UNLABELLED = "all samples"
_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif'
_TEXT = {"titleColor": "currentColor", "titleFontSize": 12, "titleFontWeight": "normal"}
_LABEL = {"labelColor": "currentColor", "labelFontSize": 12}
# The colours of the page: so a chart turns dark with it, and light in print, without being redrawn.
_CONFIG: dict[str, Any] = {
    "background": None,
    "font": _FONT,
    "axis": {
        **_TEXT,
        **_LABEL,
        "domainColor": "var(--line)",
        "gridColor": "var(--grid)",
        "labelOverlap": "greedy",
        "tickColor": "var(--line)",
        "titlePadding": 8,
    },
    "header": {**_LABEL, "labelFontWeight": "bold", "title": None},
    "legend": {
        **_TEXT,
        **_LABEL,
        "columns": 4,
        "labelLimit": 220,
        "orient": "top",
        "symbolSize": 800,
        "symbolStrokeColor": "currentColor",
        "symbolStrokeWidth": 2,
    },
    "view": {"stroke": None},
}


@dataclass(frozen=True)
class Figure:
    """A chart and what belongs to it; its name is its id on the page."""

    name: str
    caption: str
    spec: Markup  # JSON that is safe within a script element
    switches: Sequence[tuple[str, str]]  # what is switched on and off, each with its colour's class
    on: Sequence[str]  # of these, what is shown as the page opens
    switched: str = "models"
    table: Table | None = None  # the numbers behind it
    facet_width: int = 0  # of a panel where there are several, pixels


def learning_curve_figure(
    results: ExperimentResults, rows: Sequence[Row], palette: Palette
) -> Figure | None:
    """The best validation loss so far over the epochs; None where no run finished."""
    groups = by_setting(results, rows)
    if not groups:
        return None
    last = max(group[-1]["epoch"] for group in groups.values())
    first = wording.first_epoch(last)
    most = max(_FEWEST_POINTS, MOST_POINTS // len(groups))
    lines = []
    for name, group in groups.items():
        later = [row for row in group if row["epoch"] >= first] or group[-1:]
        lines.append(_line(name, thinned(later, most), "epoch"))
    caption = (
        "Best validation loss so far (a run that stopped keeps its best): "
        f"{wording.over_seeds(results.design)}"
    )
    caption += f", from epoch {first} on." if first > 1 else "."
    points = max(len(line["x"]) for line in lines)
    if points < last - first + 1:
        caption += f" A curve is drawn through {points} of its epochs at most."

    def losses(until: float) -> list[Estimate]:
        rows = ([row for row in group if row["epoch"] <= until] for group in groups.values())
        return [_estimate(own[-1]) for own in rows]

    epochs = [epoch for epoch in (1, 10, 100, 1000) if epoch < last]
    by_epoch = {f"by epoch {epoch}, ±": losses(epoch) for epoch in epochs}
    ends = [group[-1]["epoch"] for group in groups.values()]
    table = _mean_table(
        "learning-curve-numbers",
        f"Best validation loss so far: mean and half its interval over {results.design.over}.",
        f"{FILES}/learning_curves.csv",
        groups,
        {**by_epoch, "at the end, ±": losses(math.inf)},
    )
    table.columns.append(Column("last", "last epoch", [Cell(f"{end}", end) for end in ends]))
    labels = "epoch", "validation loss"
    return _curves("learning-curves", caption, lines, results, palette, labels, table)


def level_figure(
    plot: str, results: ExperimentResults, rows: Sequence[Row], palette: Palette
) -> Figure | None:
    """The test metric over the levels of an intervention, one of :data:`LEVELS`; None without."""
    groups = by_setting(results, rows)
    if not groups:
        return None
    content, x_label = LEVELS[plot]
    lines = [_line(name, group, "level") for name, group in groups.items()]
    at = {(name, row["level"]): _estimate(row) for name, group in groups.items() for row in group}
    exponent = wording.exponent_of(estimate.mean for estimate in at.values())
    metric = results.error_metric
    unit = wording.in_unit(_metric(metric), exponent)
    name = plot.replace("_", "-")
    table = _mean_table(
        f"{name}-numbers",
        f"{unit}: mean and half its interval over {results.design.over}. Columns: {x_label}.",
        f"{FILES}/{plot}.csv",
        groups,
        {
            f"at {level:g}, ±": [at.get((name, level), UNKNOWN) for name in groups]
            for level in sorted({level for _, level in at})
        },
        10.0**-exponent,
    )
    caption = f"{content}: {_measure(results, metric)}."
    labels = x_label, _metric(metric)
    return _curves(name, caption, lines, results, palette, labels, table, points=True)


def noise_level_figure(
    results: ExperimentResults, rows: Sequence[Row], palette: Palette
) -> Figure | None:
    """The test metric by the noise level; None where there are no two levels.

    What adds nothing of a set rms is a level line across all of them.
    """
    finite = [{**row, "runs": ""} for row in rows if math.isfinite(row["mean"])]
    levels = sorted({row["noise_level"] for row in finite if row["noise_level"]})
    if len(levels) < 2:
        return None
    lines = []
    with_level: dict[str, list[Row]] = {}
    for row in finite:
        if row["noise_level"]:
            values = row["series"].removeprefix(row["model"]).strip() or NOTHING_ELSE
            with_level.setdefault(row["series"], []).append({**row, "values": values})
        else:
            own = {**row, "values": row["series"].removeprefix(row["model"]).strip()}
            own["values"] = own["values"] or NOTHING_ELSE
            ends = [{**own, "noise_level": level} for level in (levels[0], levels[-1])]
            lines.append(_line(row["setting"], ends, "noise_level"))
    for name, group in with_level.items():
        ascending = sorted(group, key=lambda row: row["noise_level"])
        lines.append(_line(name, ascending, "noise_level"))
    metric = results.evaluate.metric
    caption = (
        "The test metric by the noise level, the root mean square of what is added to a coordinate "
        f"of the code: {_measure(results, metric)}."
    )
    labels = "noise level: rms of what is added", _metric(metric)
    axes = {"log_x": True, "points": True}
    return _curves("noise-level", caption, lines, results, palette, labels, None, **axes)


def code_figure(results: ExperimentResults, rows: Sequence[Row], palette: Palette) -> Figure | None:
    """Codes in two dimensions, coloured by :func:`labels_of`; None without rows."""
    groups = by_setting(results, rows)
    if not groups:
        return None
    shown = dict(itertools.islice(groups.items(), _MOST_PANELS))
    labels = list(palette.labels)
    labelled = labels != [_UNLABELLED]
    caption = (
        "Codes of the same test samples, before anything is added to them, along their own first "
        "two principal components, first seed of each setting. Each panel has axes of its own."
    )
    if labelled:
        caption += " Colour: label."
    if len(groups) > len(shown):
        caption += f" The other {len(groups) - len(shown)} settings are in {FILES}/codes.csv."
    panels: list[dict[str, Any]] = [
        {
            "setting": name,
            "sample": [str(row["sample"]) for row in group],
            "label": [_label(row) for row in group],
            "c1": [short(row["c1"]) for row in group],
            "c2": [short(row["c2"]) for row in group],
        }
        for name, group in shown.items()
    ]
    references = {label: colour.reference for label, colour in palette.labels.items()}
    switchable = labelled and len(labels) <= _MOST_SWITCHES
    return Figure(
        name="codes",
        caption=caption,
        spec=spec_text(code_chart(list(shown), references, coloured=labelled), panels),
        switches=_switches(labels, palette.labels) if switchable else [],
        on=labels,
        switched="labels",
        table=_code_table(shown, labels if switchable else []),
        facet_width=PANEL + _PANEL_AXIS,
    )


def _curves(
    name: str,
    caption: str,
    lines: Sequence[Row],
    results: ExperimentResults,
    palette: Palette,
    labels: tuple[str, str],
    table: Table | None,
    **axes: bool,
) -> Figure:
    references = {model: colour.reference for model, colour in palette.models.items()}
    models = list(dict.fromkeys(line["model"] for line in lines))
    on = _first_shown(results, models)
    if len(on) < len(models):
        caption += f" {len(on)} of {len(models)} models are shown as the page opens."
    styles, (x_label, y_label) = line_styles(results.settings), labels
    chart = switched_curve_chart(lines, references, styles, on, x_label, y_label, **axes)
    switches = _switches(models, palette.models)
    return Figure(name, caption, spec_text(chart, lines), switches, on, table=table)


def _first_shown(results: ExperimentResults, models: Sequence[str]) -> list[str]:
    """The models whose curves are shown at first: few, baselines and the best with an offset."""
    if len(models) <= _MOST_SHOWN:
        return list(models)
    best = [item.setting.model for item in by_error(results)]
    judged = {item.setting.model for item in results.verdicts}
    best.sort(key=lambda model: model not in judged)
    ranked = dict.fromkeys([*results.evaluate.baselines, *best])
    shown = [model for model in ranked if model in models][:_MOST_SHOWN]
    return [model for model in models if model in shown]


def _switches(values: Iterable[str], colours: Mapping[str, Colour]) -> list[tuple[str, str]]:
    """Each value once, in the order of the colours."""
    present = set(values)
    return [(value, colour.name) for value, colour in colours.items() if value in present]


def spec_text(chart: Any, rows: Sequence[Row]) -> Markup:
    """The specification of an Altair chart with its rows, in the page's colours and fonts."""
    # The rows are added last: Altair would look through all of them several times.
    spec = {**chart.to_dict(), "config": _CONFIG, "datasets": {"rows": rows}}
    spec.pop("$schema", None)
    return json_text(spec)


def json_text(value: Any) -> Markup:
    """JSON that no HTML parser takes for the end of the script element that it stands in.

    Raises:
        ValueError: for NaN and infinities, which are not JSON.
    """
    return htmlsafe_json_dumps(value, separators=(",", ":"), allow_nan=False)


def short(value: float) -> float | None:
    """A number to five digits, which is more than can be seen; None where it is not finite."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def by_setting(results: ExperimentResults, rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each setting, by its full label; those whose mean is not finite are left out."""
    names = {setting.label: wording.full_label(setting) for setting in results.settings}
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if math.isfinite(row.get("mean", 0)):
            groups.setdefault(names[row["setting"]], []).append(row)
    return groups


def thinned(rows: Sequence[Row], most: int) -> list[Row]:
    """At most so many of the rows, evenly apart, the first and the last among them."""
    if len(rows) <= most:
        return list(rows)
    places = {round(place * (len(rows) - 1) / (most - 1)) for place in range(most)}
    return [rows[place] for place in sorted(places)]


def _line(name: str, rows: Sequence[Row], x: str) -> Row:
    """A curve through its rows at the column ``x``: as lists, a third of the bytes of its rows."""
    columns = {"x": x, "mean": "mean", "low": "low", "high": "high"}
    return {
        "setting": name,
        "model": rows[0]["model"],
        "values": rows[0]["values"] or NOTHING,
        "runs": str(rows[0]["runs"]),
        **{key: [short(row[column]) for row in rows] for key, column in columns.items()},
    }


def _mean_table(
    name: str,
    caption: str,
    file: str,
    settings: Iterable[str],
    means: Mapping[str, Sequence[Estimate]],
    factor: float = 1,
) -> Table:
    """A row per setting; means by the headings of their columns, all with as many decimals."""
    decimals = wording.decimals_of(itertools.chain(*means.values()), factor=factor)
    columns = [tables.text_column("setting", "setting", settings)]
    for key, own in means.items():
        columns.append(tables.estimate_column(key, key, own, factor, decimals))
    return Table(name, caption, columns, file)


def _estimate(row: Row) -> Estimate:
    return Estimate(row["mean"], NAN, row["low"], row["high"], row["runs"])


def _metric(metric: str) -> str:
    return f"{METRICS[metric].label} on the test split"


def _measure(results: ExperimentResults, metric: str) -> str:
    better = wording.better_word(metric)
    return f"{wording.over_seeds(results.design)}; {better} is better"


def labels_of(rows: Sequence[Row]) -> list[str]:
    """The labels of the codes, ascending, numbers as numbers; one word where there are none."""
    return sorted(dict.fromkeys(map(_label, rows)), key=lambda text: (*_as_number(text), text))


def _code_table(groups: Mapping[str, Sequence[Row]], labels: Sequence[str]) -> Table:
    shares = []
    for rows in groups.values():
        both = (rows[0]["share1"], rows[0]["share2"])
        share = NAN if None in both else sum(both)
        shares.append(Cell(f"{100 * share:.0f}" if math.isfinite(share) else "", share))
    columns = [
        tables.text_column("setting", "setting", groups),
        Column("share", "variance of the codes in the two components, %", shares),
    ]
    for label in labels:
        means = [_mean([row for row in rows if _label(row) == label]) for rows in groups.values()]
        columns.append(tables.text_column(f"mean_{label}", f"mean of {label}", means))
    caption = "Variance of the codes in the two components" + (
        ", and the mean of both over the samples of each label." if labels else "."
    )
    return Table("code-numbers", caption, columns, f"{FILES}/codes.csv")


def _mean(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    means = (sum(row[axis] for row in rows) / len(rows) for axis in ("c1", "c2"))
    return ", ".join(f"{mean:.2f}" for mean in means).replace("-", "−")


def _label(row: Row) -> str:
    label = row["label"]
    return _UNLABELLED if label is None or label == "" else str(label)


def _as_number(label: str) -> tuple[int, float]:
    try:
        return (0, float(label))
    except ValueError:
        return (1, 0.0)
