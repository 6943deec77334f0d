"""Each setting over its seeds: means and intervals, generalization gaps, learning curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Run, Setting, format_value
from offset_autoencoder.evaluation.metrics import BOUND, higher_is_better
from offset_autoencoder.evaluation.runs_table import (
    RunRow,
    has_values,
    metric_columns,
    noise_level,
    rows_by_setting,
    runs_by_setting,
    values_of,
)
from offset_autoencoder.evaluation.statistics import (
    Estimate,
    differences,
    mean_and_interval,
    relative_change,
)

MOST_POINTS = 100


@dataclass(frozen=True)
class SettingSummary:
    """One metric of a setting over the seeds that finished.

    Attributes:
        setting: The setting.
        metric: The metric's column in ``runs.csv``.
        estimate: Its mean and interval.
        diverged: How many runs of the setting diverged and are not in the mean.
    """

    setting: Setting
    metric: str
    estimate: Estimate
    diverged: int


def summarise(
    rows: Sequence[RunRow], settings: Sequence[Setting], metric: str, confidence: float
) -> list[SettingSummary]:
    """One metric's mean and interval for each setting, in the order of the settings.

    Args:
        rows: The runs.
        settings: The settings.
        metric: A metric's column of ``runs.csv``.
        confidence: The share of intervals that hold the true mean.
    """
    groups = zip(rows_by_setting(rows, settings), settings, strict=True)
    return [_summary(own, setting, metric, confidence) for own, setting in groups]


def summarise_bounds(
    rows: Sequence[RunRow], settings: Sequence[Setting], confidence: float
) -> list[SettingSummary]:
    """The evidence lower bound and its parts, :data:`BOUND`, of the settings that have them.

    Args:
        rows: The runs.
        settings: The settings.
        confidence: The share of intervals that hold the true mean.

    Returns:
        By setting, then in the order of :data:`BOUND`.
    """
    return [
        _summary(own, setting, column, confidence)
        for own, setting in zip(rows_by_setting(rows, settings), settings, strict=True)
        for column in BOUND
        if has_values(own, column)
    ]


def at_one_rms(summaries: Sequence[SettingSummary]) -> list[SettingSummary]:
    """For each model one setting, all at the same noise level where they sweep it.

    That is the middle of the levels that any model sweeps (the upper one of two); a model that
    lacks it is shown at the level nearest to it in ratio. Chosen without a look at how well any
    of them does, so that none is flattered.

    Args:
        summaries: The settings in one metric.

    Returns:
        In the order of the models; of several settings of a model at that level the first. A
        model without any finite mean has none.
    """
    levels_of_model: dict[str, set[float | None]] = {}
    for item in summaries:
        levels_of_model.setdefault(item.setting.model, set()).add(noise_level(item.setting))
    swept = sorted(
        {
            level
            for levels in levels_of_model.values()
            if len(levels) > 1
            for level in levels
            if level
        }
    )
    chosen: dict[str, tuple[float, SettingSummary]] = {}
    for item in summaries:
        if not math.isfinite(item.estimate.mean):
            continue
        level = noise_level(item.setting)
        distance = math.inf if swept else 0.0
        if level and swept:
            distance = abs(math.log(level / swept[len(swept) // 2]))
        nearest = chosen.get(item.setting.model)
        if nearest is None or distance < nearest[0]:
            chosen[item.setting.model] = (distance, item)
    return [item for _, item in chosen.values()]


def metrics_tree(
    rows: Sequence[RunRow], settings: Sequence[Setting], *, metric: str, confidence: float
) -> dict[str, Any]:
    """The content of ``reports/metrics.json``.

    Args:
        rows: The runs.
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
    columns = (*metric_columns(rows, metric), *BOUND)
    for own, setting in zip(rows_by_setting(rows, settings), settings, strict=True):
        leaf: dict[str, Any] = {}
        diverged = sum(row.status == "diverged" for row in own)
        for column in columns:
            if has_values(own, column):
                estimate = _summary(own, setting, column, confidence).estimate
                leaf[column] = _node(estimate, with_runs=diverged > 0)
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
    rows: Sequence[RunRow], setting: Setting, metric: str, confidence: float
) -> SettingSummary:
    return SettingSummary(
        setting=setting,
        metric=metric,
        estimate=mean_and_interval(
            values_of([row for row in rows if row.finished], metric), confidence
        ),
        diverged=sum(row.status == "diverged" for row in rows),
    )


def _node(estimate: Estimate, *, with_runs: bool) -> dict[str, float | int | None]:
    numbers = {name: getattr(estimate, name) for name in ("mean", "low", "high")}
    finite = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
    return {**finite, "runs": estimate.count} if with_runs else finite


@dataclass(frozen=True)
class GeneralizationGap:
    """The gap between training and test of a setting, over the seeds that finished.

    Attributes:
        setting: The setting.
        metric: The metric.
        train: Mean and interval on the training split.
        test: Mean and interval on the test split.
        gap: Mean and interval of the gap, seed by seed; above zero, training is better.
        relative: How much larger the error is on test than in training, as
            :func:`.statistics.relative_change`: 0.05 is 5 %.
    """

    setting: Setting
    metric: str
    train: Estimate
    test: Estimate
    gap: Estimate
    relative: Estimate


