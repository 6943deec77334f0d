"""Metrics of all samples together from sums over blocks of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.evaluation.metrics import METRICS, Domain, Float64, checked_pair


class MetricSums:
    """Metrics of reconstructions that come a block of samples at a time.

    Args:
        domain: Domain of all samples.
        names: Metrics to compute; None for every one that applies.
        errors: Metrics whose value for each sample is kept.
        variance: Variance of x, the mean over the features, where that is known.
    """

    def __init__(
        self,
        domain: Domain,
        names: Sequence[str] | None = None,
        errors: Sequence[str] = (),
        variance: float | None = None,
    ) -> None:
        if names is None:
            names = [name for name, metric in METRICS.items() if metric.applies(domain)]
        self._metrics = [METRICS[name] for name in names]
        self._domain, self._variance = domain, variance
        averaged = {"mse": METRICS["mse"]}
        averaged |= {metric.name: metric for metric in self._metrics if metric.function}
        self._averaged = averaged
        self._means: list[list[float]] = []
        kept = [*errors, *(domain.error for metric in self._metrics if metric.detects)]
        self._errors: dict[str, list[Float64]] = {name: [] for name in kept}
        needs_variance = variance is None and any(metric.from_mse for metric in self._metrics)
        self._spread = _Spread() if needs_variance else None
        self._counts: list[int] = []

    def add(self, x: NDArray[Any], reconstruction: NDArray[Any]) -> None:
        """Add samples and their reconstructions, both (n, features).

        Raises:
            ValueError: where the shapes differ, there is no sample, or x is outside the domain.
        """
        x, reconstruction = checked_pair(x, reconstruction)
        functions = [metric.function for metric in self._averaged.values()]
        self._means.append([f(x, reconstruction, self._domain) for f in functions if f])
        for name, blocks in self._errors.items():
            per_sample = METRICS[name].per_sample
            assert per_sample is not None
            blocks.append(per_sample(x, reconstruction))
        if self._spread:
            self._spread.add(x)
        self._counts.append(len(x))

    def errors(self, name: str) -> Float64:
        """The metric's value for each sample, (n,), of one that is kept."""
        return np.concatenate(self._errors[name])

    def values(self) -> dict[str, float]:
        """The metrics of all samples together, by name."""
        shares = np.array(self._counts) / sum(self._counts)
        averaged = (shares @ np.array(self._means)).tolist()
        means = dict(zip(self._averaged, averaged, strict=True))
        variance = self._spread.variance if self._spread else self._variance
        values = {}
        for metric in self._metrics:
            if metric.from_errors:
                errors = self.errors(self._domain.error)
                assert self._domain.anomalies is not None
                values[metric.name] = metric.from_errors(errors, self._domain.anomalies)
            elif metric.from_mse:
                assert variance is not None
                values[metric.name] = metric.from_mse(means["mse"], variance, self._domain)
            else:
                values[metric.name] = means[metric.name]
        return values


class _Spread:
    """Variance of features over samples that come in blocks: Chan, Golub & LeVeque 1979."""

    def __init__(self) -> None:
        self._count, self._mean, self._squares = 0, np.zeros(1), np.zeros(1)

    def add(self, x: Float64) -> None:
        """Add a block (n, features)."""
        mean, count = x.mean(axis=0), self._count + len(x)
        between = np.square(mean - self._mean) * (self._count * len(x) / count)
        self._squares = self._squares + np.var(x, axis=0) * len(x) + between
        self._mean = self._mean + (mean - self._mean) * (len(x) / count)
        self._count = count

    @property
    def variance(self) -> float:
        """The mean over the features."""
        return float(np.mean(self._squares / self._count))


def variance_of(x: NDArray[Any]) -> float:
    """The variance of samples (n, features), the mean over the features, in float64."""
    return float(np.mean(np.var(x, axis=0, dtype=np.float64)))


def reconstruction_metrics(
    x: NDArray[Any], reconstruction: NDArray[Any], domain: Domain
) -> dict[str, float]:
    """Every metric that applies to x and reconstruction, both (n, features), by name.

    Raises:
        ValueError: where the shapes differ, there is no sample, or x is outside the domain.
    """
    sums = MetricSums(domain)
    sums.add(x, reconstruction)
    return sums.values()
