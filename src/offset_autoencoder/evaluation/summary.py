"""Runs by setting: the rows of ``reports/runs.csv``, and means and intervals over their seeds.

To add a column, add it to :func:`runs_table`; a metric's is there by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Run, Setting, format_value
from offset_autoencoder.evaluation import statistics
from offset_autoencoder.evaluation.metrics import (
    BOUND,
    CONDITIONS,
    METRICS,
    VALIDATION,
    higher_is_better,
)
from offset_autoencoder.evaluation.statistics import (
    ONE_SPLIT,
    Design,
    Estimate,
    differences,
    mean_and_interval,
    two_way_interval,
)

MOST_POINTS = 100
_NOISE_KEYS = ("rms", "stddev")

T = TypeVar("T")


@dataclass(frozen=True)
class RunRow:
    """A run and its test metrics."""

    id: str
    run: Run
    status: str  # "finished" or "diverged"
    metrics: Mapping[str, float] = field(default_factory=dict)  # none where it diverged
    # Of the metric that is compared, as deployed, (n,); None where it is no mean over samples.
    sample_errors: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    engine: str | None = None  # the one that trained it

    @property
    def finished(self) -> bool:
        """True if the run has weights to measure."""
        return self.status == "finished"


def runs_table(
    rows: Sequence[RunRow], settings: Sequence[Setting]
) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of ``runs.csv``: metrics that any run has, in the order of the metrics.

    Metrics follow the status. All are of the test split but those that end in ``_validation``.
    """
    keys = sweep_keys(settings)
    present = dict.fromkeys(name for row in rows for name in row.metrics)
    conditions = (*CONDITIONS, VALIDATION)
    metrics = [f"{metric}{condition}" for metric in METRICS for condition in conditions]
    ordered = sorted(present, key=lambda name: [*metrics, name].index(name))
    return ["id", "model", "setting", *keys, "seed", "engine", "status", *ordered], [
        {
            "id": row.id,
            **setting_cells(row.run.setting, keys),
            "seed": row.run.seed,
            "engine": row.engine,
            "status": row.status,
            **row.metrics,
        }
        for row in rows
    ]


def sweep_keys(settings: Sequence[Setting]) -> tuple[str, ...]:
    """Every swept key, each once, in order of appearance, then rms and stddev where any has one.

    These are the columns of the reports that say which setting a row is of.
    """
    swept = [key for setting in settings for key, _ in setting.sweep]
    noise = [key for setting in settings for key in _noise(setting)]
    return tuple(dict.fromkeys([*swept, *sorted(noise)]))


def setting_cells(setting: Setting, keys: Sequence[str]) -> dict[str, Any]:
    """The cells of every table that say which setting a row is of: model, setting, values of keys.

    A value is the setting's whether it is swept or not; None, which is written empty, for a key
    that the setting has not, and for noise that is not added.
    """
    spec = setting.spec
    own: dict[str, Any] = {**spec.common, **spec.options, **dict.fromkeys(_NOISE_KEYS)}
    own |= {**setting.network.relevant, **setting.train.relevant, **_noise(setting)}
    for section in (setting.network, setting.train):  # what ids leave out, or name otherwise
        own |= {key: value for key, value in section if key in ("normalize", *section.later_keys)}
    cells = {key: None if own.get(key) is None else _cell(own[key]) for key in keys}
    cells |= {key: _cell(value) for key, value in setting.sweep if key in cells}
    return {"model": setting.model, "setting": setting.label, **cells}


def _cell(value: Any) -> Any:
    """A value of a key as tables have it: a number, or a text."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return format_value(tuple(value) if isinstance(value, list) else value)


def _noise(setting: Setting) -> dict[str, float]:
    """The setting's rms and stddev, where it has them; not what follows from ``ebn0_db``."""
    spec = setting.spec
    stddev = None if spec.ebn0_db is not None else spec.stddev or None
    return {key: value for key, value in zip(_NOISE_KEYS, (spec.rms, stddev), strict=True) if value}


def metric_columns(rows: Sequence[RunRow], metric: str) -> tuple[str, ...]:
    """The columns that are summarised and compared, of those that any run has.

    Every metric as deployed, then the metric that is asked for in the other conditions.
    """
    others = [f"{metric}{suffix}" for suffix in CONDITIONS if suffix]
    return tuple(column for column in (*METRICS, *others) if _has_values(rows, column))


def values_of(rows: Sequence[RunRow], column: str) -> NDArray[np.float64]:
    """A metric's values, float64 (n,) in the order of the rows; NaN where a run has none."""
    return np.array([row.metrics.get(column, np.nan) for row in rows], dtype=np.float64)


def _has_values(rows: Sequence[RunRow], column: str) -> bool:
    return bool(np.any(~np.isnan(values_of(rows, column))))


def rows_by_setting(
    rows: Sequence[RunRow], settings: Sequence[Setting]
) -> list[tuple[Setting, list[RunRow]]]:
    """The rows of each setting, by ascending seed, in the order of the settings."""
    groups = {setting.label: own for setting, own in by_setting((row.run, row) for row in rows)}
    return [(setting, groups.get(setting.label, [])) for setting in settings]


