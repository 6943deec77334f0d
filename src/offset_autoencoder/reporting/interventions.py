"""Interventions as rows of csv files: ``reports/interventions.csv`` and the data of its plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.interventions import InterventionSummary
from offset_autoencoder.evaluation.runs_table import setting_cells, sweep_keys
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.reporting.intervals import swept_values

CHANGE_COLUMNS = (
    "setting",
    "model",
    "intervention",
    "metric",
    "change",
    "low",
    "high",
    "runs",
    "colour",
)
LEVEL_COLUMNS = (
    "setting",
    "model",
    "values",
    "level",
    "metric",
    "mean",
    "low",
    "high",
    "runs",
    "colour",
)


def intervention_rows(
    summaries: Sequence[InterventionSummary], settings: Sequence[Setting]
) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of ``reports/interventions.csv``.

    ``difference`` is the metric under the intervention − that of the same runs left as they
    are; ``relative`` is the change of the error behind it as a share: 0.05 is 5 % worse.
    """
    keys = sweep_keys(settings)
    rows = [
        {
            **setting_cells(item.setting, keys),
            "intervention": item.intervention.name,
            "level": item.intervention.level,
            "metric": item.metric,
            **_cells("mean", item.estimate, low="low", high="high"),
            **_cells("difference", item.difference),
            **_cells("relative", item.relative),
            "runs": item.estimate.count,
        }
        for item in summaries
    ]
    after = ["mean", "low", "high"]
    for name in ("difference", "relative"):
        after += [name, f"{name}_low", f"{name}_high"]
    return ["model", "setting", *keys, "intervention", "level", "metric", *after, "runs"], rows


def shown_changes(
    summaries: Sequence[InterventionSummary], metric: str
) -> list[InterventionSummary]:
    """Those that are shown as changes: without a level, of one metric, own apart."""
    return [
        summary
        for summary in summaries
        if summary.metric == metric
        and summary.intervention.level is None
        and summary.intervention.name != "own"
    ]


def change_rows(
    summaries: Sequence[InterventionSummary], metric: str, colours: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Rows of ``reports/plots/interventions.csv``, of one metric: changes of its error in %.

    Args:
        summaries: The interventions.
        metric: The metric.
        colours: By model.
    """
    return [
        {
            "setting": item.setting.label,
            "model": item.setting.model,
            "intervention": item.intervention.name,
            "metric": metric,
            "change": 100 * item.relative.mean,
            "low": 100 * item.relative.low,
            "high": 100 * item.relative.high,
            "runs": item.relative.count,
            "colour": colours[item.setting.model],
        }
        for item in shown_changes(summaries, metric)
    ]


def level_rows(
    summaries: Sequence[InterventionSummary], metric: str, name: str, colours: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Rows of ``plots/robustness.csv`` (``noise``) and ``plots/offset_scales.csv`` (``scaled``).

    Args:
        summaries: The interventions.
        metric: The metric to give.
        name: The intervention whose levels are given, in ascending order by setting.
        colours: By :func:`.intervals.swept_values`.
    """
    chosen = levels_of(summaries, metric, name)
    return [
        {
            "setting": item.setting.label,
            "model": item.setting.model,
            "values": swept_values(item.setting),
            "level": item.intervention.level,
            "metric": metric,
            **_cells("mean", item.estimate, low="low", high="high"),
            "runs": item.estimate.count,
            "colour": colours[swept_values(item.setting)],
        }
        for group in chosen
        for item in group
    ]


def levels_of(
    summaries: Sequence[InterventionSummary], metric: str, name: str
) -> list[list[InterventionSummary]]:
    """For each setting its summaries at the levels of one intervention, by ascending level."""
    groups: dict[str, list[InterventionSummary]] = {}
    for item in summaries:
        if item.metric == metric and item.intervention.name == name:
            groups.setdefault(item.setting.label, []).append(item)
    return [
        sorted(group, key=lambda item: item.intervention.level or 0.0) for group in groups.values()
    ]


def _cells(
    name: str, estimate: Estimate, *, low: str | None = None, high: str | None = None
) -> dict[str, float]:
    return {
        name: estimate.mean,
        low or f"{name}_low": estimate.low,
        high or f"{name}_high": estimate.high,
    }
