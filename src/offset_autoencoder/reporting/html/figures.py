"""Charts of the page: lines that can be switched and hovered, and codes in two dimensions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.reporting.html.charts import (
    ROWS,
    SHOWN,
    Chart,
    Labels,
    Line,
    Switch,
    line_chart,
    short,
    spec_text,
    switches_of,
)
from offset_autoencoder.reporting.palette import Colour, Palette
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
