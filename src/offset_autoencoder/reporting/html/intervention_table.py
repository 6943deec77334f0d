"""What the offset is exchanged for at test time, and what that does to the error: a table."""

from __future__ import annotations

from collections.abc import Sequence

from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.evaluation.verdict_wording import percent
from offset_autoencoder.reporting.html.interval_picture import (
    Mark,
    Shape,
    draw_axis,
    draw_key,
    draw_row,
    percent_axis,
)
from offset_autoencoder.reporting.html.palette import Palette
from offset_autoencoder.reporting.html.source import NAN, Row, Source, estimate
from offset_autoencoder.reporting.html.table import Cell, Column, Table, estimate_cell, table
from offset_autoencoder.reporting.metric_names import error_name

FILE = "reports/interventions.csv"

EXCHANGES: dict[str, tuple[str, Shape]] = {
    "permuted": ("another sample's", "circle"),
    "gaussian": ("Gaussian noise", "square"),
    "omitted": ("no offset", "triangle"),
    "offset_only": ("no code", "diamond"),
}


def intervention_table(source: Source, palette: Palette) -> Table:
    """A row a setting that has an offset: the change of its error with each exchange, in %."""
    rows, evaluate = source.plots["interventions"], source.params.evaluate
    changes = {(row["setting"], row["intervention"]): row for row in rows}
    known = [name for name in EXCHANGES if any(row["intervention"] == name for row in rows)]
    labels = list(dict.fromkeys(row["setting"] for row in rows))
    axis = percent_axis(_change(row) for row in rows)
    words = dict(
        zip(source.labels(source.verdicts), (r["verdict"] for r in source.verdicts), strict=True)
    )
    margin = 100 * evaluate.margin
    cells: list[Sequence[Cell]] = []
    for label in labels:
        found = {name: _change(changes.get((label, name), {})) for name in known}
        marks = [Mark(found[name], f"exchange-{name}", EXCHANGES[name][1]) for name in known]
        word = words.get(label, "")
        css = palette.verdicts[word].name if word in palette.verdicts else ""
        cells.append(
            [
                Cell(source.names.get(label, label)),
                Cell(word, css=css),
                Cell(picture=draw_row(axis, marks, band=(-margin, margin), line=0)),
                *(
                    estimate_cell(each, decimals=1 if abs(each.mean) < 10 else 0, signed=True)
                    for each in found.values()
                ),
            ]
        )
    error = error_name(evaluate.metric)
    columns = [
        Column("setting", "text"),
        Column("used as", "verdict"),
        Column(f"change of the {error}, %", "picture", draw_axis(axis)),
        *(Column(f"{EXCHANGES[name][0]}, %, ±") for name in known),
    ]
    caption = (
        f"Change of the {error} on the test split when the offset of the trained network is "
        f"exchanged, % of that with its own: mean and half its {percent(evaluate.confidence)} "
        f"interval over seeds. Right of zero is worse; grey: within ± {margin:g} %."
    )
    legend = [
        (draw_key(f"exchange-{name}", EXCHANGES[name][1]), EXCHANGES[name][0]) for name in known
    ]
    return table("interventions", caption, columns, cells, file=FILE, legend=legend)


def _change(row: Row) -> Estimate:
    return estimate(row, "change", "low", "high") if row else Estimate(NAN, NAN, NAN, NAN, 0)
