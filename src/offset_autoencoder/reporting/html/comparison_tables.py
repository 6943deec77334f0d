"""Every setting against each baseline: a sortable table each, intervals drawn in the rows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.metrics import CONDITIONS
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.evaluation.verdict_wording import percent, probability
from offset_autoencoder.reporting.html.interval_picture import (
    Axis,
    Mark,
    draw_axis,
    draw_row,
    percent_axis,
)
from offset_autoencoder.reporting.html.palette import Palette
from offset_autoencoder.reporting.html.setting_table import in_unit, metric_name
from offset_autoencoder.reporting.html.source import Row, Source, estimate, number
from offset_autoencoder.reporting.html.table import (
    Cell,
    Column,
    Table,
    estimate_cell,
    number_cell,
    table,
)
from offset_autoencoder.reporting.interval_text import decimals_of, exponent_of
from offset_autoencoder.reporting.metric_names import error_name

FILE = "reports/comparison.csv"
DEPLOYED = CONDITIONS[""]
_MOST_DECIMALS = 6


@dataclass(frozen=True)
class Against:
    """The comparisons with one baseline under one condition.

    Attributes:
        baseline: The baseline's model.
        condition: As :data:`.metrics.CONDITIONS` calls it.
        table: The comparisons.
    """

    baseline: str
    condition: str
    table: Table

    @property
    def deployed(self) -> bool:
        """Whether it is the condition that counts; others are there to be opened."""
        return self.condition == DEPLOYED


def comparison_tables(source: Source, palette: Palette) -> list[Against]:
    """The tables, all intervals on one axis; those of a baseline by condition, deployed first."""
    rows = source.plots["comparison"]
    changes = [estimate(row, "change", "low", "high") for row in rows]
    axis = percent_axis(changes)
    full = _full_rows(source)
    found = []
    groups = itertools.groupby(rows, key=lambda row: (row["baseline"], row["condition"]))
    for place, ((baseline, condition), group) in enumerate(groups):
        made = _table(f"comparison-{place}", list(group), full, source, palette, axis)
        found.append(Against(baseline, condition, made))
    return found


def _table(
    name: str,
    rows: Sequence[Row],
    full: dict[tuple[str, str, str], Row],
    source: Source,
    palette: Palette,
    axis: Axis,
) -> Table:
    evaluate, settings = source.params.evaluate, {s.label: s for s in source.params.settings}
    suffix = next(key for key, word in CONDITIONS.items() if word == rows[0]["condition"])
    metric = evaluate.metric + suffix
    entries = [full.get((row["setting"], row["baseline_setting"], metric), {}) for row in rows]
    differences = [estimate(entry, "difference", "low", "high") for entry in entries]
    means = [_mean(source, settings.get(row["setting"]), metric) for row in rows]
    exponent = exponent_of(each.mean for each in means)
    factor, margin = 10.0**-exponent, 100 * evaluate.margin
    decimals = decimals_of(means, factor=factor)
    finer = decimals_of(differences, factor=factor)
    cells: list[Sequence[Cell]] = []
    for row, entry, mean, difference in zip(rows, entries, means, differences, strict=True):
        change = estimate(row, "change", "low", "high")
        word = row["verdict"]
        css = palette.outcomes[word].name if word in palette.outcomes else ""
        p = number(entry, "p_corrected")
        wins, pairs = number(entry, "wins"), number(entry, "pairs")
        cells.append(
            [
                Cell(source.names.get(row["setting"], row["setting"])),
                Cell(_word(word, entry, evaluate.margin), css=css),
                Cell(picture=draw_row(axis, [Mark(change, css)], band=(-margin, margin), line=0)),
                estimate_cell(change, decimals=1 if abs(change.mean) < 10 else 0, signed=True),
                estimate_cell(mean, decimals=decimals, factor=factor),
                _difference(difference, finer, factor),
                number_cell(p, "" if math.isnan(p) else probability(p)),
                number_cell(wins, f"{wins:g}/{pairs:g}" if pairs else ""),
                _needed(entry),
            ]
        )
    error = error_name(evaluate.metric)
    unit = in_unit(metric_name(evaluate.metric), exponent)
    columns = [
        Column("setting", "text"),
        Column("verdict", "verdict"),
        Column(f"change of the {error}, %", "picture", draw_axis(axis)),
        Column("change, %, ±"),
        Column(f"{unit}, ±"),
        Column(f"difference [{percent(evaluate.confidence)} interval]"),
        Column("p, corrected"),
        Column("better at"),
        Column("seeds needed"),
    ]
    if not any(row[-1].text for row in cells):
        columns, cells = columns[:-1], [row[:-1] for row in cells]
    caption = (
        f"Against {_baselines(rows)}, {_condition(rows[0]['condition'])}, seed by seed. Left of "
        f"zero is better; grey: within ± {margin:g} %."
    )
    return table(name, caption, columns, cells, file=FILE)


def _condition(condition: str) -> str:
    said = {
        DEPLOYED: "as deployed: offset on, noise off",
        "as trained": "as trained: offset on, noise on",
        "clean": "clean: offset off, noise off",
    }
    return said.get(condition, condition)


def _baselines(rows: Sequence[Row]) -> str:
    """The baseline; where it sweeps something, that each setting has its own of it."""
    baseline = rows[0]["baseline"]
    swept = any(row["baseline_setting"] != baseline for row in rows)
    return f"{baseline} at the same power or sweep value" if swept else baseline


def _full_rows(source: Source) -> dict[tuple[str, str, str], Row]:
    """The rows of ``comparison.csv`` by the labels of both settings and the metric."""
    labels = source.labels(source.comparison)
    return {
        (label, row["baseline_setting"], row["metric"]): row
        for label, row in zip(labels, source.comparison, strict=True)
    }


def _mean(source: Source, setting: Setting | None, metric: str) -> Estimate:
    nan = float("nan")
    return source.estimate(setting, metric) if setting else Estimate(nan, nan, nan, nan, 0)


def _difference(difference: Estimate, decimals: int, factor: float) -> Cell:
    if not math.isfinite(difference.half):
        return estimate_cell(difference, decimals=decimals, factor=factor, signed=True)
    ends = (difference.mean, difference.low, difference.high)
    mean, low, high = (f"{factor * end:+z.{min(decimals, _MOST_DECIMALS)}f}" for end in ends)
    return number_cell(difference.mean, f"{mean} [{low}, {high}]")


def _word(word: str, entry: Row, margin: float) -> str:
    """The verdict; a difference that is told apart and within the margin says so."""
    if word in ("better", "worse") and entry.get("equivalent") == "True":
        return f"{word} < {percent(margin)}"
    return word


def _needed(entry: Row) -> Cell:
    seeds, finds = number(entry, "seeds_needed"), entry.get("needed_for", "")
    decided = seeds <= number(entry, "pairs")
    return Cell() if decided or math.isnan(seeds) else Cell(f"{seeds:g}, for {finds}", seeds)