def by_setting(values: Iterable[tuple[Run, T | None]]) -> list[tuple[Setting, list[T]]]:
    """The values of each setting's runs, by ascending seed, in the order of the runs.

    A run whose value is None counts as if it were not there.
    """
    groups: dict[str, tuple[Setting, dict[int, T]]] = {}
    for run, value in values:
        if value is not None:
            _, by_seed = groups.setdefault(run.setting.label, (run.setting, {}))
            by_seed[run.seed] = value
    return [
        (setting, [by_seed[seed] for seed in sorted(by_seed)])
        for setting, by_seed in groups.values()
    ]


@dataclass(frozen=True)
class SettingSummary:
    """One metric of a setting over the seeds that finished."""

    setting: Setting
    metric: str  # its column in runs.csv
    estimate: Estimate
    diverged: int  # runs of the setting that diverged and are not in the mean


def summarise(
    rows: Sequence[RunRow],
    settings: Sequence[Setting],
    metric: str,
    confidence: float,
    design: Design = ONE_SPLIT,
) -> list[SettingSummary]:
    """One metric's mean and interval for each setting, in the order of the settings."""
    groups = rows_by_setting(rows, settings)
    return [_summary(own, setting, metric, confidence, design) for setting, own in groups]


def summarise_bounds(
    rows: Sequence[RunRow],
    settings: Sequence[Setting],
    confidence: float,
    design: Design = ONE_SPLIT,
) -> list[SettingSummary]:
    """The evidence lower bound and its parts, :data:`BOUND`, of the settings that have them."""
    return [
        _summary(own, setting, column, confidence, design)
        for setting, own in rows_by_setting(rows, settings)
        for column in BOUND
        if _has_values(own, column)
    ]


def _summary(
    rows: Sequence[RunRow], setting: Setting, metric: str, confidence: float, design: Design
) -> SettingSummary:
    values = values_of([row for row in rows if row.finished], metric)
    diverged = sum(row.status == "diverged" for row in rows)
    estimate = mean_and_interval(values, confidence, design.overlap)
    return SettingSummary(setting, metric, estimate, diverged)


def over_samples_too(
    rows: Sequence[RunRow],
    confidence: float,
    design: Design,
    *,
    baseline: Sequence[RunRow] | None = None,
) -> Estimate | None:
    """The mean of the metric that is compared over other seeds and other test samples.

    Of its difference from the runs of ``baseline``, pair by pair, where they are given. None
    where splits vary (the interval over seeds covers samples, too), where there is no run, or
    where the metric is no mean over samples.
    """
    of_runs = [row.sample_errors for row in (*rows, *(baseline or ()))]
    errors = [each for each in of_runs if each is not None]
    if design.varies or not rows or len(errors) < len(of_runs):
        return None
    other = None if baseline is None else errors[len(rows) :]
    return two_way_interval(errors[: len(rows)], confidence, other)


