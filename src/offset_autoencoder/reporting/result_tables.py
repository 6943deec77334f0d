"""Tables of the results, as the page and the terminal render them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.comparison import Comparison
from offset_autoencoder.evaluation.metrics import CONDITIONS
from offset_autoencoder.evaluation.probes import PARTS as PROBED
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.statistics import Estimate, percent, probability
from offset_autoencoder.evaluation.summary import sweep_label
from offset_autoencoder.reporting.palette import Palette
from offset_autoencoder.reporting.rows import shown_comparisons, shown_in
from offset_autoencoder.reporting.tables import (
    NAN,
    UNKNOWN,
    Cell,
    Column,
    Mark,
    Shape,
    Table,
    draw_axis,
    draw_key,
    draw_row,
    estimate_cell,
    percent_axis,
    percent_cell,
    setting_cell,
    value_axis,
)
from offset_autoencoder.reporting.wording import (
    PARTS,
    better_word,
    decimals_of,
    error_name,
    exponent_of,
    in_unit,
    metric_name,
)

DEPLOYED = CONDITIONS[""]
_SHAPES: tuple[Shape, ...] = ("triangle", "circle", "square", "diamond")
_SHORT_WORDS = {
    "equivalent": "equiv.",
    "inconclusive": "inconcl.",
    "too few seeds": "few",
    "not comparable": "-",
}
_CONDITIONS = {
    DEPLOYED: "as deployed: offset on, noise off",
    "as trained": "as trained: offset on, noise on",
    "clean": "clean: offset off, noise off",
}


@dataclass(frozen=True)
class Against:
    """The comparisons with one baseline model under one of :data:`.metrics.CONDITIONS`."""

    baseline: str
    condition: str
    family: Sequence[Comparison]
    table: Table

    @property
    def deployed(self) -> bool:
        """True if it is the condition that counts; others are there to be opened."""
        return self.condition == DEPLOYED


def unit_of(results: ExperimentResults) -> tuple[int, float]:
    """In which power of ten the metric is written, and the factor that brings it there."""
    exponent = exponent_of(summary.estimate.mean for summary in results.summaries)
    return exponent, 10.0**-exponent


def setting_table(results: ExperimentResults, palette: Palette) -> Table:
    """Mean and interval of each setting, in the order of params.yaml."""
    summaries, evaluate = results.summaries, results.evaluate
    estimates = [summary.estimate for summary in summaries]
    exponent, factor = unit_of(results)
    decimals = decimals_of(estimates, factor=factor)
    axis = value_axis(estimates, factor)
    reference = _reference(results)
    rows = []
    for summary in summaries:
        runs, diverged = summary.estimate.count, summary.diverged
        mark = Mark(summary.estimate, palette.models[summary.setting.model].name)
        rows.append(
            [
                setting_cell(summary.setting),
                estimate_cell(summary.estimate, decimals=decimals, factor=factor),
                Cell(picture=draw_row(axis, [mark], line=reference)),
                Cell(f"{runs}, {diverged} diverged" if diverged else f"{runs}", runs),
            ]
        )
    name = metric_name(evaluate.metric)
    caption = (
        f"{name[:1].upper()}{name[1:]} on the test split, as deployed (offset on, noise off): mean "
        f"and half its {percent(evaluate.confidence)} interval over seeds; "
        f"{better_word(evaluate.metric)} is better."
    )
    if reference is not None:
        caption += f" The line is the mean of {evaluate.baselines[0]}."
    heading = in_unit(name, exponent)
    columns = [
        Column("setting", "setting", "text"),
        Column("mean", f"{heading}, ±"),
        Column("picture", heading, "picture", draw_axis(axis)),
        Column("runs", "runs"),
    ]
    return Table("settings", caption, columns, rows, "reports/plots/settings.csv")


def comparison_tables(results: ExperimentResults, palette: Palette) -> list[Against]:
    """A table per baseline and condition, all intervals on one axis; as deployed comes first."""
    groups = shown_comparisons(results.comparisons, results.evaluate.metric)
    changes = [item.equivalence.change for family in groups.values() for item in family]
    axis = percent_axis([_scaled(change, 100) for change in changes])
    return [
        Against(
            baseline,
            condition,
            family,
            _comparison_table(f"comparison-{place}", condition, family, results, palette, axis),
        )
        for place, ((baseline, condition), family) in enumerate(groups.items())
    ]


def _comparison_table(
    name: str,
    condition: str,
    family: Sequence[Comparison],
    results: ExperimentResults,
    palette: Palette,
    axis: Any,
) -> Table:
    evaluate = results.evaluate
    exponent, factor = unit_of(results)
    means = [_mean(results.metrics_tree, item.setting, item.metric) for item in family]
    decimals = decimals_of(means, factor=factor)
    finer = decimals_of([item.difference for item in family], factor=factor)
    coarse = min(1, decimals_of([item.equivalence.change for item in family], factor=100))
    margin = 100 * evaluate.margin
    rows = []
    for item, mean in zip(family, means, strict=True):
        change = item.equivalence.change
        mark = Mark(_scaled(change, 100), palette.css(item.outcome))
        p, difference = item.p_corrected, item.difference
        paired = bool(item.pairs)
        rows.append(
            [
                setting_cell(item.setting),
                _word_cell(item),
                Cell(picture=draw_row(axis, [mark], band=(-margin, margin), line=0)),
                estimate_cell(change, decimals=coarse, factor=100, signed=True),
                estimate_cell(mean, decimals=decimals, factor=factor),
                estimate_cell(difference, decimals=finer, factor=factor, signed=True)
                if paired
                else Cell(),
                Cell(("-" if math.isnan(p) else probability(p)) if paired else "", p),
                Cell(f"{item.wins}/{item.pairs}" if paired else "", item.wins),
                _needed_cell(item),
            ]
        )
    error, metric = error_name(evaluate.metric), metric_name(evaluate.metric)
    columns = [
        Column("setting", "setting", "text"),
        Column("verdict", "verdict", "verdict"),
        Column("picture", f"change of the {error}, %", "picture", draw_axis(axis)),
        Column("change", "change, %, ±"),
        Column("mean", f"{in_unit(metric, exponent)}, ±"),
        Column("difference", "difference, ±"),
        Column("p", "p, corrected"),
        Column("wins", "better at"),
        Column("needed", "seeds needed"),
    ]
    if not any(row[-1].text for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    baseline = family[0].baseline.model
    if any(item.baseline.label != baseline for item in family):
        baseline += " at the same noise level or swept value"
    caption = (
        f"Against {baseline}, {_CONDITIONS[condition]}, seed by seed; ± half the "
        f"{percent(evaluate.confidence)} interval. Left of zero is better; grey: within "
        f"± {margin:g} %."
    )
    return Table(name, caption, columns, rows, "reports/comparison.csv")


def verdict_table(results: ExperimentResults) -> Table:
    """The verdict on each offset, with the figures that it rests on, in %."""
    adaptations = {item.setting.label: item.word for item in results.encoder_adaptations}
    rows = []
    for item in results.verdicts:
        changes = (item.permuted.change, item.gaussian.change, item.omitted.change)
        shares = (
            percent_cell(share, signed=False)
            for share in (item.linear_decodability, item.donor_shift)
        )
        adaptation = adaptations.get(item.setting.label, "unknown")
        rows.append(
            [
                setting_cell(item.setting),
                *(percent_cell(change) for change in changes),
                *(Cell(share.short, share.sort, share.short) for share in shares),
                Cell("-" if adaptation == "unknown" else adaptation),
                Cell(item.word, word=item.word),
            ]
        )
    columns = [
        Column("setting", "setting", "text"),
        Column("permuted", "permuted ±"),
        Column("gaussian", "Gaussian ±"),
        Column("omitted", "omitted ±"),
        Column("decodability", "linear decodability"),
        Column("shift", "donor shift"),
        Column("encoder", "encoder", "text"),
        Column("verdict", "verdict", "verdict"),
    ]
    return Table("verdicts", "", columns, rows, "reports/verdicts.csv")


def intervention_table(results: ExperimentResults, palette: Palette) -> Table:
    """A row per setting that has an offset: the change of its error with each exchange, in %."""
    evaluate = results.evaluate
    items = shown_in("interventions", results.interventions, evaluate.metric)
    changes = {(item.setting.label, item.intervention.name): item.relative for item in items}
    kinds = list({item.intervention.name: item.intervention.kind for item in items}.values())
    shapes = {kind.name: shape for kind, shape in zip(kinds, itertools.cycle(_SHAPES))}
    settings = {item.setting.label: item.setting for item in items}
    axis = percent_axis([_scaled(change, 100) for change in changes.values()])
    words = {item.setting.label: item.word for item in results.verdicts}
    margin = 100 * evaluate.margin
    rows = []
    for label, setting in settings.items():
        own = {name: changes.get((label, name), UNKNOWN) for name in shapes}
        marks = [
            Mark(_scaled(change, 100), f"exchange-{name}", shapes[name])
            for name, change in own.items()
        ]
        word = words.get(label, "")
        rows.append(
            [
                setting_cell(setting),
                Cell(word, word=word),
                Cell(picture=draw_row(axis, marks, band=(-margin, margin), line=0)),
                *(percent_cell(change) for change in own.values()),
            ]
        )
    error = error_name(evaluate.metric)
    columns = [
        Column("setting", "setting", "text"),
        Column("verdict", "used as", "verdict"),
        Column("picture", f"change of the {error}, %", "picture", draw_axis(axis)),
        *(Column(kind.name, f"{kind.label}, %, ±") for kind in kinds),
    ]
    caption = (
        f"Change of the {error} on the test split when the offset of the trained network is "
        f"exchanged, % of that with its own: mean and half its {percent(evaluate.confidence)} "
        f"interval over seeds. Right of zero is worse; grey: within ± {margin:g} %."
    )
    legend = [(draw_key(f"exchange-{kind.name}", shapes[kind.name]), kind.label) for kind in kinds]
    return Table("interventions", caption, columns, rows, "reports/interventions.csv", legend)


def probe_table(results: ExperimentResults) -> Table:
    """A row per setting: what a linear probe reads from each part, and what the encoder does."""
    kinds = {"explained": "variance of x", "accuracy": "labels"}
    shares = {
        (probe.setting.label, probe.part, kind): share
        for probe in results.probes
        for kind in kinds
        if (share := getattr(probe, kind)) is not None and math.isfinite(share.mean)
    }
    parts = [
        (part, kind)
        for kind in kinds
        for part in PROBED
        if any(key[1:] == (part, kind) for key in shares)
    ]
    adaptations = {item.setting.label: item.word for item in results.encoder_adaptations}
    gaps = {item.setting.label: item.relative for item in results.generalization_gaps}
    measured = {key[0] for key in shares} | adaptations.keys() | gaps.keys()
    rows = []
    for setting in results.settings:
        if (label := setting.label) in measured:
            adaptation = adaptations.get(label, "unknown")
            rows.append(
                [
                    setting_cell(setting),
                    *(
                        estimate_cell(shares.get((label, *key), UNKNOWN), decimals=1, factor=100)
                        for key in parts
                    ),
                    Cell("" if adaptation == "unknown" else adaptation),
                    estimate_cell(gaps.get(label, UNKNOWN), decimals=0, factor=100, signed=True),
                ]
            )
    columns = [
        Column("setting", "setting", "text"),
        *(
            Column(f"{part}_{kind}", f"{kinds[kind]} from {PARTS[part]}, %, ±")
            for part, kind in parts
        ),
        Column("adaptation", "encoder adaptation", "text"),
        Column("gap", "generalization gap: test error above training error, %, ±"),
    ]
    caption = (
        "What a linear probe reads on the test split, as a share of the variance of x and of the "
        f"labels read right: mean and half its {percent(results.evaluate.confidence)} interval. "
        "Encoder adaptation: the code reinforces, cancels or ignores the offset, by the slope of "
        "the code on the offset less that of the same seed trained without."
    )
    return Table("probes", caption, columns, rows, "reports/probes.csv")


def _reference(results: ExperimentResults) -> float | None:
    """The mean of the first baseline, where it is a single setting."""
    first = results.evaluate.baselines[:1]
    means = [s.estimate.mean for s in results.summaries if [s.setting.model] == list(first)]
    return means[0] if len(means) == 1 and math.isfinite(means[0]) else None


def _word_cell(item: Comparison) -> Cell:
    """The verdict; a difference that is shown and within the margin says so."""
    word: str = item.outcome
    short = _SHORT_WORDS.get(word, word)
    if word in ("better", "worse") and item.equivalence.shown:
        word = f"{word} < {percent(item.equivalence.margin)}"
    return Cell(word, short=short, word=item.outcome)


def _needed_cell(item: Comparison) -> Cell:
    seeds = item.needed.seeds
    if seeds is None or seeds <= item.pairs:
        return Cell()
    return Cell(f"{seeds}, for {item.needed.finds}", seeds)


def _mean(tree: Mapping[str, Any], setting: Setting, metric: str) -> Estimate:
    """A metric of ``metrics.json``; NaN where it is not there."""
    leaf = tree.get(setting.model, {})
    if setting.sweep:
        leaf = leaf.get(sweep_label(setting), {})
    node = leaf.get(metric) or {}
    mean, low, high = (
        NAN if node.get(key) is None else node[key] for key in ("mean", "low", "high")
    )
    return Estimate(mean, NAN, low, high, int(node.get("runs") or 0))


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    mean, low, high = (factor * end for end in (estimate.mean, estimate.low, estimate.high))
    return Estimate(mean, NAN, low, high, estimate.count)
