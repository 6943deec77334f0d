"""Tables of the results, as the page and the terminal render them."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from offset_autoencoder.errors import named
from offset_autoencoder.evaluation.comparison import Comparison, Outcome
from offset_autoencoder.evaluation.controls import CONTROLS
from offset_autoencoder.evaluation.metrics import CONDITIONS, METRICS
from offset_autoencoder.evaluation.offset_effects import AGAINST, CHANGES, DONOR_SHIFT, TRAIN
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.sign_flips import smallest_p
from offset_autoencoder.evaluation.statistics import percent, probability, share_percent
from offset_autoencoder.evaluation.summary import summarise
from offset_autoencoder.reporting import noise_conditions, tables, wording
from offset_autoencoder.reporting.palette import Palette
from offset_autoencoder.reporting.plot_rows import shown_comparisons, shown_in
from offset_autoencoder.reporting.tables import UNKNOWN, Axis, Cell, Column, Mark, Table

DEPLOYED = CONDITIONS[""]
_SHAPES: tuple[tables.Shape, ...] = ("triangle", "circle", "square", "diamond")
_EXCHANGES = {
    "permuted": "permuted",
    "gaussian": "Gaussian",
    "mean": "mean vector",
    "omitted": "omitted",
}


@dataclass(frozen=True)
class Against:
    """The comparisons with one baseline model under one of :data:`.metrics.CONDITIONS`.

    ``conditions`` is the change under each of them side by side: as deployed alone, and only
    against a baseline that is trained with noise.
    """

    baseline: str
    condition: str
    family: Sequence[Comparison]
    table: Table
    conditions: Table | None = None

    @property
    def deployed(self) -> bool:
        """True if it is the condition that counts; others are there to be opened."""
        return self.condition == DEPLOYED

    @property
    def counts(self) -> str:
        """Counts of the outcomes: ``"3 better, 1 inconclusive of 4 settings"``."""
        words = Counter(item.outcome for item in self.family)
        counts = ", ".join(f"{words[word]} {word}" for word in get_args(Outcome) if words[word])
        return f"{counts} of {len(self.family)} settings"


def unit_of(results: ExperimentResults) -> tuple[int, float]:
    """In which power of ten the metric is written, and the factor that brings it there."""
    exponent = wording.exponent_of(summary.estimate.mean for summary in results.summaries)
    return exponent, 10.0**-exponent


def setting_table(results: ExperimentResults, palette: Palette) -> Table:
    """Mean and interval of each setting, in the order of params.yaml."""
    summaries, evaluate = results.summaries, results.evaluate
    name, (exponent, factor) = METRICS[evaluate.metric].label, unit_of(results)
    caption = (
        f"{name[:1].upper()}{name[1:]} on the test split, as deployed (offset on, noise off): mean "
        f"and half its {percent(evaluate.confidence)} interval over {results.design.covers}; "
        f"{wording.better_word(evaluate.metric)} is better."
    )
    estimates = [summary.estimate for summary in summaries]
    marks = [[Mark(item.estimate, palette.models[item.setting.model].name)] for item in summaries]
    # A line at the mean of the first baseline, where it is a single setting.
    first = evaluate.baselines[:1]
    means = [item.estimate.mean for item in summaries if [item.setting.model] == list(first)]
    reference = means[0] if len(means) == 1 and math.isfinite(means[0]) else None
    if reference is not None:
        caption += f" The line is the mean of {named(first[0])}."
    heading = wording.in_unit(name, exponent)
    counts = [(item.estimate.count, item.diverged) for item in summaries]
    two_way = results.over_samples_too.values()
    columns = [
        tables.setting_column(item.setting for item in summaries),
        tables.estimate_column("mean", f"{heading}, ±", estimates, factor),
        *noise_conditions.noise_on_column(results, factor),
        tables.picture_column(heading, tables.value_axis(estimates, factor), marks, line=reference),
        Column("runs", "runs", [Cell(f"{n}, {d} diverged" if d else f"{n}", n) for n, d in counts]),
    ]
    if any(two_way):
        own = [estimate or UNKNOWN for estimate in two_way]
        heading = "over test samples too, ±"
        columns.insert(2, tables.estimate_column("two_way", heading, own, factor))
    return Table("settings", caption, columns, "reports/plots/settings.csv")


def selecting_metric(results: ExperimentResults, name: str) -> tuple[str, float]:
    """The metric that selects, by that name with its unit, and its factor.

    The name is empty where it is the metric that is compared.
    """
    if results.error_metric == results.evaluate.metric:
        return "", unit_of(results.tuned)[1]
    exponent = wording.exponent_of(item.validation.mean for item in results.selected)
    return f"{wording.in_unit(name, exponent)} ", 10.0**-exponent


def tuned_table(results: ExperimentResults, palette: Palette) -> Table:
    """The settings that validation selected, and by what; the keys of ``select`` in the caption."""
    table, error = setting_table(results.tuned, palette), METRICS[results.error_metric].label
    selecting, factor = selecting_metric(results, error)
    by_label = {item.setting.label: item for item in results.selected}
    selected = [by_label[item.setting.label] for item in results.tuned.summaries]
    validation = [item.validation for item in selected]
    counts = [item.candidates for item in selected]
    picked = [item.picked if len(item.picks) > 1 else "" for item in selected]
    heading = f"{selecting}on the validation split, ±"
    columns = [
        *table.columns,
        *([tables.text_column("picked", "values (seeds)", picked)] if any(picked) else []),
        tables.estimate_column("validation", heading, validation, factor),
        Column("candidates", "selected out of", [Cell(f"{count}", count) for count in counts]),
    ]
    keys = " and ".join(results.evaluate.select)
    by = f" ({error})" if selecting else ""
    caption = f"Selected by validation{by}: {keys}. {table.caption}"
    return Table("tuned", caption, columns, "reports/tuned.csv")


def comparison_tables(
    results: ExperimentResults, palette: Palette, name: str = "comparison"
) -> list[Against]:
    """A table per baseline and condition, all intervals on one axis; as deployed comes first.

    ``name`` begins the names of the tables, and is that of their file.
    """
    groups = shown_comparisons(results)
    axis = tables.percent_axis(
        item.equivalence.change for family in groups.values() for item in family
    )
    found: list[Against] = []
    for (baseline, condition), family in groups.items():
        place = f"{name}-{len(found)}"
        table = _comparison_table(place, condition, family, results, palette, axis)
        table = replace(table, file=f"reports/{name}.csv")
        found.append(Against(baseline, condition, family, table))
    conditions: dict[str, dict[str, Table]] = {}
    for item in found:
        conditions.setdefault(item.baseline, {})[item.condition] = item.table
    return [
        replace(
            item, conditions=noise_conditions.side_by_side(item.family, conditions[item.baseline])
        )
        if item.deployed and len(conditions[item.baseline]) > 1
        else item
        for item in found
    ]


def _comparison_table(
    name: str,
    condition: str,
    family: Sequence[Comparison],
    results: ExperimentResults,
    palette: Palette,
    axis: Axis,
) -> Table:
    evaluate, metric = results.evaluate, METRICS[results.evaluate.metric]
    exponent, factor = unit_of(results)
    changes = [item.equivalence.change for item in family]
    coarse = min(1, wording.decimals_of(changes, factor=100))
    settings = [item.setting for item in results.summaries]
    summaries = summarise(results.runs, settings, family[0].metric, results.design)
    estimates = {summary.setting.label: summary.estimate for summary in summaries}
    means = [estimates[item.setting.label] for item in family]
    marks = [[Mark(item.equivalence.change, palette.css(item.outcome))] for item in family]
    of_pairs = [
        tables.estimate_column(
            "difference", "difference, ±", [item.difference for item in family], factor, signed=True
        ),
        Column("p", "p, corrected", [_p_cell(item) for item in family]),
        Column("wins", "better at", [Cell(f"{i.wins}/{i.pairs}", i.wins) for i in family]),
    ]
    columns = [
        tables.setting_column(item.setting for item in family),
        Column("verdict", "verdict", [_word_cell(item) for item in family], "verdict"),
        tables.picture_column(
            f"change of the {metric.error_label}, %",
            axis,
            marks,
            band=(-evaluate.margin, evaluate.margin),
            line=0,
        ),
        tables.estimate_column("change", "change, %, ±", changes, 100, coarse, signed=True),
        tables.estimate_column(
            "mean", f"{wording.in_unit(metric.label, exponent)}, ±", means, factor
        ),
    ]
    for column in of_pairs:
        cells = zip(column.cells, family, strict=True)
        shown = [cell if item.pairs else Cell() for cell, item in cells]
        columns.append(replace(column, cells=shown))
    needed = [_needed_cell(item) for item in family]
    if any(cell.text for cell in needed):
        columns.append(Column("needed", "seeds needed at most, to show", needed))
    against = f"{named(family[0].baseline.model)}{noise_conditions.in_common(family)}"
    caption = (
        f"Against {against}, {noise_conditions.IN_WORDS[condition]}, seed by seed; ± half the "
        f"{percent(evaluate.confidence)} interval over {results.design.covers}. Left of zero is "
        f"better; grey: within ± {100 * evaluate.margin:g} %. {tables.PERCENT_AXIS}"
    )
    if any("≤" in cell.text for column in columns if column.key == "p" for cell in column.cells):
        caption += " p ≤: the least that the exact test of so many seeds allows."
    return Table(name, caption, columns)


def _word_cell(item: Comparison) -> Cell:
    """The verdict; a difference that is shown and within the margin says so."""
    small = item.outcome in ("better", "worse") and item.equivalence.shown
    within = f" < {percent(item.equivalence.margin)}" if small else ""
    return Cell(f"{item.outcome}{within}", word=item.outcome)


def _p_cell(item: Comparison) -> Cell:
    """The corrected p; one that so many seeds cannot fall below is marked as such."""
    p = item.p_corrected
    if math.isnan(p):
        return Cell("-", p)
    if p > 1.0001 * smallest_p(item.pairs):
        return Cell(probability(p), p)
    return Cell(f"≤{probability(p)}", p, hint=f"the least p that {item.pairs} seeds allow")


def _needed_cell(item: Comparison) -> Cell:
    seeds = item.needed.seeds
    if item.needed.none_settles and not item.is_settled:
        floor = item.needed.floor
        left = f"± {share_percent(floor)} is left of the interval with any number of seeds"
        return Cell("no number", hint=left) if floor else Cell("> 100,000")
    if seeds is None or seeds <= item.pairs:
        return Cell()
    return Cell(f"{seeds}, {item.needed.finds}", seeds, hint=item.needed.span)


def verdict_table(results: ExperimentResults) -> Table:
    """The verdict on each offset, with the figures that it rests on, in %."""
    verdicts, adaptations = results.verdicts, _adaptations(results)
    decodability = [item.linear_decodability for item in verdicts]
    words = [adaptations.get(item.setting.label, "-") for item in verdicts]
    columns = [
        tables.setting_column(item.setting for item in verdicts),
        tables.word_column("verdict", [item.word for item in verdicts]),
    ]
    for name in CHANGES:
        samples = "training" if name.endswith(TRAIN) else "unseen"
        heading = f"{samples}: {_EXCHANGES[name.removesuffix(TRAIN)]}, ±"
        changes = [item.effects[name].change for item in verdicts]
        columns.append(tables.change_column(name, heading, changes))
    for control in CONTROLS:
        for name in ("permuted", f"permuted{TRAIN}"):
            samples = "training" if name.endswith(TRAIN) else "unseen"
            of_control = [item.controls.get(control, {}).get(name, UNKNOWN) for item in verdicts]
            heading = f"{control}, {samples}: permuted, ±"
            key = f"{name}_{wording.short_name(control)}"
            columns.append(tables.change_column(key, heading, of_control))
    shifts = {"shift": "donor shift"} | {
        f"shift_{wording.short_name(control)}": f"donor shift, {control}" for control in CONTROLS
    }
    own = [item.effects[DONOR_SHIFT].change for item in verdicts]
    of_controls = (
        [item.controls.get(control, {}).get(DONOR_SHIFT, UNKNOWN) for item in verdicts]
        for control in CONTROLS
    )
    for (key, heading), shares in zip(shifts.items(), (own, *of_controls), strict=True):
        columns.append(tables.share_column(key, heading, shares))
    columns.append(tables.share_column("decodability", "linear decodability", decodability))
    for name, (control, suffix) in AGAINST.items():
        heading = f"against {control}, noise {'on' if suffix else 'off'}, ±"
        changes = [item.against.get(name, UNKNOWN) for item in verdicts]
        columns.append(tables.change_column(name, heading, changes))
    columns.append(tables.text_column("encoder", "encoder", words))
    evaluate, error = results.evaluate, results.error_label
    caption = (
        f"Change of the {error}, % of that of {wording.unit_of_changes(verdicts)}: mean and half "
        f"its {percent(evaluate.confidence)} interval over {results.design.over}, on unseen "
        "samples (the test split) and on training samples, with permuted vectors (another "
        "sample's), a Gaussian draw of the same mean and covariance, the mean vector and none. "
        "Then with permuted ones in networks trained with nothing and with Gaussian noise of the "
        "same rms, to which the same vectors are handed. "
        "Donor shift: how far of the way to the other sample its vector takes the "
        f"reconstruction, %. Last: the {error} less that of the network trained with nothing, or "
        "with noise, % of that; noise off: as deployed, noise on: as trained."
    )
    return Table("verdicts-numbers", caption, columns, "reports/verdicts.csv")


def intervention_table(results: ExperimentResults) -> Table:
    """A row per setting that has an offset: the change of its error with each exchange, in %."""
    evaluate, error = results.evaluate, results.error_label
    items = shown_in("interventions", results)
    changes = {
        (item.setting.label, item.split, item.intervention.name): item.change for item in items
    }
    kinds = list({item.intervention.name: item.intervention.kind for item in items}.values())
    shapes = dict(zip((kind.name for kind in kinds), itertools.cycle(_SHAPES)))
    settings = {item.setting.label: item.setting for item in items}
    axis = tables.percent_axis(changes.values())
    pictures, numbers, splits = [], [], {item.split for item in items}
    shown = {split: name for split, name in wording.SAMPLES.items() if split in splits}
    for split, samples in shown.items():
        own = {
            kind.name: [changes.get((label, split, kind.name), UNKNOWN) for label in settings]
            for kind in kinds
            if any((label, split, kind.name) in changes for label in settings)
        }
        marks = [
            [Mark(own[name][place], f"exchange-{name}", shapes[name]) for name in own]
            for place in range(len(settings))
        ]
        heading, band = f"{samples}, %", (-evaluate.margin, evaluate.margin)
        pictures.append(tables.picture_column(heading, axis, marks, band=band, line=0))
        numbers += [
            tables.change_column(
                f"{kind.name}_{split}", f"{samples}: {kind.label}, %, ±", own[kind.name]
            )
            for kind in kinds
            if kind.name in own
        ]
    words = {item.setting.label: item.word for item in results.verdicts}
    columns = [
        tables.setting_column(settings.values()),
        *([tables.word_column("used as", [words.get(own, "") for own in settings])] * bool(words)),
        *pictures,
        *numbers,
    ]
    caption = (
        f"Change of the {error} when the offset of the trained network is exchanged, on "
        f"{' and on '.join(shown.values())}, % of that of {wording.unit_of_changes(items)}: "
        f"mean and half its {percent(evaluate.confidence)} interval over {results.design.over}. "
        f"Right of zero is worse; grey: within ± {100 * evaluate.margin:g} %. "
        f"{tables.PERCENT_AXIS}"
    )
    legend = [
        (tables.draw_key(f"exchange-{kind.name}", shapes[kind.name]), kind.label) for kind in kinds
    ]
    return Table("interventions", caption, columns, "reports/interventions.csv", legend)


def probe_table(results: ExperimentResults) -> Table:
    """A row per setting: what a linear probe reads from each part, and what the encoder does."""
    kinds = {"explained": "variance of x", "accuracy": "labels"}
    shares = {
        (probe.part, kind, probe.setting.label): share
        for probe in results.probes
        for kind in kinds
        if (share := getattr(probe, kind)) is not None and math.isfinite(share.mean)
    }
    over_samples = any(probe.over == "samples" for probe in results.probes)
    adaptations = _adaptations(results)
    gaps = {item.setting.label: item.relative for item in results.generalization_gaps}
    adapted = (item.setting.label for item in results.encoder_adaptations)
    measured = {*(label for *_, label in shares), *adapted, *gaps}
    settings = [setting for setting in results.settings if setting.label in measured]
    labels = [setting.label for setting in settings]
    columns = [tables.setting_column(settings)]
    for kind, what in kinds.items():
        for part, where in wording.PARTS.items():
            own = [shares.get((part, kind, label), UNKNOWN) for label in labels]
            if any(share is not UNKNOWN for share in own):
                heading = f"{what} from {where}, %, ±"
                columns.append(tables.estimate_column(f"{part}_{kind}", heading, own, 100, 1))
    words = [adaptations.get(label, "") for label in labels]
    own = [gaps.get(label, UNKNOWN) for label in labels]
    heading = "generalization gap: test error above training error, %, ±"
    columns += [
        tables.text_column("adaptation", "encoder adaptation", words),
        tables.estimate_column("gap", heading, own, 100, 0, signed=True),
    ]
    caption = (
        "What a linear probe reads on the test split, as a share of the variance of x and of the "
        f"labels read right: mean and half its {percent(results.evaluate.confidence)} interval"
        f"{', over test samples for vectors that all seeds share' * over_samples}. "
        "Encoder adaptation: the code reinforces, cancels or ignores the offset, by the slope of "
        "the code on the offset less that of the same seed trained without."
    )
    return Table("probes", caption, columns, "reports/probes.csv")


def _adaptations(results: ExperimentResults) -> dict[str, str]:
    """The word for what the encoder does, by setting; without those that are not known."""
    words = {item.setting.label: item.word for item in results.encoder_adaptations}
    return {label: word for label, word in words.items() if word != "unknown"}
