"""Each setting over its seeds: ``reports/metrics.json`` and the means in tables and pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offset_autoencoder.config import Setting, format_value
from offset_autoencoder.evaluation.matching import power
from offset_autoencoder.evaluation.runs_table import finished, metric_columns, rows_of, values_of
from offset_autoencoder.evaluation.statistics import Estimate, mean_and_interval

if TYPE_CHECKING:
    import pandas as pd

# The evidence lower bound of a variational autoencoder and its parts, in nats a sample.
BOUND = ("elbo", "nll", "kl")


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


def summarise_bounds(
    runs: pd.DataFrame, settings: Sequence[Setting], confidence: float
) -> list[SettingSummary]:
    """The evidence lower bound and its parts, :data:`BOUND`, of the settings that have them.

    Args:
        runs: The table of runs (``reports/runs.csv``).
        settings: The settings.
        confidence: The share of intervals that hold the true mean.

    Returns:
        By setting, then in the order of :data:`BOUND`.
    """
    return [
        _summary(rows, setting, column, confidence)
        for setting in settings
        for rows in [rows_of(runs, setting)]
        for column in BOUND
        if _known(rows, column)
    ]


def at_one_power(summaries: Sequence[SettingSummary]) -> list[SettingSummary]:
    """For each model one setting, all at the same power where they sweep it.

    That is the middle of the powers that any model sweeps (the upper one of two); a model that
    lacks it is shown at the power nearest to it in ratio. Chosen without a look at how well any
    of them does, so that none is flattered.

    Args:
        summaries: The settings in one metric.

    Returns:
        In the order of the models; of several settings of a model at that power the first. A
        model without any finite mean has none.
    """
    of_model: dict[str, set[float | None]] = {}
    for one in summaries:
        of_model.setdefault(one.setting.model, set()).add(power(one.setting))
    swept = sorted(
        {own for powers in of_model.values() if len(powers) > 1 for own in powers if own}
    )
    chosen: dict[str, tuple[float, SettingSummary]] = {}
    for one in summaries:
        if not math.isfinite(one.estimate.mean):
            continue
        own = power(one.setting)
        away = math.inf if swept else 0.0
        if own and swept:
            away = abs(math.log(own / swept[len(swept) // 2]))
        known = chosen.get(one.setting.model)
        if known is None or away < known[0]:
            chosen[one.setting.model] = (away, one)
    return [one for _, one in chosen.values()]


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
        ``{model: {sweep label: {metric: {mean, low, high}}}}``, without the middle level for a
        model that sweeps nothing. A metric that no run of a setting has is left out; a
        variational autoencoder has those of :data:`BOUND` too. A setting of which runs diverged
        also has ``diverged``, their number, and beside each mean ``runs``, the number of those it
        is over. What is not finite is None.
    """
    tree: dict[str, Any] = {}
    columns = (*metric_columns(runs, metric), *BOUND)
    for setting in settings:
        rows = rows_of(runs, setting)
        diverged = int((rows["status"] == "diverged").sum())
        leaf: dict[str, Any] = {}
        for column in columns:
            if _known(rows, column):
                summary = _summary(rows, setting, column, confidence)
                leaf[column] = _node(summary.estimate, say_runs=diverged > 0)
        if diverged:
            leaf["diverged"] = diverged
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


def _known(rows: pd.DataFrame, column: str) -> bool:
    return column in rows.columns and bool(rows[column].notna().any())


def _node(estimate: Estimate, *, say_runs: bool) -> dict[str, float | int | None]:
    numbers = {name: getattr(estimate, name) for name in ("mean", "low", "high")}
    finite = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
    return {**finite, "runs": estimate.count} if say_runs else finite
