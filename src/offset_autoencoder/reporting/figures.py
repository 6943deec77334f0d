"""Figures of the page: charts that can be switched and hovered, with their captions and numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.reporting.curves import PANEL, code_chart, switched_curve_chart
from offset_autoencoder.reporting.palette import Colour, Palette
from offset_autoencoder.reporting.tables import NAN, UNKNOWN, Cell, Column, Table, estimate_cell
from offset_autoencoder.reporting.wording import (
    better_word,
    decimals_of,
    exponent_of,
    first_epoch,
    in_unit,
    metric_name,
    over_seeds,
)

Row = Mapping[str, Any]
Names = Mapping[str, str]
"""Names of the settings on the page, by label."""

MOST_POINTS = 6000
LEVELS = {
    "robustness": (
        "Gaussian noise on every coordinate of the code at test time",
        "standard deviation of the noise",
    ),
    "offset_scales": ("The offset scaled at test time", "factor of the offset"),
}
"""Of each plot of levels what it shows, and what a level is."""

FILE = "reports/plots/codes.csv"
_FEWEST_POINTS = 12
_PANEL_AXIS = 60  # pixels beside a panel of codes
_MOST_SWITCHES = 20
_MOST_PANELS = 24
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
    """A chart and what belongs to it.

    Attributes:
        name: Its id on the page.
        caption: What it shows, and what its axes are.
        spec: Its specification, JSON that is safe within a script element.
        switches: Models, or labels, to switch on and off, each with the class of its colour.
        switched: What these are.
        table: The numbers behind it.
        facet_width: The width of a panel where there are several, pixels; 0 for a single one.
    """

    name: str
    caption: str
    spec: Markup
    switches: Sequence[tuple[str, str]]
    switched: str = "models"
    table: Table | None = None
    facet_width: int = 0


def learning_curve_figure(
    rows: Sequence[Row], names: Names, evaluate: Evaluate, palette: Palette
) -> Figure | None:
    """The best validation loss so far over the epochs; None where no run finished."""
    groups = by_setting(rows)
    if not groups:
        return None
    last = max(group[-1]["epoch"] for group in groups.values())
    first = first_epoch(last)
    most = max(_FEWEST_POINTS, MOST_POINTS // len(groups))
    lines = []
    for label, group in groups.items():
        later = [row for row in group if row["epoch"] >= first] or group[-1:]
        lines.append(_line(names[label], thinned(later, most), "epoch"))
    caption = (
        "Best validation loss so far (a run that stopped keeps its best): "
        f"{over_seeds(evaluate.confidence)}"
    )
    caption += f", from epoch {first} on." if first > 1 else "."
    points = max(len(line["x"]) for line in lines)
    if points < last - first + 1:
        caption += f" A curve is drawn through {points} of its epochs at most."
    table = _epoch_table(groups, names, last)
    return _curves("learning-curves", caption, lines, palette, "epoch", "validation loss", table)


def level_figure(
    plot: str, rows: Sequence[Row], names: Names, evaluate: Evaluate, palette: Palette
) -> Figure | None:
    """The test metric over the levels of an intervention, one of :data:`LEVELS`; None without."""
    groups = by_setting(rows)
    if not groups:
        return None
    content, x_label = LEVELS[plot]
    lines = [_line(names[label], group, "level") for label, group in groups.items()]
    name, caption = plot.replace("_", "-"), f"{content}: {_measure(evaluate)}."
    table = _level_table(groups, names, plot, x_label, evaluate)
    return _curves(name, caption, lines, palette, x_label, _metric(evaluate), table, points=True)


def noise_level_figure(rows: Sequence[Row], evaluate: Evaluate, palette: Palette) -> Figure | None:
    """The test metric by the noise level; None where there are no two levels.

    What adds nothing of a set rms is a level line across all of them.
    """
    finite = [row for row in rows if math.isfinite(row["mean"])]
    levels = sorted({row["noise_level"] for row in finite if row["noise_level"]})
    if len(levels) < 2:
        return None
    groups: dict[tuple[bool, str], list[Row]] = {}
    for row in finite:
        added = bool(row["noise_level"])
        groups.setdefault((added, row["series"] if added else row["setting"]), []).append(row)
    lines = []
    for (added, name), group in sorted(groups.items(), key=lambda item: item[0][0]):
        ordered: Sequence[Row] = sorted(group, key=lambda row: row["noise_level"] or 0)
        if not added:
            ordered = [{**group[0], "noise_level": level} for level in (levels[0], levels[-1])]
        values = "by noise level" if added else "no noise level to set"
        lines.append(
            _line(name, [{**row, "values": values, "runs": ""} for row in ordered], "noise_level")
        )
    caption = (
        "The test metric by the noise level, the root mean square of what is added to a coordinate "
        f"of the code: {_measure(evaluate)}."
    )
    x_label, y_label = "noise level: rms of what is added", _metric(evaluate)
    return _curves(
        "noise-level", caption, lines, palette, x_label, y_label, None, log_x=True, points=True
    )


def code_figure(rows: Sequence[Row], names: Names, colours: Mapping[str, Colour]) -> Figure | None:
    """Codes in two dimensions, coloured by :func:`labels_of`; None without rows."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["setting"], []).append(row)
    if not groups:
        return None
    shown = dict(itertools.islice(groups.items(), _MOST_PANELS))
    labels = list(colours)
    labelled = labels != [_UNLABELLED]
    caption = (
        "Codes of the same test samples, before anything is added to them, along their own first "
        "two principal components, first seed of each setting. Each panel has axes of its own."
    )
    if labelled:
        caption += " Colour: label."
    if len(groups) > len(shown):
        caption += f" The other {len(groups) - len(shown)} settings are in {FILE}."
    panels: list[dict[str, Any]] = [
        {
            "setting": names.get(setting, setting),
            "sample": [str(row["sample"]) for row in group],
            "label": [_label(row) for row in group],
            "c1": [short(row["c1"]) for row in group],
            "c2": [short(row["c2"]) for row in group],
        }
        for setting, group in shown.items()
    ]
    references = {label: colour.reference for label, colour in colours.items()}
    chart = code_chart([panel["setting"] for panel in panels], references, coloured=labelled)
    switchable = labelled and len(labels) <= _MOST_SWITCHES
    return Figure(
        name="codes",
        caption=caption,
        spec=spec_text(chart, panels),
        switches=_switches(labels, colours) if switchable else [],
        switched="labels",
        table=_code_table(shown, names, labels if switchable else []),
        facet_width=PANEL + _PANEL_AXIS,
    )


