"""Errors of single samples: of the test split, and thresholds for them from the validation split.

A threshold is a quantile of the errors of validation samples, which a run has not trained on: of
new samples of the same kind, about a share of 1 − q should exceed that of q.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Setting
from offset_autoencoder.errors import InputError
from offset_autoencoder.evaluation.metrics import METRICS, Array, Domain, sample_errors
from offset_autoencoder.evaluation.statistics import Design, Estimate, mean_and_interval
from offset_autoencoder.evaluation.summary import RunRow, rows_by_setting
from offset_autoencoder.io.arrays import TempArray

QUANTILES = (0.9, 0.95, 0.99)

Columns = Mapping[str, NDArray[Any]]


def errors_that_apply(x: Array, reconstruction: Array) -> list[str]:
    """Metrics that are an error of each sample, and defined for these and their reconstructions."""
    domains = [Domain.of(array, None) for array in (x, reconstruction) if array.size]
    return [
        name
        for name, metric in METRICS.items()
        if metric.per_sample and all(metric.applies(domain) for domain in domains)
    ]


def errors_of(metric: str, x: Array, reconstruction: Array, *, per_feature: bool = False) -> Array:
    """Error of each sample, (n,) float32, or of each of its features, (n, D), which that averages.

    Raises:
        InputError: where the metric is none of :func:`errors_that_apply`.
    """
    if metric not in (known := errors_that_apply(x, reconstruction)):
        what = f"{metric} is no error of these samples and their reconstructions, once scaled"
        raise InputError("metric", what, f"one of {', '.join(known)}")
    # A feature by itself is a sample of one feature.
    pair = [part.reshape(-1, 1) if per_feature else part for part in (x, reconstruction)]
    errors = sample_errors(metric, *pair)
    assert errors is not None
    return errors.reshape(x.shape) if per_feature else errors


@dataclass(frozen=True)
class TestedSamples:
    """Test samples of a split, each (n,); labels as they came, or None without labels.

    ``is_anomaly`` is None where no anomalies are to be detected.
    """

    __test__ = False  # pytest takes the name for a test's

    ids: NDArray[Any]
    labels: NDArray[Any] | None = None
    is_anomaly: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class SampleErrors:
    """Errors of samples by a run as deployed.

    Attributes:
        metric: Whose value for a sample its error is.
        test: Of each test sample, (n,).
        thresholds: The :data:`QUANTILES` of the errors of the validation split.
        samples: The test samples.
        compared: Of each test sample in the metric that is compared; None where that is no mean
            over samples.
    """

    metric: str
    test: Array
    thresholds: tuple[float, ...]
    samples: TestedSamples
    compared: Array | None = None


class ErrorStore:
    """Errors of the samples of many runs: in a temporary file where they are more than a chunk."""

    def __init__(self) -> None:
        self._file, self._runs, self._ends = TempArray(), dict[str, SampleErrors](), list[int]()

    def add(self, run_id: str, errors: SampleErrors) -> None:
        """Store the errors of a run."""
        none = np.empty(0, np.float32)
        for values in (errors.test, errors.compared):
            if values is not None:
                self._file.write(values)
                self._ends.append(len(self._file) // 4)
        compared = None if errors.compared is None else none
        self._runs[run_id] = replace(errors, test=none, compared=compared)

    def all(self) -> dict[str, SampleErrors]:
        """The errors of each run by id; those on disk are read as they are needed."""
        arrays = iter(np.split(self._file.floats(), self._ends))
        return {
            run_id: replace(
                errors,
                test=next(arrays),
                compared=None if errors.compared is None else next(arrays),
            )
            for run_id, errors in self._runs.items()
        }


def thresholds(errors: NDArray[Any]) -> tuple[float, ...]:
    """The :data:`QUANTILES` of errors (n,), interpolated linearly; NaN where an error is."""
    return tuple(np.quantile(errors.astype(np.float64), QUANTILES).tolist())


def error_columns(
    runs: Sequence[RunRow],
    settings: Sequence[Setting],
    errors: Mapping[str, SampleErrors],
    *,
    varies: bool,
) -> dict[str, NDArray[Any]]:
    """Columns of ``errors/test.parquet``: the test samples, and their errors by each setting.

    ``errors`` are by id of the finished runs. Where splits vary, a row is a sample of a seed's
    split, with the errors of that seed's runs; else it has the mean of the errors over seeds. NaN
    where no run finished.
    """
    samples: dict[int | None, TestedSamples] = {}
    for row in runs:
        if row.id in errors:
            samples.setdefault(row.run.seed if varies else None, errors[row.id].samples)
    lead: dict[str, list[Any]] = {}
    for seed, own in samples.items():
        seeds = None if seed is None else np.full(len(own.ids), seed)
        cells = {"seed": seeds, "id": own.ids, "label": own.labels, "anomaly": own.is_anomaly}
        for name, values in cells.items():
            if values is not None:
                lead.setdefault(name, []).append(values)
    labels = {setting.label for setting in settings}
    columns = {
        # A model may have that name.
        name if name not in labels else f"{name}_of_sample": np.concatenate(parts)
        for name, parts in lead.items()
    }
    file, count = TempArray(), sum(len(own.ids) for own in samples.values())
    groups = rows_by_setting(runs, settings)
    for _, rows in groups:
        for seed, own in samples.items():
            total, found = np.zeros(len(own.ids)), 0
            for row in rows:
                if row.id in errors and seed in (None, row.run.seed):
                    total += errors[row.id].test
                    found += 1
            file.write((total / found if found else total * np.nan).astype(np.float32))
    of_settings = file.floats().reshape(len(groups), count)
    labelled = zip((setting.label for setting, _ in groups), of_settings, strict=True)
    return {**columns, **dict(labelled)}


@dataclass(frozen=True)
class ErrorSummary:
    """Errors of the test samples of a setting against its thresholds, over seeds, by quantile.

    Attributes:
        metric: Whose value for a sample its error is.
        thresholds: Of each of :data:`QUANTILES`.
        above: Share of the test samples above each: of the normal ones, where that is known.
        detected: Share of the anomalies above each; None where none are sought.
    """

    setting: Setting
    metric: str
    thresholds: tuple[Estimate, ...]
    above: tuple[Estimate, ...]
    detected: tuple[Estimate, ...] | None


def summarise_errors(
    runs: Sequence[RunRow],
    settings: Sequence[Setting],
    errors: Mapping[str, SampleErrors],
    *,
    confidence: float,
    design: Design,
) -> list[ErrorSummary]:
    """The summary of each setting of which a run finished; arguments as of `error_columns`."""

    def shares(rows: Sequence[RunRow], *, of_anomalies: bool) -> NDArray[np.float64]:
        """Share of the samples above each threshold, (runs, quantiles)."""
        found = []
        for of_run in (errors[row.id] for row in rows):
            is_anomaly = of_run.samples.is_anomaly
            test = of_run.test if is_anomaly is None else of_run.test[is_anomaly == of_anomalies]
            found.append([np.mean(test > threshold) for threshold in of_run.thresholds])
        return np.array(found)

    def estimates(values: NDArray[np.float64]) -> tuple[Estimate, ...]:
        return tuple(mean_and_interval(value, confidence, design.overlap) for value in values.T)

    summaries = []
    for setting, rows in rows_by_setting(runs, settings):
        finished = [row for row in rows if row.id in errors]
        if not finished:
            continue
        first, bounds = errors[finished[0].id], [errors[row.id].thresholds for row in finished]
        above, detected = estimates(shares(finished, of_anomalies=False)), None
        if first.samples.is_anomaly is not None:
            detected = estimates(shares(finished, of_anomalies=True))
        bounds_over_seeds = estimates(np.array(bounds))
        summaries.append(ErrorSummary(setting, first.metric, bounds_over_seeds, above, detected))
    return summaries
