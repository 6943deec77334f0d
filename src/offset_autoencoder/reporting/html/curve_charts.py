"""Lines of the page: learning curves, the metric by noise level and by level of interventions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.reporting.html.charts import Chart, Labels, Line, line_chart, switches_of
from offset_autoencoder.reporting.palette import Palette
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
"""What each setting is called on the page, by its label."""

MOST_POINTS = 6000
LEVELS = {
    "robustness": (
        "Gaussian noise on every coordinate of the code at test time",
        "standard deviation of the noise",
    ),
    "offset_scales": ("The offset scaled at test time", "factor of the offset"),
}
"""Of each plot of levels what it shows, and what a level is."""

_FEWEST_POINTS = 12


def learning_curve_chart(
    rows: Sequence[Row], names: Names, evaluate: Evaluate, palette: Palette
) -> Chart | None:
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
    points = max(len(line.x) for line in lines)
    if points < last - first + 1:
        caption += f" A curve is drawn through {points} of its epochs at most."
    return Chart(
        name="learning-curves",
        caption=caption,
        spec=line_chart(lines, palette.models, Labels("epoch", "validation loss")),
        switches=switches_of((line.model for line in lines), palette.models),
        switched="models",
        table=_epoch_table(groups, names, last),
    )


def level_chart(
    plot: str, rows: Sequence[Row], names: Names, evaluate: Evaluate, palette: Palette
) -> Chart | None:
    """The test metric over the levels of an intervention, one of :data:`LEVELS`; None without."""
    groups = by_setting(rows)
    if not groups:
        return None
    content, title = LEVELS[plot]
    lines = [_line(names[label], group, "level") for label, group in groups.items()]
    return Chart(
        name=plot.replace("_", "-"),
        caption=f"{content}: {_measure(evaluate)}.",
        spec=line_chart(lines, palette.models, Labels(title, _metric(evaluate)), points=True),
        switches=switches_of((line.model for line in lines), palette.models),
        switched="models",
        table=_level_table(groups, names, plot, title, evaluate),
    )


def noise_level_chart(rows: Sequence[Row], evaluate: Evaluate, palette: Palette) -> Chart | None:
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
    lines = [
        _series_line(name, group, levels)
        for (_, name), group in sorted(groups.items(), key=lambda item: item[0][0])
    ]
    labels = Labels("noise level: rms of what is added", _metric(evaluate))
    return Chart(
        name="noise-level",
        caption="The test metric by the noise level, the root mean square of what is added to a "
        f"coordinate of the code: {_measure(evaluate)}.",
        spec=line_chart(lines, palette.models, labels, log_x=True, points=True),
        switches=switches_of((line.model for line in lines), palette.models),
        switched="models",
        table=None,
    )


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


def _line(name: str, rows: Sequence[Row], x: str) -> Line:
    """A setting's line through its rows, at the column ``x``."""
    return Line(
        setting=name,
        model=rows[0]["model"],
        values=rows[0]["values"],
        x=[row[x] for row in rows],
        mean=[row["mean"] for row in rows],
        low=[row["low"] for row in rows],
        high=[row["high"] for row in rows],
        runs=str(rows[0]["runs"]),
    )


def _series_line(name: str, rows: Sequence[Row], levels: Sequence[float]) -> Line:
    added = bool(rows[0]["noise_level"])
    if added:
        ordered = sorted(rows, key=lambda row: row["noise_level"])
    else:
        ordered = [{**rows[0], "noise_level": level} for level in (levels[0], levels[-1])]
    values = "by noise level" if added else "no noise level to set"
    return _line(name, [{**row, "values": values, "runs": ""} for row in ordered], "noise_level")


def _epoch_table(groups: Mapping[str, Sequence[Row]], names: Names, last: int) -> Table:
    """The loss at a few epochs, at equal ratios, and at the end of each curve."""
    epochs = [epoch for epoch in (1, 10, 100, 1000) if epoch < last]
    losses = {
        label: [_estimate(_reached(rows, epoch)) for epoch in epochs] + [_estimate(rows[-1])]
        for label, rows in groups.items()
    }
    decimals = decimals_of([loss for row in losses.values() for loss in row])
    cells = [
        [
            Cell(names[label]),
            *(estimate_cell(loss, decimals=decimals) for loss in row),
            Cell(f"{groups[label][-1]['epoch']}", groups[label][-1]["epoch"]),
        ]
        for label, row in losses.items()
    ]
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
    cells = [
        [
            Cell(names[label]),
            *(
                estimate_cell(at.get((label, level), UNKNOWN), decimals=decimals, factor=factor)
                for level in levels
            ),
        ]
        for label in groups
    ]
    columns = [
        Column("setting", "setting", "text"),
        *(Column(f"level_{level:g}", f"at {level:g}, ±") for level in levels),
    ]
    unit = in_unit(_metric(evaluate), exponent)
    caption = f"{unit}: mean and half its interval over seeds. Columns: {title}."
    name = f"{plot.replace('_', '-')}-numbers"
    return Table(name, caption, columns, cells, f"reports/plots/{plot}.csv")


def _reached(rows: Sequence[Row], epoch: float) -> Row:
    """The last point that is not after an epoch."""
    return [row for row in rows if row["epoch"] <= epoch][-1]


def _estimate(row: Row) -> Estimate:
    return Estimate(row["mean"], NAN, row["low"], row["high"], row["runs"])


def _metric(evaluate: Evaluate) -> str:
    return f"{metric_name(evaluate.metric)} on the test split"


def _measure(evaluate: Evaluate) -> str:
    return f"{over_seeds(evaluate.confidence)}; {better_word(evaluate.metric)} is better"
