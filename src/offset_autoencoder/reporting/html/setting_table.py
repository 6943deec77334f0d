"""The test metric of every setting, as a table with its intervals drawn in the rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from offset_autoencoder.evaluation.metrics import higher_is_better
from offset_autoencoder.evaluation.verdict_wording import percent
from offset_autoencoder.reporting.html.interval_picture import (
    Mark,
    draw_axis,
    draw_row,
    value_axis,
)
from offset_autoencoder.reporting.html.palette import Palette
from offset_autoencoder.reporting.html.source import Source, estimate, number
from offset_autoencoder.reporting.html.table import (
    Cell,
    Column,
    Table,
    estimate_cell,
    number_cell,
    table,
)
from offset_autoencoder.reporting.interval_text import decimals_of, exponent_of
from offset_autoencoder.reporting.metric_names import METRIC_NAMES

FILE = "reports/plots/settings.csv"


def metric_name(metric: str) -> str:
    """What a metric is called, with its unit."""
    return METRIC_NAMES.get(metric, metric)


def in_unit(name: str, exponent: int) -> str:
    """A heading that says in which power of ten its numbers are."""
    return f"{name}, 1e{exponent}".replace("-", "−") if exponent else name


def setting_table(source: Source, palette: Palette) -> Table:
    """Mean and interval of each setting, in the order of params.yaml."""
    rows, evaluate = source.plots["settings"], source.params.evaluate
    estimates = [estimate(row, "mean", "low", "high") for row in rows]
    exponent = exponent_of(each.mean for each in estimates)
    factor = 10.0**-exponent
    decimals = decimals_of(estimates, factor=factor)
    axis = value_axis(estimates, factor)
    reference = _reference(source)
    cells: list[Sequence[Cell]] = []
    for row, each in zip(rows, estimates, strict=True):
        runs, diverged = number(row, "runs"), number(row, "diverged")
        finished = f"{runs:g}" + (f", {diverged:g} diverged" if diverged else "")
        mark = Mark(each, palette.models[row["model"]].name)
        cells.append(
            [
                Cell(source.names.get(row["setting"], row["setting"])),
                estimate_cell(each, decimals=decimals, factor=factor),
                Cell(picture=draw_row(axis, [mark], line=reference)),
                number_cell(runs, finished),
            ]
        )
    name = metric_name(evaluate.metric)
    better = "higher" if higher_is_better(evaluate.metric) else "lower"
    caption = (
        f"{name[:1].upper()}{name[1:]} on the test split, as deployed (offset on, noise off): mean "
        f"and half its {percent(evaluate.confidence)} interval over seeds; {better} is better."
    )
    if reference is not None:
        caption += f" The line is the mean of {evaluate.baselines[0]}."
    heading = in_unit(name, exponent)
    columns = [
        Column("setting", "text"),
        Column(f"{heading}, ±"),
        Column(heading, "picture", draw_axis(axis)),
        Column("runs"),
    ]
    return table("settings", caption, columns, cells, file=FILE)


def _reference(source: Source) -> float | None:
    """The mean of the first baseline, where it is a single setting."""
    first = source.params.evaluate.baselines[:1]
    rows = [row for row in source.plots["settings"] if [row["model"]] == first]
    if len(rows) != 1 or not math.isfinite(mean := number(rows[0], "mean")):
        return None
    return mean
