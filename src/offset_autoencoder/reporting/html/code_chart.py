"""The codes of test samples in two dimensions, a panel a setting, coloured by label."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from offset_autoencoder.reporting.html.chart import ROWS, SHOWN, Chart, Switch, short, spec_text
from offset_autoencoder.reporting.html.palette import Colour, on_dark
from offset_autoencoder.reporting.html.source import Row, Source, number
from offset_autoencoder.reporting.html.table import Cell, Column, Table, number_cell, table

FILE = "reports/plots/codes.csv"
PANEL = 150  # pixels
_BESIDE = 60  # what a panel's axis takes
_MOST_SWITCHES = 20
_LONGEST_LETTERS = 2
_MOST_PANELS = 24
_UNLABELLED = "all samples"
# Paul Tol's "muted" scheme and what Okabe and Ito add to it, neighbours far apart.
_COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#332288", "#999933"),
    *("#882255", "#44AA99", "#661100", "#777777"),
)


def label_colours(labels: Sequence[str]) -> dict[str, Colour]:
    """A colour a label, in order; around again where there are more than twelve."""
    return {
        label: Colour(f"label-{place}", colour, on_dark(colour))
        for place, (label, colour) in enumerate(zip(labels, itertools.cycle(_COLOURS)))
    }


def labels_of(source: Source) -> list[str]:
    """The labels of the codes, ascending, numbers as numbers; one word where there are none."""
    found = {row["label"] or _UNLABELLED for row in source.plots["codes"]}
    return sorted(found, key=lambda label: (*_as_number(label), label))


def code_chart(source: Source, colours: dict[str, Colour]) -> Chart | None:
    """The chart; None where ``codes.csv`` has no rows.

    Args:
        source: What was read.
        colours: Of :func:`labels_of`.
    """
    groups: dict[str, list[Row]] = {}
    for row in source.plots["codes"]:
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
    switchable = labelled and len(labels) <= _MOST_SWITCHES
    return Chart(
        name="codes",
        caption=caption,
        spec=_facets(source, shown, colours),
        switches=[Switch(label, colours[label].name) for label in labels] if switchable else [],
        switched="labels",
        table=_table(source, shown, labels if labelled and switchable else []),
        facet_width=PANEL + _BESIDE,
    )


def _facets(source: Source, groups: dict[str, list[Row]], colours: dict[str, Colour]) -> Markup:
    import altair as alt

    labels = list(colours)
    rows: list[dict[str, Any]] = [
        {
            "setting": source.names.get(setting, setting),
            "sample": [row["sample"] for row in group],
            "label": [row["label"] or _UNLABELLED for row in group],
            "c1": [short(number(row, "c1")) for row in group],
            "c2": [short(number(row, "c2")) for row in group],
        }
        for setting, group in groups.items()
    ]
    # A label of a letter or two is drawn as itself: it is read where colours are not told apart.
    letters = labels != [_UNLABELLED] and max(map(len, labels)) <= _LONGEST_LETTERS
    base = alt.Chart()
    marks = (
        base.mark_text(fontSize=10, fontWeight="bold")
        if letters
        else base.mark_circle(size=18, opacity=0.8)
    )
    axis: dict[str, Any] = {"grid": False, "tickCount": 3, "titleFontSize": 11, "format": ".6~g"}
    encoded = marks.encode(
        x=alt.X("c1:Q").title("first component").axis(**axis).scale(zero=False),
        y=alt.Y("c2:Q").title("second component").axis(**axis, minExtent=26).scale(zero=False),
        color=alt.Color("label:N")
        .scale(domain=labels, range=[colours[label].reference for label in labels])
        .legend(None),
        tooltip=[alt.Tooltip("setting:N"), alt.Tooltip("sample:N"), alt.Tooltip("label:N")],
    )
    if letters:
        encoded = encoded.encode(text="label:N")
    order = [row["setting"] for row in rows]
    facets = (
        encoded.properties(width=PANEL, height=PANEL)
        .facet(facet=alt.Facet("setting:N").sort(order), columns=4, data=alt.NamedData(name=ROWS))
        .transform_flatten(["sample", "label", "c1", "c2"])
        .transform_filter(f"indexof({SHOWN}, datum.label) >= 0")
        .resolve_scale(x="independent", y="independent")
        .add_params(alt.param(name=SHOWN, value=labels))
    )
    return spec_text(facets, rows)


def _table(source: Source, groups: dict[str, list[Row]], labels: Sequence[str]) -> Table:
    """What the two components hold of each setting's codes, and where each label's middle is."""
    cells = []
    for setting, rows in groups.items():
        share = number(rows[0], "share1") + number(rows[0], "share2")
        middles = (_middle([row for row in rows if row["label"] == label]) for label in labels)
        cells.append(
            [
                Cell(source.names.get(setting, setting)),
                number_cell(share, f"{100 * share:.0f}" if math.isfinite(share) else ""),
                *(Cell(middle.replace("-", "−")) for middle in middles),
            ]
        )
    columns = [
        Column("setting", "text"),
        Column("variance of the codes in the two components, %"),
        *(Column(f"middle of {label}", "text") for label in labels),
    ]
    caption = "What the two components hold of the codes" + (
        ", and the mean of both over the samples of each label." if labels else "."
    )
    return table("code-numbers", caption, columns, cells, file=FILE)


def _middle(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    means = (sum(number(row, axis) for row in rows) / len(rows) for axis in ("c1", "c2"))
    return ", ".join(f"{mean:.2f}" for mean in means)


def _as_number(label: str) -> tuple[int, float]:
    try:
        return (0, float(label))
    except ValueError:
        return (1, 0.0)