def generalization_gaps(
    train: NDArray[Any], test: NDArray[Any], metric: str
) -> NDArray[np.float64]:
    """Advantage of the training split over the test split in a metric, seed by seed.

    ``test − train`` for an error, ``train − test`` for what is better when higher: above zero a
    run does better on what it has seen. An offset that is a key to memorised samples opens the
    gap; one that is used by a rule leaves it.

    Args:
        train: One value per seed, (n,).
        test: At the same seeds, (n,).
        metric: The metric's name.

    Raises:
        ValueError: where the two differ in length.
    """
    first, second = (train, test) if higher_is_better(metric) else (test, train)
    return differences(first, second)


def summarise_generalization_gaps(
    finished: Sequence[tuple[str, Run]],
    train: Mapping[str, float],
    test: Mapping[str, float],
    *,
    metric: str,
    confidence: float,
) -> list[GeneralizationGap]:
    """The gap of every setting, in the order of the settings.

    Args:
        finished: Ids and runs, in the order of the report.
        train: The metric on the training split as deployed, by id.
        test: The metric on the test split as deployed, by id.
        metric: The metric's name.
        confidence: The share of intervals that hold the true mean.
    """
    summaries = []
    for setting, members in runs_by_setting(finished, train.keys() & test.keys()):
        on_train = np.array([train[run_id] for run_id, _ in members], dtype=np.float64)
        on_test = np.array([test[run_id] for run_id, _ in members], dtype=np.float64)
        gap = generalization_gaps(on_train, on_test, metric)
        relative = relative_change(on_test, on_train, metric)
        estimates = (
            mean_and_interval(values, confidence) for values in (on_train, on_test, gap, relative)
        )
        summaries.append(GeneralizationGap(setting, metric, *estimates))
    return summaries


@dataclass(frozen=True)
class Curve:
    """The best validation loss so far, over the runs of a setting.

    Attributes:
        setting: The setting.
        epochs: The epochs shown, from 1, int64 (points,).
        mean: Mean over the runs, float64 (points,).
        low: Lower end of its interval, float64 (points,); NaN with a single run.
        high: Upper end.
        runs: How many runs.
    """

    setting: Setting
    epochs: NDArray[np.int64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    runs: int


def best_so_far(val_loss: NDArray[Any], epochs: int) -> NDArray[np.float64]:
    """The validation loss of the weights that a run would keep, were it to end at each epoch.

    ``best(t) = min over s ≤ min(t, T) of val_loss(s)`` for a run of T epochs: a run that stopped
    keeps its best weights, so it keeps its best loss while others go on. Averaging only the runs
    still in training would make the mean jump whenever one stops.

    Args:
        val_loss: The validation loss of each epoch, (T,).
        epochs: How many epochs to give.

    Returns:
        float64 (epochs,).

    Raises:
        ValueError: where there is no epoch.
    """
    val_loss = np.asarray(val_loss, dtype=np.float64)
    if val_loss.ndim != 1 or not len(val_loss):
        raise ValueError(f"needs one value per epoch, (epochs,), got the shape {val_loss.shape}")
    best = np.fmin.accumulate(val_loss)[:epochs]
    return np.concatenate([best, np.full(epochs - len(best), best[-1])])


def learning_curves(
    histories: Iterable[tuple[Setting, Sequence[NDArray[Any]]]],
    *,
    confidence: float,
    most_points: int = MOST_POINTS,
) -> list[Curve]:
    """The curve of each setting, up to the last epoch that a run of it reached.

    Args:
        histories: For each setting the validation losses of its finished runs, each (epochs,)
            from the first epoch on. A setting without runs has no curve.
        confidence: The share of intervals that hold the true mean.
        most_points: The most epochs that a curve shows, the first and the last among them,
            denser towards the first.

    Raises:
        ValueError: where a run has no epoch.
    """
    curves = []
    for setting, losses in histories:
        if not losses:
            continue
        last = max(len(loss) for loss in losses)
        best = np.stack([best_so_far(loss, last) for loss in losses])
        epochs = shown_epochs(last, most_points)
        estimates = [mean_and_interval(best[:, epoch - 1], confidence) for epoch in epochs]
        mean, low, high = (
            np.array([getattr(estimate, name) for estimate in estimates])
            for name in ("mean", "low", "high")
        )
        curves.append(Curve(setting, epochs, mean, low, high, runs=len(losses)))
    return curves


def shown_epochs(last: int, most_points: int = MOST_POINTS) -> NDArray[np.int64]:
    """The epochs of a curve, ascending, from 1 to ``last``; all of them where they are few.

    Half are equally far apart, half at equal ratios, since a curve bends most at its start.

    Args:
        last: The last epoch.
        most_points: The most epochs to give, at least 2.
    """
    if last <= most_points:
        return np.arange(1, last + 1)
    even = np.linspace(1, last, most_points // 2)
    ratio = np.geomspace(1, last, most_points - most_points // 2)
    return np.unique(np.rint(np.concatenate([even, ratio])).astype(np.int64))
