"""What offset and code tell of the sample and of its label: a table."""

from __future__ import annotations

from collections.abc import Sequence

from offset_autoencoder.evaluation.probes import PARTS
from offset_autoencoder.evaluation.verdict_wording import percent
from offset_autoencoder.reporting.html.source import Source, estimate, number
from offset_autoencoder.reporting.html.table import Cell, Column, Table, estimate_cell, table

FILE = "reports/probes.csv"
_PART_NAMES = {"offset": "offset", "code": "code", "sum": "code + offset", "both": "both"}
_KINDS = {"explained": "variance of x", "accuracy": "labels"}


def probe_table(source: Source) -> Table:
    """A row a setting: what a linear probe reads from each part, and how the code answers."""
    rows = source.probes
    shown = [
        (part, kind)
        for kind in _KINDS
        for part in PARTS
        if any(number(row, f"{part}_{kind}") == number(row, f"{part}_{kind}") for row in rows)
    ]
    cells: list[Sequence[Cell]] = []
    for row, label in zip(rows, source.labels(rows), strict=True):
        gap = estimate(row, "generalization_gap_relative")
        answer = row.get("encoder_adaptation", "")
        cells.append(
            [
                Cell(source.names[label]),
                *(
                    estimate_cell(estimate(row, f"{part}_{kind}"), decimals=1, factor=100)
                    for part, kind in shown
                ),
                Cell("" if answer == "unknown" else answer),
                estimate_cell(gap, decimals=0, factor=100, signed=True),
            ]
        )
    columns = [
        Column("setting", "text"),
        *(Column(f"{_KINDS[kind]} from {_PART_NAMES[part]}, %, ±") for part, kind in shown),
        Column("the code answers the offset", "text"),
        Column("test error above training error, %, ±"),
    ]
    confidence = percent(source.params.evaluate.confidence)
    caption = (
        "What a linear probe reads on the test split, as a share of the variance of x and of the "
        f"labels read right: mean and half its {confidence} interval. The code reinforces, "
        "cancels or ignores the offset: the slope of the code on the offset, less that of the "
        "same seed trained without."
    )
    return table("probes", caption, columns, cells, file=FILE)
