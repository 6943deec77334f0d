"""Rows of the csv files under ``reports/plots/``, which are the data of the charts too."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Literal

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.comparison import Comparison
from offset_autoencoder.evaluation.interventions import InterventionSummary
from offset_autoencoder.evaluation.metrics import CONDITIONS, higher_is_better
from offset_autoencoder.evaluation.probes import ProbeSummary
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.evaluation.summary import Curve, SettingSummary, noise_level
from offset_autoencoder.reporting.rows import Fields, Row, Rows, interval_fields, row_of
from offset_autoencoder.reporting.wording import (
    PARTS,
    full_label,
    series,
    swept_values,
)

ShownAs = Literal["reference", "line", "point"]

_LABEL_HEIGHT = 0.036  # of a name beside a line, as a share of the height of its chart


def shown_comparisons(
    comparisons: Sequence[Comparison], metric: str
) -> dict[tuple[str, str], list[Comparison]]:
    """The comparisons that are shown, by baseline and condition.

    As deployed; against a baseline that is trained with noise also as trained and clean, since
    as deployed its noise is off while an offset is on.

    Args:
        comparisons: All of them.
        metric: The metric to show.

    Returns:
        By the baseline model and what :data:`.metrics.CONDITIONS` calls the condition.
    """
    shown: dict[tuple[str, str], list[Comparison]] = {}
    baselines = dict.fromkeys(item.baseline.model for item in comparisons)
    noisy = {item.baseline.model for item in comparisons if trained_with_noise(item.baseline)}
    for baseline in baselines:
        for suffix, condition in CONDITIONS.items():
            items = [
                item
                for item in comparisons
                if item.baseline.model == baseline and item.metric == metric + suffix
            ]
            if items and (not suffix or baseline in noisy):
                shown[baseline, condition] = items
    return shown


def trained_with_noise(setting: Setting) -> bool:
    """True if training draws noise that the deployed model is without."""
    return setting.spec.stddev > 0 or setting.spec.system_record.learns_noise


def comparison_plot(comparisons: Sequence[Comparison], metric: str) -> Rows:
    """``plots/comparison.csv``, of one metric; ``verdict`` is the word.

    ``change``, ``low`` and ``high`` are the change of the error in percent of the baseline's;
    ``difference`` is that of the metric itself.
    """
    fields: Fields[tuple[str, Comparison]] = {
        "setting": lambda at: at[1].setting.label,
        "model": lambda at: at[1].setting.model,
        "baseline": lambda at: at[1].baseline.model,
        "baseline_setting": lambda at: at[1].baseline.label,
        "metric": lambda at: metric,
        "condition": lambda at: at[0],
        **interval_fields("change", lambda at: at[1].equivalence.change, 100),
        "difference": lambda at: at[1].difference.mean,
        "p_corrected": lambda at: at[1].p_corrected,
        "verdict": lambda at: at[1].outcome,
    }
    items = [
        (condition, item)
        for (_, condition), family in shown_comparisons(comparisons, metric).items()
        for item in family
    ]
    return list(fields), [row_of(fields, item) for item in items]


def shown_changes(
    summaries: Sequence[InterventionSummary], metric: str
) -> list[InterventionSummary]:
    """The interventions that are shown as changes, in one metric."""
    return [
        summary
        for summary in summaries
        if summary.metric == metric and summary.intervention.kind.plot == "interventions"
    ]


def change_plot(
    summaries: Sequence[InterventionSummary], metric: str, colours: Mapping[str, str]
) -> Rows:
    """``plots/interventions.csv``: changes of the error behind a metric, in % of the own.

    Args:
        summaries: The interventions.
        metric: The metric.
        colours: By model.
    """
    fields: Fields[InterventionSummary] = {
        "setting": attrgetter("setting.label"),
        "model": attrgetter("setting.model"),
        "intervention": attrgetter("intervention.name"),
        "panel": attrgetter("intervention.kind.label"),
        "metric": attrgetter("metric"),
        **interval_fields("change", attrgetter("relative"), 100),
        "runs": attrgetter("relative.count"),
        "colour": lambda item: colours[item.setting.model],
    }
    return list(fields), [row_of(fields, item) for item in shown_changes(summaries, metric)]


def probe_plot(probes: Sequence[ProbeSummary], colours: Mapping[str, str]) -> list[Row]:
    """Rows of the picture of the probes: shares in %, those of labels read right ``open``.

    Args:
        probes: Results of the probes.
        colours: By model.
    """
    fields: Fields[tuple[ProbeSummary, Estimate]] = {
        "setting": lambda at: at[0].setting.label,
        "panel": lambda at: PARTS[at[0].part],
        "open": lambda at: at[1] is at[0].accuracy,
        **interval_fields("mean", lambda at: at[1], 100),
        "colour": lambda at: colours[at[0].setting.model],
    }
    return [
        row_of(fields, (probe, share))
        for probe in probes
        for share in (probe.accuracy, probe.explained)
        if share is not None
    ]


def levels_of(
    summaries: Sequence[InterventionSummary], metric: str, plot: str
) -> list[InterventionSummary]:
    """The levels of the intervention of a plot in one metric, by setting and ascending level."""
    groups: dict[str, list[InterventionSummary]] = {}
    for item in summaries:
        if item.metric == metric and item.intervention.kind.plot == plot:
            groups.setdefault(item.setting.label, []).append(item)
    return [
        item
        for group in groups.values()
        for item in sorted(group, key=lambda item: item.intervention.level or 0.0)
    ]


def level_plot(
    summaries: Sequence[InterventionSummary], metric: str, plot: str, colours: Mapping[str, str]
) -> Rows:
    """``plots/robustness.csv`` and ``plots/offset_scales.csv``.

    Args:
        summaries: The interventions.
        metric: The metric.
        plot: Which of them, as the interventions name it.
        colours: By :func:`.wording.swept_values`.
    """
    fields: Fields[InterventionSummary] = {
        "setting": attrgetter("setting.label"),
        "model": attrgetter("setting.model"),
        "values": lambda item: swept_values(item.setting),
        "level": attrgetter("intervention.level"),
        "metric": attrgetter("metric"),
        **interval_fields("mean", attrgetter("estimate")),
        "runs": attrgetter("estimate.count"),
        "colour": lambda item: colours[swept_values(item.setting)],
    }
    return list(fields), [row_of(fields, item) for item in levels_of(summaries, metric, plot)]


def curve_plot(curves: Sequence[Curve], colours: Mapping[str, str]) -> Rows:
    """``plots/learning_curves.csv``, a row per point.

    Args:
        curves: The curves.
        colours: By :func:`.wording.swept_values`.
    """
    fields: Fields[tuple[Curve, int]] = {
        "setting": lambda at: at[0].setting.label,
        "model": lambda at: at[0].setting.model,
        "values": lambda at: swept_values(at[0].setting),
        "epoch": lambda at: int(at[0].epochs[at[1]]),
        "mean": lambda at: float(at[0].mean[at[1]]),
        "low": lambda at: float(at[0].low[at[1]]),
        "high": lambda at: float(at[0].high[at[1]]),
        "runs": lambda at: at[0].runs,
        "colour": lambda at: colours[swept_values(at[0].setting)],
    }
    points = [(curve, point) for curve in curves for point in range(len(curve.epochs))]
    return list(fields), [row_of(fields, at) for at in points]


def shown_as(summaries: Sequence[SettingSummary], baselines: Sequence[str]) -> list[ShownAs]:
    """Marks of the settings against their noise level.

    On a ``line`` where its series has several levels; as a ``reference`` across the whole
    picture where it is a baseline without a level; else as a ``point`` by its own name.

    Args:
        summaries: The settings in one metric.
        baselines: The models that others are compared with.
    """
    levels: dict[str, set[float]] = {}
    for summary in summaries:
        if (added := noise_level(summary.setting)) is not None:
            levels.setdefault(series(summary.setting), set()).add(added)
    drawn: list[ShownAs] = []
    for summary in summaries:
        setting = summary.setting
        if len(levels.get(series(setting), ())) > 1 and noise_level(setting) is not None:
            drawn.append("line")
        elif setting.model in baselines and noise_level(setting) is None:
            drawn.append("reference")
        else:
            drawn.append("point")
    return drawn


def setting_plot(
    summaries: Sequence[SettingSummary], *, baselines: Sequence[str], colours: Mapping[str, str]
) -> Rows:
    """``plots/settings.csv``; no noise level where nothing is added or it is unknown.

    ``label_at`` is where on the axis of the metric the name of a line stands, in the row of its
    end; empty elsewhere.

    Args:
        summaries: The settings in one metric.
        baselines: The models that others are compared with.
        colours: By model.
    """
    drawn = shown_as(summaries, baselines)
    names = _label_places(summaries, drawn)
    fields: Fields[tuple[SettingSummary, ShownAs]] = {
        "setting": lambda at: at[0].setting.label,
        "model": lambda at: at[0].setting.model,
        "series": lambda at: series(at[0].setting),
        "name": lambda at: full_label(at[0].setting),
        "shown_as": lambda at: at[1],
        "noise_level": lambda at: noise_level(at[0].setting),
        "metric": lambda at: at[0].metric,
        **interval_fields("mean", lambda at: at[0].estimate),
        "runs": lambda at: at[0].estimate.count,
        "diverged": lambda at: at[0].diverged,
        "label_at": lambda at: names.get(at[0].setting.label),
        "colour": lambda at: colours[at[0].setting.model],
    }
    items = list(zip(summaries, drawn, strict=True))
    return list(fields), [row_of(fields, item) for item in items]


def _label_places(
    summaries: Sequence[SettingSummary], drawn: Sequence[ShownAs]
) -> dict[str, float]:
    """By setting, at which value the name of the line that ends there stands; apart from others."""
    finite = [
        (item, how)
        for item, how in zip(summaries, drawn, strict=True)
        if math.isfinite(item.estimate.mean)
    ]
    ends: dict[str, SettingSummary] = {}
    for item, how in sorted(finite, key=lambda at: noise_level(at[0].setting) or 0):
        if how != "point":
            ends[series(item.setting) if how == "line" else item.setting.label] = item
    if "line" not in drawn or not ends:
        return {}
    log = is_logarithmic(summaries)
    forth, back = (math.log10, functools.partial(pow, 10.0)) if log else (float, float)
    places = [forth(item.estimate.mean) for item, _ in finite]
    apart = _LABEL_HEIGHT * ((max(places) - min(places)) or 1.0)
    ordered = sorted(ends.values(), key=lambda item: item.estimate.mean)
    moved = spread([forth(item.estimate.mean) for item in ordered], apart)
    return {item.setting.label: back(at) for item, at in zip(ordered, moved, strict=True)}


def is_logarithmic(summaries: Sequence[SettingSummary]) -> bool:
    """True if the axis of these metrics is logarithmic: errors, all of them above zero."""
    means = [item.estimate.mean for item in summaries if math.isfinite(item.estimate.mean)]
    return not higher_is_better(summaries[0].metric) and all(mean > 0 for mean in means)


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Ascending places, moved as little as it takes for each to be ``apart`` from the next."""
    groups: list[list[float]] = []
    for place in places:
        groups.append([place])
        while len(groups) > 1 and _bottom(groups[-1], apart) < _top(groups[-2], apart) + apart:
            last = groups.pop()
            groups[-1] += last
    return [
        _bottom(group, apart) + apart * index for group in groups for index in range(len(group))
    ]


def _bottom(group: Sequence[float], apart: float) -> float:
    return sum(group) / len(group) - apart * (len(group) - 1) / 2


def _top(group: Sequence[float], apart: float) -> float:
    return _bottom(group, apart) + apart * (len(group) - 1)
