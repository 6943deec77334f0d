"""Each setting over its seeds: ``reports/metrics.json`` and the means in tables and pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offset_autoencoder.config import Setting, format_value
from offset_autoencoder.evaluation.metrics import higher_is_better
from offset_autoencoder.evaluation.runs_table import finished, metric_columns, rows_of, values_of
from offset_autoencoder.evaluation.statistics import Estimate, mean_and_interval

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SettingSummary:
    """One metric of a setting over the seeds that finished.

    Attributes:
        setting: Which setting.
        metric: The metric's column in ``runs.csv``.
        estimate: Its mean and interval.
        diverged: How many runs of the setting diverged and are not in the mean.
    """

    setting: Setting
    metric: str
    estimate: Estimate
    diverged: int


def summarise(
    runs: pd.DataFrame, settings: Sequence[Setting], metric: str, confidence: float
) -> list[SettingSummary]:
    """One metric's mean and interval for each setting, in the order of the settings.

    Args:
        runs: The table of runs (``reports/runs.csv``).
        settings: The settings.
        metric: A metric's column of that table.
        confidence: The share of intervals that hold the true mean.
    """
    return [_summary(rows_of(runs, setting), setting, metric, confidence) for setting in settings]


def best_of_each_model(summaries: Sequence[SettingSummary]) -> list[SettingSummary]:
    """For each model the setting with the best mean, in the order of the models.

    The first of several that are equally good; a model of which no run has a finite value has
    none.
    """
    best: dict[str, SettingSummary] = {}
    for summary in summaries:
        if not math.isfinite(summary.estimate.mean):
            continue
        sign = 1 if higher_is_better(summary.metric) else -1
        known = best.get(summary.setting.model)
        if known is None or sign * (summary.estimate.mean - known.estimate.mean) > 0:
            best[summary.setting.model] = summary
    return list(best.values())


def metrics_tree(
    runs: pd.DataFrame, settings: Sequence[Setting], *, metric: str, confidence: float
) -> dict[str, Any]:
    """What ``reports/metrics.json`` holds.

    Args:
        runs: The table of runs (``reports/runs.csv``).
        settings: The settings, in the order of the report.
        metric: The metric that is given in every condition; the others as deployed.
        confidence: The share of intervals that hold the true mean.

    Returns:
        ``{model: {sweep label: {metric: {mean, std, low, high, runs}}}}``, without the middle
        level for a model that sweeps nothing. A setting of which runs diverged also has
        ``diverged``, their number. What is not finite is None.
    """
    tree: dict[str, Any] = {}
    columns = metric_columns(runs, metric)
    for setting in settings:
        rows = rows_of(runs, setting)
        leaf: dict[str, Any] = {}
        for column in columns:
            summary = _summary(rows, setting, column, confidence)
            leaf[column] = _node(summary.estimate)
        if count := int((rows["status"] == "diverged").sum()):
            leaf["diverged"] = count
        if setting.sweep:
            tree.setdefault(setting.model, {})[sweep_label(setting)] = leaf
        else:
            tree[setting.model] = leaf
    return tree


def sweep_label(setting: Setting, *, without: Sequence[str] = ()) -> str:
    """A setting's swept values: ``"latent_dim=8 stddev=0.1"``; empty where it sweeps nothing."""
    return " ".join(
        f"{key}={format_value(value)}" for key, value in setting.sweep if key not in without
    )


def _summary(
    rows: pd.DataFrame, setting: Setting, metric: str, confidence: float
) -> SettingSummary:
    return SettingSummary(
        setting=setting,
        metric=metric,
        estimate=mean_and_interval(values_of(finished(rows), metric), confidence),
        diverged=int((rows["status"] == "diverged").sum()),
    )


def _node(estimate: Estimate) -> dict[str, float | int | None]:
    numbers = {name: getattr(estimate, name) for name in ("mean", "std", "low", "high")}
    finite = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
    return {**finite, "runs": estimate.count}