def _curves(
    name: str,
    caption: str,
    lines: Sequence[Row],
    palette: Palette,
    x_label: str,
    y_label: str,
    table: Table | None,
    **axes: bool,
) -> Figure:
    references = {model: colour.reference for model, colour in palette.models.items()}
    chart = switched_curve_chart(lines, references, x_label, y_label, **axes)
    switches = _switches((line["model"] for line in lines), palette.models)
    return Figure(name, caption, spec_text(chart, lines), switches, table=table)


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


def by_setting(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each setting, by its label; those without a finite mean are left out."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if math.isfinite(row["mean"]):
            groups.setdefault(row["setting"], []).append(row)
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
        "values": rows[0]["values"] or "nothing swept",
        "runs": str(rows[0]["runs"]),
        **{key: [short(row[column]) for row in rows] for key, column in columns.items()},
    }


def _epoch_table(groups: Mapping[str, Sequence[Row]], names: Names, last: int) -> Table:
    """The loss at a few epochs, at equal ratios, and at the end of each curve."""
    epochs = [epoch for epoch in (1, 10, 100, 1000) if epoch < last]
    losses = {
        label: [
            _estimate([row for row in rows if row["epoch"] <= epoch][-1])
            for epoch in (*epochs, math.inf)
        ]
        for label, rows in groups.items()
    }
    decimals = decimals_of([loss for row in losses.values() for loss in row])
    cells = []
    for label, row in losses.items():
        end = groups[label][-1]["epoch"]
        means = (estimate_cell(loss, decimals=decimals) for loss in row)
        cells.append([Cell(names[label]), *means, Cell(f"{end}", end)])
    columns = [
        Column("setting", "setting", "text"),
        *(Column(f"epoch_{epoch}", f"by epoch {epoch}, ±") for epoch in epochs),
        Column("end", "at the end, ±"),
        Column("last", "last epoch"),
    ]
    caption = "Best validation loss so far: mean and half its interval over seeds."
    file = "reports/plots/learning_curves.csv"
    return Table("learning-curve-numbers", caption, columns, cells, file)


