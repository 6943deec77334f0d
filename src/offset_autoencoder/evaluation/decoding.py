"""Metrics of many ways to decode the same samples, several at once, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np

from offset_autoencoder.evaluation.metrics import (
    METRICS,
    Array,
    Decode,
    Domain,
    Float64,
    Metric,
    checked_pair,
)

T = TypeVar("T")

BLOCK_BYTES = 64 * 2**20
_BLOCK_VALUES = 2**17  # of an array at a time, so that its float64 copies stay in the cache


def decoded_metrics(
    x: Array,
    inputs: Iterator[tuple[T, Array | None, Array]],
    decode: Decode,
    names: Sequence[str],
    domain: Domain,
) -> Iterator[tuple[T, dict[str, float]]]:
    """Metrics of many ways to decode the same samples x (n, features), a few blocks at a time.

    An input is the caller's key, codes (n, L) and offsets (n, L); inputs have all codes or all
    None. ``decode``, from codes and offsets to reconstructions (rows, features), is called on as
    many rows as :data:`BLOCK_BYTES` hold, several inputs stacked; without codes on None and the
    offsets of all n samples in order.

    Yields:
        Each input's key and metrics, to rounding those of :func:`.metrics.reconstruction_metrics`.

    Raises:
        ValueError: where shapes do not fit, or psnr is asked for without a range.
    """
    metrics = [METRICS[name] for name in names]
    means = [METRICS["mse"]]
    means += [m for m in dict.fromkeys(metrics) if m.from_mse is None and m is not means[0]]
    variance = float(np.mean(np.var(x, axis=0, dtype=np.float64)))
    samples, features = x.shape
    while first := next(inputs, None):
        _, code, offset = first
        group, rows = [first], samples
        if code is not None:
            most = max(1, BLOCK_BYTES // (8 * features + 16 * offset.shape[1]))
            rows = min(samples, most)
            group += islice(inputs, most // rows - 1)
        sums = np.zeros((len(group), len(means)))
        for start in range(0, samples, rows):
            block = slice(start, start + rows)
            codes = [code[block] for _, code, _ in group if code is not None]
            offsets = np.concatenate([offset[block] for _, _, offset in group])
            output = decode(np.concatenate(codes) if codes else None, offsets)
            if output.shape != (shape := (len(offsets), features)):
                raise ValueError(f"decoding must give {shape}, it gave {output.shape}")
            for index, part in enumerate(np.split(output, len(group))):
                sums[index] += _sums(x[block], part, means, domain)
        for (key, *_), row in zip(group, (sums / samples).tolist(), strict=True):
            values = {metric.name: mean for metric, mean in zip(means, row, strict=True)}
            for metric in metrics:
                if metric.from_mse is not None:
                    values[metric.name] = metric.from_mse(values["mse"], variance, domain)
            yield key, {name: values[name] for name in names}


def _sums(x: Array, output: Array, metrics: Sequence[Metric], domain: Domain) -> Float64:
    """Each metric's mean over samples times their number, a few rows at a time."""
    step = max(1, _BLOCK_VALUES // x.shape[1])
    sums = np.zeros(len(metrics))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        block, out = checked_pair(x[rows], output[rows])
        sums += [len(block) * metric.function(block, out, domain) for metric in metrics]
    return sums
