"""Rows of the csv files of ``reports/``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from offset_autoencoder.evaluation import summary
from offset_autoencoder.evaluation.controls import CONTROLS, NOTHING, Network
from offset_autoencoder.evaluation.offset_effects import (
    AGAINST,
    CHANGES,
    DONOR_SHIFT,
    InterventionSummary,
)
from offset_autoencoder.evaluation.offset_verdict import BEYOND, OffsetVerdict
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.sample_errors import QUANTILES
from offset_autoencoder.reporting.rows import Fields, Row, Rows, estimate, row_of
from offset_autoencoder.reporting.wording import PARTS, short_name

Get = Callable[[OffsetVerdict], Any]


def _unit(item: OffsetVerdict | InterventionSummary) -> str:
    return NOTHING if item.has_baseline else "own error"


# `two_way_low` and `_high` are the interval of the difference over seeds and test samples, `change`
# the relative change of the error that equivalence is judged by, `needed_for` what `seeds_needed`
# seeds would show (without `_high` no number may be enough), `interval_floor` half the interval of
# the change that is left with any number of seeds, `verdict` the outcome in a sentence.
_COMPARISON: Fields = {
    "baseline": "baseline.model",
    "baseline_setting": "baseline.label",
    "outcome": "outcome",
    "metric": "metric",
    **estimate("difference", "difference", ends=""),
    "two_way_low": lambda item: item.two_way and item.two_way.low,
    "two_way_high": lambda item: item.two_way and item.two_way.high,
    "p": "p",
    "p_corrected": "p_corrected",
    **estimate("change", "equivalence.change"),
    "margin": "equivalence.margin",
    "p_equivalence": "equivalence.p",
    "p_equivalence_corrected": "equivalence.p_corrected",
    "equivalent": lambda item: None if math.isnan(item.equivalence.p) else item.equivalence.shown,
    "seeds_needed": "needed.seeds",
    "seeds_needed_low": "needed.low",
    "seeds_needed_high": "needed.high",
    "needed_for": "needed.finds",
    "interval_floor": "needed.floor",
    "wins": "wins",
    "pairs": "pairs",
    "verdict": "verdict",
}
# The setting that validation selected, out of how many, and what at how many seeds.
_SELECTED: Fields = {
    "candidates": "candidates",
    "validation_metric": "metric",
    **estimate("validation", "validation"),
    "picked": "picked",
}
# `network` is the setting's own or a control to which its offset is handed. `difference` is the
# metric under the intervention less that of the same networks with the offset left as it is;
# `change` that of the error behind it as a share of the error of `unit`: of the run trained with
# nothing, or the setting's own as deployed where there is none.
_INTERVENTION: Fields = {
    "network": "network",
    "split": "split",
    "intervention": "intervention.name",
    "level": "intervention.level",
    "metric": "metric",
    **estimate("mean", "estimate", ends=""),
    **estimate("difference", "difference"),
    **estimate("change", "change"),
    "unit": _unit,
    "runs": "estimate.count",
}
_ADAPTATION: Fields = {
    **estimate("slope", "slope"),
    **estimate("plain_slope", "plain_slope"),
    **estimate("learnt_slope", "learnt_slope"),
    **estimate("code_explained_by_offset", "explained"),
    "encoder_adaptation": "word",
}
_GAP: Fields = {
    "generalization_gap_metric": "metric",
    **estimate("train", "train"),
    **estimate("generalization_gap", "gap"),
    **estimate("generalization_gap_relative", "relative"),
}
_ENDS = {"": "mean", "_low": "low", "_high": "high"}
_TESTED = {end: f"change.{path}" for end, path in _ENDS.items()} | {
    f"_{path}": path for path in ("p_more", "p_less", "p_same", "shift")
}


def _optional(name: str, paths: Mapping[str, str], get: Get) -> dict[str, Get]:
    """Columns by the ends of their names; empty where a verdict has nothing to get."""

    def value_at(path: str) -> Get:
        return lambda item: None if (found := get(item)) is None else attrgetter(path)(found)

    return {f"{name}{end}": value_at(path) for end, path in paths.items()}


def _effect(name: str) -> dict[str, Get]:
    return _optional(name, _TESTED, lambda item: item.effects[name])


def _beyond(name: str, control: Network) -> dict[str, Get]:
    column = f"{name}_beyond_{short_name(control)}"
    return _optional(column, _TESTED, lambda item: item.beyond.get(control, {}).get(name))


def _against(name: str) -> dict[str, Get]:
    return _optional(name, _ENDS, lambda item: item.against.get(name))


_FAMILIES = (
    *(_effect(name) for name in (*CHANGES, DONOR_SHIFT)),
    *(_beyond(name, control) for control in CONTROLS for name in BEYOND),
    *(_against(name) for name in AGAINST),
)
# Of each exchange, on unseen samples and, `_train`, on training samples, the change of the error in
# the unit, the error of the run trained with nothing, or its own; the corrected one-sided p
# that it is above the margin, below its negative and within it; and which is shown. Then by how
# much some of them exceed those of the controls. `against_`: the error less that of the other, as a
# share of that, as deployed (noise off) and as trained (noise on).
_VERDICT: Mapping[str, str | Get] = {
    "verdict": "word",
    "metric": "metric",
    "seeds": "seeds",
    "margin": "margin",
    "unit": _unit,
    **{column: get for family in _FAMILIES for column, get in family.items()},
    **{f"linear_decodability{end}": f"linear_decodability.{path}" for end, path in _ENDS.items()},
    "unsettled": "unsettled",
    "seeds_needed": "seeds_needed",
    "interval_floor": "floor",
    "sentence": "sentence",
}


def report_tables(results: ExperimentResults) -> dict[str, Rows]:
    """Each csv file of ``reports/`` by its stem; rows begin with model, setting and swept keys."""
    keys = summary.sweep_keys(results.settings)

    def led(fields: Fields, items: Sequence[Any]) -> Rows:
        rows = [
            {**summary.setting_cells(item.setting, keys), **row_of(fields, item)} for item in items
        ]
        # The verdict on an offset stands before what was swept, where a printed table shows it.
        leading = ["model", "setting", *(["verdict"] if fields is _VERDICT else []), *keys]
        return [*dict.fromkeys([*leading, *fields])], rows

    return {
        "runs": summary.runs_table(results.runs, results.settings),
        "comparison": led(_COMPARISON, results.comparisons),
        "verdicts": led(_VERDICT, results.verdicts),
        "interventions": led(_INTERVENTION, results.interventions),
        "probes": _probe_rows(results, keys),
        "tuned": _tuned_rows(results, keys),
        "errors/thresholds": _threshold_rows(results, keys),
    }


def _threshold_rows(results: ExperimentResults, keys: Sequence[str]) -> Rows:
    """``errors/thresholds.csv``: by run, quantiles of the errors of its validation samples."""
    names = [f"quantile_{q:g}" for q in QUANTILES]
    columns = ["id", "model", "setting", *keys, "seed", "metric", *names]
    return columns, [
        {
            "id": row.id,
            **summary.setting_cells(row.run.setting, keys),
            "seed": row.run.seed,
            "metric": errors.metric,
            **dict(zip(names, errors.thresholds, strict=True)),
        }
        for row, errors in results.thresholds
    ]


def _tuned_rows(results: ExperimentResults, keys: Sequence[str]) -> Rows:
    """``tuned.csv``: the comparisons of the settings that validation selected, with their budgets.

    ``validation`` is the mean on the validation split, of ``validation_metric``, that it was
    selected by; all else is of the test split. One row for a setting that nothing is compared with.
    """
    selected = {item.setting.label: item for item in results.selected}
    compared: dict[str, list[Row]] = {label: [] for label in selected}
    for item in results.tuned_comparisons:
        baseline = selected[item.baseline.label].candidates
        row = {**row_of(_COMPARISON, item), "baseline_candidates": baseline}
        compared[item.setting.label].append(row)
    columns = ["model", "setting", *keys, *_SELECTED, "baseline_candidates", *_COMPARISON]
    return columns, [
        {**summary.setting_cells(item.setting, keys), **row_of(_SELECTED, item), **row}
        for label, item in selected.items()
        for row in compared[label] or [{}]
    ]


def _probe_rows(results: ExperimentResults, keys: Sequence[str]) -> Rows:
    """``probes.csv``, a row per setting that has any result, in the order of the settings.

    For each part (offset, code, their sum, both side by side) ``PART_explained`` is the share
    of the variance of x that a ridge regression reads from it on the test split, and
    ``PART_accuracy`` the share of the labels; ``offset_over`` says whether the offset's
    intervals are over seeds or, for one table shared by all seeds, over test samples. ``slope``
    to ``code_explained_by_offset`` measure how the encoder adapts to the offset;
    ``encoder_adaptation`` is the word for ``learnt_slope``, ``unknown`` without one.
    ``generalization_gap`` is by what the training split is better. A cell is empty where a
    setting has no such part.
    """
    probes = results.probes
    kinds = ("explained", "accuracy")[: 1 + any(item.accuracy is not None for item in probes)]
    shares = {part: {kind: estimate(f"{part}_{kind}", kind) for kind in kinds} for part in PARTS}
    cells: dict[str, dict[str, Any]] = {}

    def add(item: Any, runs: int, *fields: Fields) -> None:
        row = cells.setdefault(item.setting.label, {"runs": runs})
        row.update(cell for each in fields for cell in row_of(each, item).items())

    for probe in probes:
        known = [kind for kind in kinds if getattr(probe, kind) is not None]
        over: Fields = {"offset_over": "over"} if probe.part == "offset" else {}
        add(probe, probe.explained.count, over, *(shares[probe.part][kind] for kind in known))
    for adaptation in results.encoder_adaptations:
        add(adaptation, adaptation.slope.count, _ADAPTATION)
    for gap in results.generalization_gaps:
        add(gap, gap.gap.count, _GAP)
    every = [*(fields for of in shares.values() for fields in of.values()), _ADAPTATION, _GAP]
    columns = ["model", "setting", *keys, "runs", "offset_over", "encoder_adaptation"]
    columns += [name for fields in every for name in fields]
    return list(dict.fromkeys(columns)), [
        {**summary.setting_cells(setting, keys), **cells[setting.label]}
        for setting in results.settings
        if setting.label in cells
    ]
