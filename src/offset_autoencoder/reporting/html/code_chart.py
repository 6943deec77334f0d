"""The codes of test samples in two dimensions, a panel per setting, coloured by label."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from offset_autoencoder.reporting.html.charts import ROWS, SHOWN, Chart, Switch, short, spec_text
from offset_autoencoder.reporting.palette import Colour
from offset_autoencoder.reporting.tables import Cell, Column, Table

Row = Mapping[str, Any]

FILE = "reports/plots/codes.csv"
PANEL = 150  # pixels
_AXIS = 60  # what a panel's axis takes
_MOST_SWITCHES = 20
_LONGEST_LETTERS = 2
_MOST_PANELS = 24
_UNLABELLED = "all samples"


def labels_of(rows: Sequence[Row]) -> list[str]:
    """The labels of the codes, ascending, numbers as numbers; one word where there are none."""
    return sorted(dict.fromkeys(map(_label, rows)), key=lambda text: (*_as_number(text), text))


def code_chart(
    rows: Sequence[Row], names: Mapping[str, str], colours: Mapping[str, Colour]
) -> Chart | None:
    """The chart; None without rows.

    Args:
        rows: Those of ``codes.csv``.
        names: What each setting is called on the page, by its label.
        colours: Of :func:`labels_of`.
    """
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
    switchable = labelled and len(labels) <= _MOST_SWITCHES
    return Chart(
        name="codes",
        caption=caption,
        spec=_facets(shown, names, colours),
        switches=[Switch(label, colours[label].name) for label in labels] if switchable else [],
        switched="labels",
        table=_table(shown, names, labels if switchable else []),
        facet_width=PANEL + _AXIS,
    )


def _facets(
    groups: Mapping[str, Sequence[Row]], names: Mapping[str, str], colours: Mapping[str, Colour]
) -> Markup:
    import altair as alt

    labels = list(colours)
    rows: list[dict[str, Any]] = [
        {
            "setting": names.get(setting, setting),
            "sample": [str(row["sample"]) for row in group],
            "label": [_label(row) for row in group],
            "c1": [short(row["c1"]) for row in group],
            "c2": [short(row["c2"]) for row in group],
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


def _table(
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