def _level_table(
    groups: Mapping[str, Sequence[Row]], names: Names, plot: str, title: str, evaluate: Evaluate
) -> Table:
    levels = sorted({row["level"] for rows in groups.values() for row in rows})
    at = {(label, row["level"]): _estimate(row) for label, rows in groups.items() for row in rows}
    exponent = exponent_of(estimate.mean for estimate in at.values())
    factor = 10.0**-exponent
    decimals = decimals_of(list(at.values()), factor=factor)
    cells = []
    for label in groups:
        means = [at.get((label, level), UNKNOWN) for level in levels]
        row = (estimate_cell(mean, decimals=decimals, factor=factor) for mean in means)
        cells.append([Cell(names[label]), *row])
    columns = [
        Column("setting", "setting", "text"),
        *(Column(f"level_{level:g}", f"at {level:g}, ±") for level in levels),
    ]
    unit = in_unit(_metric(evaluate), exponent)
    caption = f"{unit}: mean and half its interval over seeds. Columns: {title}."
    name = f"{plot.replace('_', '-')}-numbers"
    return Table(name, caption, columns, cells, f"reports/plots/{plot}.csv")


def _estimate(row: Row) -> Estimate:
    return Estimate(row["mean"], NAN, row["low"], row["high"], row["runs"])


def _metric(evaluate: Evaluate) -> str:
    return f"{metric_name(evaluate.metric)} on the test split"


def _measure(evaluate: Evaluate) -> str:
    return f"{over_seeds(evaluate.confidence)}; {better_word(evaluate.metric)} is better"


def labels_of(rows: Sequence[Row]) -> list[str]:
    """The labels of the codes, ascending, numbers as numbers; one word where there are none."""
    return sorted(dict.fromkeys(map(_label, rows)), key=lambda text: (*_as_number(text), text))


def _code_table(
    groups: Mapping[str, Sequence[Row]], names: Mapping[str, str], labels: Sequence[str]
) -> Table:
    """The variance in the two components of each setting's codes, and each label's mean."""
    cells = []
    for setting, rows in groups.items():
        shares = (rows[0]["share1"], rows[0]["share2"])
        share = math.nan if None in shares else sum(shares)
        means = (_mean([row for row in rows if _label(row) == label]) for label in labels)
        cells.append(
            [
                Cell(names.get(setting, setting)),
                Cell(f"{100 * share:.0f}" if math.isfinite(share) else "", share),
                *(Cell(mean.replace("-", "−")) for mean in means),
            ]
        )
    columns = [
        Column("setting", "setting", "text"),
        Column("share", "variance of the codes in the two components, %"),
        *(Column(f"mean_{label}", f"mean of {label}", "text") for label in labels),
    ]
    caption = "Variance of the codes in the two components" + (
        ", and the mean of both over the samples of each label." if labels else "."
    )
    return Table("code-numbers", caption, columns, cells, FILE)


def _mean(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    means = (sum(row[axis] for row in rows) / len(rows) for axis in ("c1", "c2"))
    return ", ".join(f"{mean:.2f}" for mean in means)


def _label(row: Row) -> str:
    label = row["label"]
    return _UNLABELLED if label is None or label == "" else str(label)


def _as_number(label: str) -> tuple[int, float]:
    try:
        return (0, float(label))
    except ValueError:
        return (1, 0.0)
