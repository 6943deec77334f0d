"""Samples encoded and decoded a block of rows at a time, and the metrics of what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.evaluation import metrics
from offset_autoencoder.io.arrays import Matrix, blocks, chunks
from offset_autoencoder.models.inference import Encoded, RunInference

T = TypeVar("T")

BLOCK_BYTES = 16 * 2**20
_CACHED_VALUES = 2**17  # of an array at a time, so that its float64 copies stay in the cache

# From what the encoder gives to the decoder's inputs, for one block after the other.
Change = Callable[[Encoded], tuple[metrics.Array | None, metrics.Array]]


class MetricSums:
    """Metrics of reconstructions that come a block of samples at a time.

    Args:
        domain: Domain of all samples.
        variance: See :func:`variance_of`, of all samples.
        names: Metrics to compute; None for every one that applies.
        errors: Metrics whose value for each sample is kept.
    """

    def __init__(
        self,
        domain: metrics.Domain,
        variance: float,
        names: Sequence[str] | None = None,
        errors: Sequence[str] = (),
    ) -> None:
        if names is None:
            names = [name for name, metric in metrics.METRICS.items() if metric.applies(domain)]
        self._metrics = [metrics.METRICS[name] for name in names]
        self._domain, self._variance = domain, variance
        averaged = {metric.name: metric for metric in self._metrics if metric.function}
        self._averaged = {"mse": metrics.METRICS["mse"], **averaged}
        self._means: list[list[float]] = []
        kept = [*errors, *(domain.error for metric in self._metrics if metric.detects)]
        self._errors: dict[str, list[metrics.Float64]] = {name: [] for name in kept}
        self._counts: list[int] = []

    def add(self, x: NDArray[Any], reconstruction: NDArray[Any]) -> None:
        """Add samples and their reconstructions, both (n, features).

        Raises:
            ValueError: where the shapes differ, there is no sample, or x is outside the domain.
        """
        x, reconstruction = metrics.checked_pair(x, reconstruction)
        functions = [metric.function for metric in self._averaged.values()]
        self._means.append([f(x, reconstruction, self._domain) for f in functions if f])
        for name, kept in self._errors.items():
            per_sample = metrics.METRICS[name].per_sample
            assert per_sample is not None
            kept.append(per_sample(x, reconstruction))
        self._counts.append(len(x))

    def errors(self, name: str) -> metrics.Float64:
        """The metric's value for each sample, (n,), of one that is kept."""
        return np.concatenate(self._errors[name])

    def values(self) -> dict[str, float]:
        """The metrics of all samples together, by name."""
        shares = np.array(self._counts) / sum(self._counts)
        averaged = (shares @ np.array(self._means)).tolist()
        means = dict(zip(self._averaged, averaged, strict=True))
        values = {}
        for metric in self._metrics:
            if metric.from_errors:
                errors = self.errors(self._domain.error)
                assert self._domain.anomalies is not None
                values[metric.name] = metric.from_errors(errors, self._domain.anomalies)
            elif metric.from_mse:
                values[metric.name] = metric.from_mse(means["mse"], self._variance, self._domain)
            else:
                values[metric.name] = means[metric.name]
        return values


def variance_of(x: Matrix) -> float:
    """The variance of samples (n, features), the mean over the features, a chunk at a time.

    Source: Chan, Golub & LeVeque, Updating formulae for computing sample variances (1979).
    """
    count, mean, squares = 0, np.zeros(1), np.zeros(1)
    for _, chunk in chunks(x):
        rows = np.asarray(chunk, np.float64)
        own, total = rows.mean(axis=0), count + len(rows)
        between = np.square(own - mean) * (count * len(rows) / total)
        squares = squares + np.var(rows, axis=0) * len(rows) + between
        mean, count = mean + (own - mean) * (len(rows) / total), total
    return float(np.mean(squares / count))