def at_one_rms(summaries: Sequence[SettingSummary]) -> list[SettingSummary]:
    """For each model one setting, all at the same noise level where they sweep it.

    That is the middle of the levels that any model sweeps (the upper one of two); a model that
    lacks it is shown at the level nearest to it in ratio, with the first setting of several.
    Chosen without a look at how well any of them does, so that none is flattered. A model without
    any finite mean has none.
    """
    levels: dict[str, set[float | None]] = {}
    for item in summaries:
        levels.setdefault(item.setting.model, set()).add(item.setting.noise_level)
    swept = sorted({level for own in levels.values() if len(own) > 1 for level in own if level})
    chosen: dict[str, tuple[float, SettingSummary]] = {}
    for item in summaries:
        if not math.isfinite(item.estimate.mean):
            continue
        level = item.setting.noise_level
        distance = math.inf
        if level and swept:
            distance = abs(math.log(level / swept[len(swept) // 2]))
        if distance < chosen.setdefault(item.setting.model, (distance, item))[0]:
            chosen[item.setting.model] = (distance, item)
    return [item for _, item in chosen.values()]


def metrics_tree(
    rows: Sequence[RunRow],
    settings: Sequence[Setting],
    *,
    metric: str,
    confidence: float,
    design: Design = ONE_SPLIT,
) -> dict[str, Any]:
    """The content of ``reports/metrics.json``, ``metric`` in every condition, others as deployed.

    Returns:
        ``{model: {sweep label: {metric: {mean, low, high}}}}``, without the middle level for a
        model that sweeps nothing. A metric that no run of a setting has is left out; a
        variational autoencoder has those of :data:`BOUND` too. Of the metric itself, where one
        split is used, ``two_way_low`` and ``two_way_high`` are the interval over seeds and test
        samples. A setting of which runs diverged also has ``diverged``, their number, and beside
        each mean ``runs``, the number of those it is over. What is not finite is None.
    """
    tree: dict[str, Any] = {}
    columns = (*metric_columns(rows, metric), *BOUND)
    for setting, own in rows_by_setting(rows, settings):
        leaf: dict[str, Any] = {}
        diverged = sum(row.status == "diverged" for row in own)
        for column in columns:
            if _has_values(own, column):
                estimate = _summary(own, setting, column, confidence, design).estimate
                numbers = {name: getattr(estimate, name) for name in ("mean", "low", "high")}
                finished = [row for row in own if row.finished]
                if column == metric and (both := over_samples_too(finished, confidence, design)):
                    numbers |= {"two_way_low": both.low, "two_way_high": both.high}
                leaf[column] = {n: v if math.isfinite(v) else None for n, v in numbers.items()}
                if diverged:
                    leaf[column]["runs"] = estimate.count
        if diverged:
            leaf["diverged"] = diverged
        if setting.sweep:
            tree.setdefault(setting.model, {})[setting.sweep_label()] = leaf
        else:
            tree[setting.model] = leaf
    return tree


@dataclass(frozen=True)
class GeneralizationGap:
    """Advantage of a setting on the training split over test, over the seeds that finished.

    An offset that is a key to memorised samples opens the gap; one that is used by a rule
    leaves it.
    """

    setting: Setting
    metric: str
    train: Estimate
    test: Estimate
    gap: Estimate  # seed by seed; above zero, training is better
    relative: Estimate  # how much larger the error is on test: 0.05 is 5 %


def summarise_generalization_gaps(
    pairs: Iterable[tuple[Run, tuple[float, float]]],
    *,
    metric: str,
    confidence: float,
    design: Design = ONE_SPLIT,
) -> list[GeneralizationGap]:
    """The gap of every setting, from each run's metric as deployed on training and test split."""
    summaries = []
    for setting, values in by_setting(pairs):
        train, test = np.array(values, dtype=np.float64).T
        gap = differences(train, test) if higher_is_better(metric) else differences(test, train)
        relative = statistics.relative_change(test, train, metric)
        # A gap has the training samples in it, whose overlap is the larger.
        overlaps = [design.overlap_on(split) for split in ("train", "test", "train", "train")]
        estimates = (
            mean_and_interval(each, confidence, overlap)
            for each, overlap in zip((train, test, gap, relative), overlaps, strict=True)
        )
        summaries.append(GeneralizationGap(setting, metric, *estimates))
    return summaries


@dataclass(frozen=True)
class Curve:
    """The best validation loss so far, over the runs of a setting; arrays are (points,)."""

    setting: Setting
    epochs: NDArray[np.int64]  # those shown, from 1
    mean: NDArray[np.float64]
    low: NDArray[np.float64]  # NaN with a single run
    high: NDArray[np.float64]
    runs: int


def best_so_far(val_loss: NDArray[Any], epochs: int) -> NDArray[np.float64]:
    """The validation loss of the weights that a run would keep, were it to end at each epoch.

    ``best(t) = min over s ≤ min(t, T) of val_loss(s)`` for a run of T epochs: a run that stopped
    keeps its best loss while others go on, so that the mean does not jump where one stops.

    Raises:
        ValueError: where there is no epoch.
    """
    val_loss = np.asarray(val_loss, dtype=np.float64)
    if val_loss.ndim != 1 or not len(val_loss):
        raise ValueError(f"needs one value per epoch, (epochs,), got the shape {val_loss.shape}")
    best = np.fmin.accumulate(val_loss)[:epochs]
    return np.concatenate([best, np.full(epochs - len(best), best[-1])])


def learning_curves(
    val_losses: Iterable[tuple[Run, NDArray[Any]]],
    *,
    confidence: float,
    design: Design = ONE_SPLIT,
) -> list[Curve]:
    """The curve of each setting that has runs, up to the last epoch that one of them reached.

    ``val_losses`` are those of each finished run, (epochs,) from the first on.

    Raises:
        ValueError: where a run has no epoch.
    """
    curves, overlap = [], design.overlap_on("validation")
    for setting, losses in by_setting(val_losses):
        last = max(len(loss) for loss in losses)
        best = np.stack([best_so_far(loss, last) for loss in losses])
        epochs = shown_epochs(last)
        estimates = [mean_and_interval(best[:, epoch - 1], confidence, overlap) for epoch in epochs]
        mean, low, high = np.array([(each.mean, each.low, each.high) for each in estimates]).T
        curves.append(Curve(setting, epochs, mean, low, high, runs=len(losses)))
    return curves


def shown_epochs(last: int) -> NDArray[np.int64]:
    """At most :data:`MOST_POINTS` epochs, ascending, from 1 to ``last``; all where they are few.

    Half are equally far apart, half at equal ratios, since a curve bends most at its start.
    """
    if last <= MOST_POINTS:
        return np.arange(1, last + 1)
    even = np.linspace(1, last, MOST_POINTS // 2)
    ratio = np.geomspace(1, last, MOST_POINTS - MOST_POINTS // 2)
    return np.unique(np.rint(np.concatenate([even, ratio])).astype(np.int64))
