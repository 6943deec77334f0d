"""Metrics of many ways to decode the same samples, a few blocks of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.evaluation import metrics

Array = NDArray[np.float32]
Decode = Callable[[Array | None, Array], Array]

BLOCK_BYTES = 64 * 2**20
_METRIC_VALUES = 2**17  # of an array at a time, so that its float64 copies stay in the cache

_MEANS: dict[str, Callable[[Array, Array], float]] = {
    "mse": metrics.mse,
    "mae": metrics.mae,
    "binary_crossentropy": metrics.binary_crossentropy,
}


@dataclass(frozen=True)
class Given:
    """What the decoder is given for all samples, under a name of the caller's.

    Attributes:
        name: The name.
        code: (n, L), or None where the architecture names no code.
        offset: (n, L).
    """

    name: object
    code: Array | None
    offset: Array


def decoded_metrics(
    x: Array,
    given: Iterator[Given],
    decode: Decode,
    wanted: Sequence[str],
    data_range: tuple[float, float] | None,
) -> Iterator[tuple[object, dict[str, float]]]:
    """Decode and measure.

    Args:
        x: The samples, (n, features).
        given: What the decoder is given, all with codes or all without, of the same shape.
        decode: From codes and offsets to reconstructions, (rows, features). It is called on as
            many rows as :data:`BLOCK_BYTES` hold, several of ``given`` stacked; without codes
            on None and the offsets of all n samples in order.
        wanted: The metrics, of :data:`.metrics.METRICS`.
        data_range: Lowest and highest value that the data can take, for psnr.

    Yields:
        For each of ``given``, in order, its name and the metrics: to rounding those of
        :func:`.metrics.reconstruction_metrics`.

    Raises:
        ValueError: where shapes do not fit, or psnr is wanted without a range.
    """
    names = list(dict.fromkeys(["mse", *(name for name in wanted if name in _MEANS)]))
    variance = float(np.mean(np.var(x, axis=0, dtype=np.float64)))
    samples = len(x)
    while first := next(given, None):
        most = max(1, BLOCK_BYTES // (8 * x.shape[1] + 16 * first.offset.shape[1]))
        rows = samples if first.code is None else min(samples, most)
        group = [first]
        if first.code is not None:
            group += islice(given, most // rows - 1)
        sums = np.zeros((len(group), len(names)))
        for start in range(0, samples, rows):
            block = x[start : start + rows]
            output = decode(
                _stacked([one.code for one in group], start, rows),
                np.concatenate([one.offset[start : start + rows] for one in group]),
            )
            if output.shape != (len(group) * len(block), x.shape[1]):
                raise ValueError(
                    f"decoding must give {(len(group) * len(block), x.shape[1])}, "
                    f"it gave {output.shape}"
                )
            for index, part in enumerate(output.reshape(len(group), *block.shape)):
                sums[index] += _sums(block, part, names)
        for one, each in zip(group, sums / samples, strict=True):
            means = dict(zip(names, map(float, each), strict=True))
            yield one.name, _asked_for(means, wanted, variance, data_range)


def _stacked(codes: Sequence[Array | None], start: int, rows: int) -> Array | None:
    known = [code[start : start + rows] for code in codes if code is not None]
    return np.concatenate(known) if known else None


def _sums(x: Array, output: Array, names: Sequence[str]) -> NDArray[np.float64]:
    step = max(1, _METRIC_VALUES // x.shape[1])
    sums = np.zeros(len(names))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        sums += [len(x[rows]) * _MEANS[name](x[rows], output[rows]) for name in names]
    return sums


def _asked_for(
    means: dict[str, float],
    wanted: Sequence[str],
    variance: float,
    data_range: tuple[float, float] | None,
) -> dict[str, float]:
    """The metrics asked for, also those that follow from the mean squared error."""
    error = means["mse"]
    if "psnr" in wanted:
        if data_range is None:
            raise ValueError("psnr needs the range of the data")
        peak = (data_range[1] - data_range[0]) ** 2
        means["psnr"] = 10 * float(np.log10(peak / error)) if error else float("inf")
    means["explained_variance"] = 1 - error / variance if variance else float("nan")
    return {name: means[name] for name in wanted}