def reconstruction_metrics(
    x: NDArray[Any], reconstruction: NDArray[Any], domain: metrics.Domain
) -> dict[str, float]:
    """Every metric that applies to x and reconstruction, both (n, features), by name.

    Raises:
        ValueError: where the shapes differ, there is no sample, or x is outside the domain.
    """
    sums = MetricSums(domain, variance_of(x) if x.size else 0.0)
    sums.add(x, reconstruction)
    return sums.values()


@dataclass(frozen=True)
class SplitInference:
    """A network's codes and reconstructions of the samples of a split, whatever their number.

    Attributes:
        x: Samples (n, features) float32, mapped or in memory.
        offset: Function from rows to their offsets as they are added, (rows, L) float32.
        variance: That of the split, if it is known: see :func:`variance_of`.
    """

    inference: RunInference
    x: Matrix
    offset: Callable[[slice], metrics.Array]
    variance: float | None = None

    def blocks(self) -> Iterator[tuple[metrics.Array, Encoded, metrics.Decode]]:
        """Samples, their codes, and the decoder for them, block after block in order."""
        for start, x in blocks(self.x):
            offset = self.offset(slice(start, start + len(x)))
            yield x, self.inference.encode(x, offset), self.inference.decoder(x)

    def measure(
        self, changes: Mapping[T, Change], domain: metrics.Domain, errors: Sequence[str] = ()
    ) -> dict[T, MetricSums]:
        """Metrics under each change of the decoder's inputs; ``errors`` are kept sample by sample.

        A block is decoded once under changes that give the very same arrays.
        """
        variance = variance_of(self.x) if self.variance is None else self.variance
        sums = {name: MetricSums(domain, variance, errors=errors) for name in changes}
        for x, encoded, decode in self.blocks():
            outputs: dict[tuple[int, int], metrics.Array] = {}
            pairs = {name: change(encoded) for name, change in changes.items()}
            for name, pair in pairs.items():
                key = id(pair[0]), id(pair[1])
                if key not in outputs:
                    outputs[key] = decode(*pair)
                sums[name].add(x, outputs[key])
        return sums


def decoded_metrics(
    x: metrics.Array,
    inputs: Iterator[tuple[T, metrics.Array | None, metrics.Array]],
    decode: metrics.Decode,
    names: Sequence[str],
    domain: metrics.Domain,
) -> Iterator[tuple[T, dict[str, float]]]:
    """Metrics of many ways to decode the same samples x (n, features), a few blocks at a time.

    An input is the caller's key, codes (n, L) and offsets (n, L); inputs have all codes or all
    None. ``decode``, from codes and offsets to reconstructions (rows, features), is called on as
    many rows as :data:`BLOCK_BYTES` hold, several inputs stacked; without codes on None and the
    offsets of all n samples in order.

    Yields:
        Each input's key and metrics, to rounding those of :func:`reconstruction_metrics`.

    Raises:
        ValueError: where shapes do not fit, or psnr is asked for without a range.
    """
    variance = variance_of(x)
    samples, features = x.shape
    while first := next(inputs, None):
        _, code, offset = first
        group, rows = [first], samples
        if code is not None:
            most = max(1, BLOCK_BYTES // (8 * features + 16 * offset.shape[1]))
            rows = min(samples, most)
            group += islice(inputs, most // rows - 1)
        sums = [MetricSums(domain, variance, names) for _ in group]
        for start in range(0, samples, rows):
            block = slice(start, start + rows)
            codes = [code[block] for _, code, _ in group if code is not None]
            offsets = np.concatenate([offset[block] for _, _, offset in group])
            output = decode(np.concatenate(codes) if codes else None, offsets)
            if output.shape != (shape := (len(offsets), features)):
                raise ValueError(f"decoding must give {shape}, it gave {output.shape}")
            for own, part in zip(sums, np.split(output, len(group)), strict=True):
                step = max(1, _CACHED_VALUES // features)
                for low in range(0, len(part), step):
                    own.add(x[block][low : low + step], part[low : low + step])
        for (key, *_), own in zip(group, sums, strict=True):
            yield key, own.values()
