"""Rows of the csv files under ``reports/``; those of ``plots/`` are the data of the charts too."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from operator import attrgetter
from typing import Any

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation import summary
from offset_autoencoder.evaluation.comparison import Comparison
from offset_autoencoder.evaluation.controls import OWN_NETWORK
from offset_autoencoder.evaluation.examples import CODE_COLUMNS
from offset_autoencoder.evaluation.intervention_summary import InterventionSummary
from offset_autoencoder.evaluation.metrics import CONDITIONS
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.sample_errors import QUANTILES
from offset_autoencoder.reporting.noise_level_plot import label_places, shown_as
from offset_autoencoder.reporting.palette import model_colours, swept_colours
from offset_autoencoder.reporting.verdict_columns import VERDICT
from offset_autoencoder.reporting.wording import (
    PARTS,
    SAMPLES,
    full_label,
    series,
    swept_values,
)

Row = Mapping[str, Any]
Rows = tuple[Sequence[str], Sequence[Row]]  # columns and rows; a row may lack a column
Fields = Mapping[str, str | Callable[[Any], Any]]  # by column, a value's path in an item


def _estimate(name: str, path: str, *, ends: str | None = None) -> dict[str, str]:
    """A mean and its interval: ``NAME``, ``NAME_low`` and ``NAME_high``, or ``ends`` for NAME_."""
    start = f"{name}_" if ends is None else ends
    return {name: f"{path}.mean", f"{start}low": f"{path}.low", f"{start}high": f"{path}.high"}


def _percent(name: str, path: str) -> Fields:
    """A mean and its interval in percent: ``NAME``, ``low`` and ``high``."""

    def percent_of(path: str) -> Callable[[Any], float]:
        return lambda item: 100 * attrgetter(path)(item)

    return {column: percent_of(end) for column, end in _estimate(name, path, ends="").items()}


# `two_way_low` and `_high` are the interval of the difference over seeds and test samples, `change`
# the relative change of the error that equivalence is judged by, `needed_for` what `seeds_needed`
# seeds would show (without `_high` no number may be enough), `verdict` the sentence.
_COMPARISON: Fields = {
    "baseline": "baseline.model",
    "baseline_setting": "baseline.label",
    "metric": "metric",
    **_estimate("difference", "difference", ends=""),
    "two_way_low": lambda item: item.two_way and item.two_way.low,
    "two_way_high": lambda item: item.two_way and item.two_way.high,
    "p": "p",
    "p_corrected": "p_corrected",
    **_estimate("change", "equivalence.change"),
    "margin": "equivalence.margin",
    "p_equivalence": "equivalence.p",
    "p_equivalence_corrected": "equivalence.p_corrected",
    "equivalent": lambda item: None if math.isnan(item.equivalence.p) else item.equivalence.shown,
    "seeds_needed": "needed.seeds",
    "seeds_needed_low": "needed.low",
    "seeds_needed_high": "needed.high",
    "needed_for": "needed.finds",
    "wins": "wins",
    "pairs": "pairs",
    "verdict": "verdict",
}
# The setting that validation selected, and out of how many.
_SELECTED: Fields = {"candidates": "candidates", **_estimate("validation", "validation")}
# `network` is the setting's own or a control to which its offset is handed. `difference` is the
# metric under the intervention less that of the same networks with the offset left as it is;
# `change` that of the error behind it as a share of the error of the run trained with nothing.
_INTERVENTION: Fields = {
    "network": "network",
    "split": "split",
    "intervention": "intervention.name",
    "level": "intervention.level",
    "metric": "metric",
    **_estimate("mean", "estimate", ends=""),
    **_estimate("difference", "difference"),
    **_estimate("change", "change"),
    "runs": "estimate.count",
}
_ADAPTATION: Fields = {
    **_estimate("slope", "slope"),
    **_estimate("plain_slope", "plain_slope"),
    **_estimate("learnt_slope", "learnt_slope"),
    **_estimate("code_explained_by_offset", "explained"),
    "encoder_adaptation": "word",
}
_GAP: Fields = {
    "generalization_gap_metric": "metric",
    **_estimate("train", "train"),
    **_estimate("generalization_gap", "gap"),
    **_estimate("generalization_gap_relative", "relative"),
}
_PLOT: Fields = {"setting": "setting.label", "model": "setting.model"}


def _row(fields: Fields, item: Any) -> dict[str, Any]:
    return {
        column: attrgetter(get)(item) if isinstance(get, str) else get(item)
        for column, get in fields.items()
    }


def _rows(fields: Fields, items: Sequence[Any]) -> Rows:
    return list(fields), [_row(fields, item) for item in items]


def report_tables(results: ExperimentResults) -> dict[str, Rows]:
    """Each csv file of ``reports/`` by its stem; rows begin with model, setting and swept keys."""
    keys = summary.sweep_keys(results.settings)

    def led(fields: Fields, items: Sequence[Any]) -> Rows:
        rows = [
            {**summary.setting_cells(item.setting, keys), **_row(fields, item)} for item in items
        ]
        return ["model", "setting", *keys, *fields], rows

    return {
        "runs": summary.runs_table(results.runs, results.settings),
        "comparison": led(_COMPARISON, results.comparisons),
        "verdicts": led(VERDICT, results.verdicts),
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

    ``validation`` is the mean of ``evaluate.metric`` on the validation split that it was selected
    by; all else is of the test split. One row for a setting that nothing is compared with.
    """
    selected = {item.setting.label: item for item in results.selected}
    compared: dict[str, list[Row]] = {label: [] for label in selected}
    for item in results.tuned_comparisons:
        baseline = selected[item.baseline.label].candidates
        row = {**_row(_COMPARISON, item), "baseline_candidates": baseline}
        compared[item.setting.label].append(row)
    columns = ["model", "setting", *keys, *_SELECTED, "baseline_candidates", *_COMPARISON]
    return columns, [
        {**summary.setting_cells(item.setting, keys), **_row(_SELECTED, item), **row}
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
    shares = {part: {kind: _estimate(f"{part}_{kind}", kind) for kind in kinds} for part in PARTS}
    cells: dict[str, dict[str, Any]] = {}

    def add(item: Any, runs: int, *fields: Fields) -> None:
        row = cells.setdefault(item.setting.label, {"runs": runs})
        row.update(cell for each in fields for cell in _row(each, item).items())

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


def plot_tables(results: ExperimentResults) -> dict[str, Rows]:
    """Columns and rows of each csv file of ``plots/``, by its stem.

    ``change``, ``low`` and ``high`` are in percent of the baseline's error;
    ``difference`` is that of the metric; ``verdict`` is the word.
    """
    by_model = model_colours(results.settings, results.evaluate.baselines)
    by_values = swept_colours(results.settings)
    model_colour: Fields = {"colour": lambda item: by_model[item.setting.model]}
    values_colour: Fields = {"colour": lambda item: by_values[swept_values(item.setting)]}
    metric = results.evaluate.metric
    comparisons: Fields = {
        **_PLOT,
        "baseline": "baseline.model",
        "baseline_setting": "baseline.label",
        "metric": lambda _: metric,
        "condition": lambda item: CONDITIONS[item.metric.removeprefix(metric)],
        **_percent("change", "equivalence.change"),
        "difference": "difference.mean",
        "p_corrected": "p_corrected",
        "verdict": "outcome",
    }
    families = shown_comparisons(results).values()
    changes: Fields = {
        **_PLOT,
        "intervention": "intervention.name",
        "split": lambda item: SAMPLES[item.split],
        "panel": "intervention.kind.label",
        "metric": "metric",
        **_percent("change", "change"),
        "runs": "change.count",
        **model_colour,
    }
    levels: Fields = {
        **_PLOT,
        "values": lambda item: swept_values(item.setting),
        "level": "intervention.level",
        "metric": "metric",
        **_estimate("mean", "estimate", ends=""),
        "runs": "estimate.count",
        **values_colour,
    }
    order = [setting.label for setting in results.settings]

    def by_level(item: InterventionSummary) -> tuple[int, float]:
        return order.index(item.setting.label), item.intervention.level or 0.0

    return {
        "learning_curves": _curve_rows(results.curves, by_values),
        "comparison": _rows(comparisons, [item for family in families for item in family]),
        "settings": _setting_rows(results, model_colour),
        "interventions": _rows(changes, shown_in("interventions", results)),
        **{
            plot: _rows(levels, sorted(shown_in(plot, results), key=by_level))
            for plot in ("robustness", "offset_scales")
        },
        "codes": (list(CODE_COLUMNS), [asdict(point) for point in results.codes]),
    }


def shown_comparisons(results: ExperimentResults) -> dict[tuple[str, str], list[Comparison]]:
    """The comparisons that are shown, by baseline model and condition.

    As deployed; against a baseline that is trained with noise also as trained and clean, since
    as deployed its noise is off while an offset is on.
    """
    comparisons, metric = results.comparisons, results.evaluate.metric
    noisy = {item.baseline.model for item in comparisons if trained_with_noise(item.baseline)}
    groups: dict[tuple[str, str], list[Comparison]] = {}
    for item in comparisons:
        groups.setdefault((item.baseline.model, item.metric), []).append(item)
    return {
        (baseline, condition): groups[baseline, metric + suffix]
        for baseline in dict.fromkeys(item.baseline.model for item in comparisons)
        for suffix, condition in CONDITIONS.items()
        if (baseline, metric + suffix) in groups and (not suffix or baseline in noisy)
    }


def trained_with_noise(setting: Setting) -> bool:
    """True if training draws noise that the deployed model is without."""
    return setting.spec.stddev > 0 or setting.spec.system_record.learns_noise


def shown_in(plot: str, results: ExperimentResults) -> list[InterventionSummary]:
    """The interventions that a plot shows, of the settings' own networks."""
    return [
        item
        for item in results.interventions
        if item.metric == results.error_metric
        and item.intervention.kind.plot == plot
        and item.network == OWN_NETWORK
    ]


def probe_plot(results: ExperimentResults) -> list[Row]:
    """Rows of the picture of the probes: shares in %, those of labels read right ``open``."""
    colours = model_colours(results.settings, results.evaluate.baselines)
    return [
        {
            "setting": probe.setting.label,
            "panel": PARTS[probe.part],
            "open": kind == "accuracy",
            **_row(_percent("mean", kind), probe),
            "colour": colours[probe.setting.model],
        }
        for probe in results.probes
        for kind in ("accuracy", "explained")
        if getattr(probe, kind) is not None
    ]


def _curve_rows(curves: Sequence[summary.Curve], colours: Mapping[str, str]) -> Rows:
    """``plots/learning_curves.csv``, a row per point."""
    columns = ["setting", "model", "values", "epoch", "mean", "low", "high", "runs", "colour"]
    rows = []
    for curve in curves:
        values = swept_values(curve.setting)
        lead = [curve.setting.label, curve.setting.model, values]
        points = (part.tolist() for part in (curve.epochs, curve.mean, curve.low, curve.high))
        for point in zip(*points, strict=True):
            cells = (*lead, *point, curve.runs, colours[values])
            rows.append(dict(zip(columns, cells, strict=True)))
    return columns, rows


def _setting_rows(results: ExperimentResults, colour: Fields) -> Rows:
    """``plots/settings.csv``; no noise level where nothing is added or it is unknown.

    ``label_at`` is where on the axis of the metric the name of a line stands, in the row of its
    end; empty elsewhere.
    """
    summaries = results.summaries
    shown = shown_as(summaries, results.evaluate.baselines)
    names = label_places(summaries, shown)
    fields: Fields = {
        **_PLOT,
        "series": lambda item: series(item.setting),
        "name": lambda item: full_label(item.setting),
        "shown_as": lambda item: shown[item.setting.label],
        "noise_level": lambda item: item.setting.noise_level,
        "metric": "metric",
        **_estimate("mean", "estimate", ends=""),
        "runs": "estimate.count",
        "diverged": "diverged",
        "label_at": lambda item: names.get(item.setting.label),
        **colour,
    }
    return _rows(fields, summaries)
