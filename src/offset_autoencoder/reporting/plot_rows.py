"""Rows of the csv files of ``reports/plots/``, which are the data of the charts, too."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation import summary
from offset_autoencoder.evaluation.comparison import Comparison
from offset_autoencoder.evaluation.controls import OWN_NETWORK
from offset_autoencoder.evaluation.examples import CODE_COLUMNS
from offset_autoencoder.evaluation.metrics import CONDITIONS, higher_is_better
from offset_autoencoder.evaluation.offset_effects import InterventionSummary
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.reporting import wording
from offset_autoencoder.reporting.noise_conditions import trained_with_noise
from offset_autoencoder.reporting.palette import model_colours, swept_colours
from offset_autoencoder.reporting.rows import (
    Fields,
    Row,
    Rows,
    estimate,
    percent_of,
    row_of,
    rows_of,
)

_PLOT: Fields = {"setting": "setting.label", "model": "setting.model"}


def plot_tables(results: ExperimentResults) -> dict[str, Rows]:
    """Columns and rows of each csv file of ``plots/``, by its stem.

    ``change``, ``low`` and ``high`` are in percent of the baseline's error;
    ``difference`` is that of the metric; ``verdict`` is the word.
    """
    by_model = model_colours(results.settings, results.evaluate.baselines)
    by_values = swept_colours(results.settings)
    model_colour: Fields = {"colour": lambda item: by_model[item.setting.model]}
    values_colour: Fields = {"colour": lambda item: by_values[wording.swept_values(item.setting)]}
    metric = results.evaluate.metric
    comparisons: Fields = {
        **_PLOT,
        "baseline": "baseline.model",
        "baseline_setting": "baseline.label",
        "metric": lambda _: metric,
        "condition": lambda item: CONDITIONS[item.metric.removeprefix(metric)],
        **percent_of("change", "equivalence.change"),
        "difference": "difference.mean",
        "p_corrected": "p_corrected",
        "verdict": "outcome",
    }
    families = shown_comparisons(results).values()
    changes: Fields = {
        **_PLOT,
        "intervention": "intervention.name",
        "split": lambda item: wording.SAMPLES[item.split],
        "panel": "intervention.kind.label",
        "metric": "metric",
        **percent_of("change", "change"),
        "runs": "change.count",
        **model_colour,
    }
    levels: Fields = {
        **_PLOT,
        "values": lambda item: wording.swept_values(item.setting),
        "level": "intervention.level",
        "metric": "metric",
        **estimate("mean", "estimate", ends=""),
        "runs": "estimate.count",
        **values_colour,
    }
    order = [setting.label for setting in results.settings]

    def by_level(item: InterventionSummary) -> tuple[int, float]:
        return order.index(item.setting.label), item.intervention.level or 0.0

    return {
        "learning_curves": _curve_rows(results.curves, by_values),
        "comparison": rows_of(comparisons, [item for family in families for item in family]),
        "settings": _setting_rows(results, model_colour),
        "interventions": rows_of(changes, shown_in("interventions", results)),
        **{
            plot: rows_of(levels, sorted(shown_in(plot, results), key=by_level))
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
            "panel": wording.PARTS[probe.part],
            "open": kind == "accuracy",
            **row_of(percent_of("mean", kind), probe),
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
        values = wording.swept_values(curve.setting)
        lead = [curve.setting.label, curve.setting.model, values]
        points = (part.tolist() for part in (curve.epochs, curve.mean, curve.low, curve.high))
        for point in zip(*points, strict=True):
            cells = (*lead, *point, curve.runs, colours[values])
            rows.append(dict(zip(columns, cells, strict=True)))
    return columns, rows


def _setting_rows(results: ExperimentResults, colour: Fields) -> Rows:
    """``plots/settings.csv``; no noise level where nothing is added or it is unknown.

    ``two_way_low`` and ``two_way_high`` are the interval over seeds and test samples, where one
    split is used. ``label_at`` is where on the axis of the metric the name of a line stands, in
    the row of its end; empty elsewhere.
    """
    summaries, two_way = results.summaries, results.over_samples_too
    shown = shown_as(summaries, results.evaluate.baselines)
    names = label_places(summaries, shown)
    fields: Fields = {
        **_PLOT,
        "series": lambda item: wording.series(item.setting),
        "name": lambda item: wording.full_label(item.setting),
        "shown_as": lambda item: shown[item.setting.label],
        "noise_level": lambda item: item.setting.noise_level,
        "metric": "metric",
        **estimate("mean", "estimate", ends=""),
        "two_way_low": lambda item: (both := two_way[item.setting.label]) and both.low,
        "two_way_high": lambda item: (both := two_way[item.setting.label]) and both.high,
        "runs": "estimate.count",
        "diverged": "diverged",
        "label_at": lambda item: names.get(item.setting.label),
        **colour,
    }
    return rows_of(fields, summaries)


def shown_as(
    summaries: Sequence[summary.SettingSummary], baselines: Sequence[str]
) -> dict[str, str]:
    """The form in which each setting is drawn against its noise level, by label.

    On a ``line`` where its series has several levels; as a ``reference`` across the whole
    picture where it is a baseline without a level; else as a ``point`` by its own name.
    """
    settings = [item.setting for item in summaries]
    levels: dict[str, set[float | None]] = {}
    for setting in settings:
        levels.setdefault(wording.series(setting), set()).add(setting.noise_level)

    def how(setting: Setting) -> str:
        if setting.noise_level is None:
            return "reference" if setting.model in baselines else "point"
        return "line" if len(levels[wording.series(setting)] - {None}) > 1 else "point"

    return {setting.label: how(setting) for setting in settings}


def label_places(
    summaries: Sequence[summary.SettingSummary], shown: Mapping[str, str]
) -> dict[str, float]:
    """By setting, at which value the name of the line that ends there stands; apart from others."""
    finite = [item for item in summaries if math.isfinite(item.estimate.mean)]
    ends: dict[str, summary.SettingSummary] = {}
    for item in sorted(finite, key=lambda item: item.setting.noise_level or 0):
        how = shown[item.setting.label]
        if how != "point":
            ends[wording.series(item.setting) if how == "line" else item.setting.label] = item
    if "line" not in shown.values() or not ends:
        return {}
    log = is_logarithmic(summaries)
    forth, back = (math.log10, functools.partial(pow, 10.0)) if log else (float, float)
    places = [forth(item.estimate.mean) for item in finite]
    # The height of a name is this share of that of its chart.
    apart = 0.036 * ((max(places) - min(places)) or 1.0)
    ordered = sorted(ends.values(), key=lambda item: item.estimate.mean)
    moved = spread([forth(item.estimate.mean) for item in ordered], apart)
    return {item.setting.label: back(at) for item, at in zip(ordered, moved, strict=True)}


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Ascending places, moved as little as it takes for each to be ``apart`` from the next."""

    def bottom(group: Sequence[float]) -> float:
        return sum(group) / len(group) - apart * (len(group) - 1) / 2

    groups: list[list[float]] = []
    for place in places:
        groups.append([place])
        while (
            len(groups) > 1
            and bottom(groups[-1]) < bottom(groups[-2]) + apart * (len(groups[-2]) - 1) + apart
        ):
            last = groups.pop()
            groups[-1] += last
    return [bottom(group) + apart * index for group in groups for index in range(len(group))]


def is_logarithmic(summaries: Sequence[summary.SettingSummary]) -> bool:
    """True if the axis of these metrics is logarithmic: errors, all of them above zero."""
    positive = all(s.estimate.mean > 0 for s in summaries if math.isfinite(s.estimate.mean))
    return positive and not higher_is_better(summaries[0].metric)
