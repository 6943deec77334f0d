"""The learning curves: the best validation loss so far, over the epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from offset_autoencoder.evaluation.verdict_wording import percent
from offset_autoencoder.reporting.html.chart import Chart, switches_of
from offset_autoencoder.reporting.html.curve_rows import (
    by_setting,
    line_of,
    mean_of,
    thinned,
)
from offset_autoencoder.reporting.html.line_chart import Labels, line_chart
from offset_autoencoder.reporting.html.palette import Palette
from offset_autoencoder.reporting.html.source import Row, Source, number
from offset_autoencoder.reporting.html.table import Cell, Column, Table, estimate_cell, table
from offset_autoencoder.reporting.interval_text import decimals_of

FILE = "reports/plots/learning_curves.csv"
MOST_POINTS = 6000
_FEWEST_POINTS = 12
_LEFT_OUT = 10  # the first tenth of the epochs, where all curves fall from far above
_SHORTEST = 20


def learning_curve_chart(source: Source, palette: Palette) -> Chart | None:
    """The chart; None where no run finished."""
    groups = by_setting(source.plots["learning_curves"])
    if not groups:
        return None
    last = max(number(rows[-1], "epoch") for rows in groups.values())
    first = math.ceil(last / _LEFT_OUT) if last > _SHORTEST else 1
    later = {
        label: [row for row in rows if number(row, "epoch") >= first] or rows[-1:]
        for label, rows in groups.items()
    }
    most = max(_FEWEST_POINTS, MOST_POINTS // len(groups))
    lines = [line_of(source, label, thinned(rows, most), "epoch") for label, rows in later.items()]
    caption = (
        "Best validation loss so far (a run that stopped keeps its best): mean and "
        f"{percent(source.params.evaluate.confidence)} interval over seeds"
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
        table=_table(source, groups, last),
    )


def _table(source: Source, groups: Mapping[str, Sequence[Row]], last: float) -> Table:
    """The loss at a few epochs, at equal ratios, and at the end of each curve."""
    epochs = [epoch for epoch in (1, 10, 100, 1000) if epoch < last]
    found = {
        label: [mean_of(_reached(rows, epoch)) for epoch in epochs] + [mean_of(rows[-1])]
        for label, rows in groups.items()
    }
    decimals = decimals_of([each for row in found.values() for each in row])
    cells = [
        [
            Cell(source.names.get(label, label)),
            *(estimate_cell(each, decimals=decimals) for each in row),
            Cell(groups[label][-1]["epoch"], number(groups[label][-1], "epoch")),
        ]
        for label, row in found.items()
    ]
    columns = [
        Column("setting", "text"),
        *(Column(f"by epoch {epoch}, ±") for epoch in epochs),
        Column("at the end, ±"),
        Column("last epoch"),
    ]
    caption = "Best validation loss so far: mean and half its interval over seeds."
    return table("learning-curve-numbers", caption, columns, cells, file=FILE)


def _reached(rows: Sequence[Row], epoch: float) -> Row:
    """The last point that is not after an epoch."""
    return [row for row in rows if number(row, "epoch") <= epoch][-1]
