"""Rows of curves, a row a point, as the lines of a chart."""

from __future__ import annotations

import math
from collections.abc import Sequence

from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.reporting.html.line_chart import Line
from offset_autoencoder.reporting.html.source import Row, Source, estimate, number


def by_setting(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each setting, by its label; those without a finite mean are left out."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if math.isfinite(number(row, "mean")):
            groups.setdefault(row["setting"], []).append(row)
    return groups


def line_of(source: Source, label: str, rows: Sequence[Row], x: str) -> Line:
    """A setting's line.

    Args:
        source: The tables.
        label: The setting's label.
        rows: Its points, with ``mean``, ``low`` and ``high``.
        x: The column of where they are.
    """
    first = rows[0]
    places = [number(row, x) for row in rows]
    name = source.names.get(label, label)
    found = [mean_of(row) for row in rows]
    return line_through(name, first["model"], first["values"], places, found, first["runs"])


def line_through(
    name: str,
    model: str,
    values: str,
    x: Sequence[float],
    found: Sequence[Estimate],
    runs: str = "",
) -> Line:
    """A line through estimates; arguments as the attributes of :class:`.line_chart.Line`."""
    return Line(
        setting=name,
        model=model,
        values=values,
        x=x,
        mean=[each.mean for each in found],
        low=[each.low for each in found],
        high=[each.high for each in found],
        runs=runs,
    )


def mean_of(row: Row | None) -> Estimate:
    """The mean of a row and its interval; NaN where there is no row."""
    return estimate(row or {}, "mean", "low", "high")


def thinned(rows: Sequence[Row], most: int) -> list[Row]:
    """At most so many of the rows, evenly apart, the first and the last among them."""
    if len(rows) <= most:
        return list(rows)
    places = {round(place * (len(rows) - 1) / (most - 1)) for place in range(most)}
    return [rows[place] for place in sorted(places)]
