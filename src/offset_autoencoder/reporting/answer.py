"""First table of the page: each setting's error, against the baselines, and what its offset is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from offset_autoencoder.config import Params, Run, Setting
from offset_autoencoder.errors import named
from offset_autoencoder.evaluation.comparison import Comparison
from offset_autoencoder.evaluation.controls import is_plain_network
from offset_autoencoder.evaluation.metrics import CONDITIONS, METRICS
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.statistics import percent
from offset_autoencoder.evaluation.summary import SettingSummary
from offset_autoencoder.reporting import noise_conditions, tables, wording
from offset_autoencoder.reporting.palette import Palette
from offset_autoencoder.reporting.plot_rows import shown_comparisons
from offset_autoencoder.reporting.result_tables import unit_of
from offset_autoencoder.reporting.tables import Cell, Column, Mark, Table

MOST_ROWS = 30
"""Rows that the page shows as it opens."""

_MOST_BASELINES = 2


def answer_table(results: ExperimentResults, palette: Palette) -> Table:
    """A row per setting, the best error first: error, change against the baselines, verdict.

    Against the first two baselines, as deployed; a cell without a change says why.
    """
    evaluate, metric = results.evaluate, METRICS[results.evaluate.metric]
    exponent, factor = unit_of(results)
    summaries = by_error(results)
    settings = [item.setting for item in summaries]
    estimates = [item.estimate for item in summaries]
    marks = [[Mark(item.estimate, palette.models[item.setting.model].name)] for item in summaries]
    means = tables.estimate_column(
        "mean", f"{wording.in_unit(metric.error_label, exponent)}, ±", estimates, factor
    )
    hints = [f"over {s.estimate.count} seeds, {s.diverged} diverged" for s in summaries]
    cells = [
        replace(cell, text="diverged" if cell.text == "-" else cell.text, hint=hint)
        for cell, hint in zip(means.cells, hints, strict=True)
    ]
    deployed = {
        baseline: family
        for (baseline, condition), family in shown_comparisons(results).items()
        if condition == CONDITIONS[""] and baseline in evaluate.baselines
    }
    columns = [
        tables.setting_column(settings),
        replace(tables.picture_column("", tables.value_axis(estimates, factor), marks), heading=""),
        replace(means, cells=cells, hint=f"{metric.label} on the test split"),
        *(
            _change_column(family, settings, results.params)
            for family in list(deployed.values())[:_MOST_BASELINES]
        ),
        _verdict_column(results, settings),
    ]
    best = "Highest" if metric.higher_is_better else "Lowest"
    first = f"{best} {metric.label} first: on" if len(settings) > 1 else "On"
    caption = (
        f"{first} the test split, as deployed, ± half the "
        f"{percent(evaluate.confidence)} interval over {results.design.covers}."
    )
    if deployed:
        caption += " Against: change of the error at the same seed, %; words go by corrected p "
        caption += "and interval."
    return Table("answer", caption, columns, "reports/comparison.csv and reports/verdicts.csv")


def by_error(results: ExperimentResults) -> list[SettingSummary]:
    """The summaries of all settings, best first; those without a mean last."""
    sign = -1 if METRICS[results.evaluate.metric].higher_is_better else 1

    def rank(item: SettingSummary) -> tuple[bool, float]:
        finite = math.isfinite(item.estimate.mean)
        return not finite, sign * item.estimate.mean if finite else 0.0

    return sorted(results.summaries, key=rank)


def _change_column(
    family: Sequence[Comparison], settings: Sequence[Setting], params: Params
) -> Column:
    """Changes of the error against one baseline, with the words of their outcomes."""
    baseline, name = family[0].baseline, family[0].baseline.model
    changes = tables.change_column("", "", [item.equivalence.change for item in family]).cells
    by_label = {
        item.setting.label: replace(
            cell, text=cell.text if item.pairs else "", word=item.outcome, hint=item.verdict
        )
        for item, cell in zip(family, changes, strict=True)
    }

    def without(setting: Setting) -> Cell:
        if setting.model == name:
            return Cell("baseline", hint="it is what the others are compared with")
        if baseline.noise_level is not None and setting.noise_level is None:
            return Cell("no noise", hint=f"it has no noise level to match {named(name)} by")
        return Cell("no match", hint=f"no setting of {named(name)} matches it")

    of_network = name
    if is_plain_network(Run(baseline, 0)) and not _has_offset(baseline, params):
        of_network = "noise" if noise_conditions.trained_with_noise(baseline) else "nothing"
    condition = noise_conditions.IN_WORDS[CONDITIONS[""]]
    return Column(
        f"against-{name}",
        f"against {of_network}",
        [by_label.get(setting.label) or without(setting) for setting in settings],
        "change",
        hint=f"against {named(name)}{noise_conditions.in_common(family)}, {condition}",
    )


def _verdict_column(results: ExperimentResults, settings: Sequence[Setting]) -> Column:
    """Column of the verdicts: each one's word, with its sentence as hint."""
    by_label = {item.setting.label: item for item in results.verdicts}
    cells = []
    for setting in settings:
        if (verdict := by_label.get(setting.label)) is not None:
            cells.append(Cell(verdict.word, word=verdict.word, hint=verdict.sentence))
        elif _has_offset(setting, results.params):
            cells.append(Cell("not judged", hint="no run finished, or its network has no code"))
        else:
            cells.append(Cell("no offset", hint="no vector is added to its code"))
    return Column("offset", "the offset is", cells, "verdict")


def _has_offset(setting: Setting, params: Params) -> bool:
    """True if vectors other than zeros are added to a setting's code, or learnt for it."""
    spec = setting.spec
    of_table = spec.offset is not None and params.offsets[spec.offset].kind != "zero"
    return of_table or spec.system_record.learns_offset
