"""The test metric over the power of what is added, and over the levels of interventions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from offset_autoencoder.evaluation.metrics import higher_is_better
from offset_autoencoder.evaluation.verdict_wording import percent
from offset_autoencoder.reporting.html.chart import Chart, switches_of
from offset_autoencoder.reporting.html.curve_rows import (
    by_setting,
    line_of,
    line_through,
    mean_of,
)
from offset_autoencoder.reporting.html.line_chart import Labels, Line, line_chart
from offset_autoencoder.reporting.html.palette import Palette
from offset_autoencoder.reporting.html.setting_table import in_unit, metric_name
from offset_autoencoder.reporting.html.source import Row, Source, number
from offset_autoencoder.reporting.html.table import Cell, Column, Table, estimate_cell, table
from offset_autoencoder.reporting.interval_text import decimals_of, exponent_of

LEVELS = {
    "robustness": (
        "Gaussian noise on every coordinate of the code at test time",
        "standard deviation of the noise",
    ),
    "offset_scales": ("The offset scaled at test time", "factor of the offset"),
}
"""Of each plot of levels what it shows, and what a level is."""


def level_chart(source: Source, palette: Palette, plot: str) -> Chart | None:
    """The test metric over the levels of an intervention, one of :data:`LEVELS`; None without."""
    groups = by_setting(source.plots[plot])
    if not groups:
        return None
    what, title = LEVELS[plot]
    lines = [line_of(source, label, rows, "level") for label, rows in groups.items()]
    return Chart(
        name=plot.replace("_", "-"),
        caption=f"{what}: {_measure(source)}.",
        spec=line_chart(lines, palette.models, Labels(title, _metric(source)), points=True),
        switches=switches_of((line.model for line in lines), palette.models),
        switched="models",
        table=_level_table(source, groups, plot, title),
    )


def power_chart(source: Source, palette: Palette) -> Chart | None:
    """The test metric by the power of what is added; None where there are no two powers.

    What adds nothing of a set power is a level line across all of them.
    """
    rows = [row for row in source.plots["settings"] if math.isfinite(number(row, "mean"))]
    powers = sorted({number(row, "noise_level") for row in rows if row["noise_level"]})
    if len(powers) < 2:
        return None
    series: dict[tuple[str, bool], list[Row]] = {}
    for row in rows:
        added = bool(row["noise_level"])
        series.setdefault((row["series"] if added else row["setting"], added), []).append(row)
    lines = [
        _series_line(name, sorted(group, key=lambda row: number(row, "noise_level")), powers)
        for (name, _), group in sorted(series.items(), key=lambda item: not item[0][1])
    ]
    title = "power (root mean square) of what is added"
    labels = Labels(title, _metric(source))
    return Chart(
        name="power",
        caption=f"The test metric by the power of what is added to a coordinate of the code: "
        f"{_measure(source)}.",
        spec=line_chart(lines, palette.models, labels, log_x=True, points=True),
        switches=switches_of((line.model for line in lines), palette.models),
        switched="models",
        table=None,
    )


def _series_line(name: str, rows: Sequence[Row], powers: Sequence[float]) -> Line:
    model = rows[0]["model"]
    if rows[0]["noise_level"]:
        places = [number(row, "noise_level") for row in rows]
        return line_through(name, model, "by power", places, [mean_of(row) for row in rows])
    level = [mean_of(rows[0])] * 2
    return line_through(name, model, "no power to set", [powers[0], powers[-1]], level)


def _level_table(
    source: Source, groups: Mapping[str, Sequence[Row]], plot: str, title: str
) -> Table:
    levels = sorted({number(row, "level") for rows in groups.values() for row in rows})
    at = {
        (label, number(row, "level")): mean_of(row)
        for label, rows in groups.items()
        for row in rows
    }
    exponent = exponent_of(each.mean for each in at.values())
    factor = 10.0**-exponent
    decimals = decimals_of(list(at.values()), factor=factor)
    unknown = mean_of(None)
    cells = [
        [
            Cell(source.names.get(label, label)),
            *(
                estimate_cell(at.get((label, level), unknown), decimals=decimals, factor=factor)
                for level in levels
            ),
        ]
        for label in groups
    ]
    columns = [Column("setting", "text"), *(Column(f"at {level:g}, ±") for level in levels)]
    unit = in_unit(_metric(source), exponent)
    caption = f"{unit}: mean and half its interval over seeds. Columns: {title}."
    name = f"{plot.replace('_', '-')}-numbers"
    return table(name, caption, columns, cells, file=f"reports/plots/{plot}.csv")


def _metric(source: Source) -> str:
    return f"{metric_name(source.params.evaluate.metric)} on the test split"


def _measure(source: Source) -> str:
    evaluate = source.params.evaluate
    better = "higher" if higher_is_better(evaluate.metric) else "lower"
    return f"mean and {percent(evaluate.confidence)} interval over seeds; {better} is better"
