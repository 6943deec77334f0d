"""Samples encoded and decoded a block of rows at a time, and the metrics of what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np

from offset_autoencoder.evaluation.metric_sums import MetricSums, variance_of
from offset_autoencoder.evaluation.metrics import Array, Decode, Domain
from offset_autoencoder.io.arrays import Matrix, blocks
from offset_autoencoder.models.inference import Encoded, RunInference

T = TypeVar("T")

BLOCK_BYTES = 16 * 2**20
_CACHED_VALUES = 2**17  # of an array at a time, so that its float64 copies stay in the cache

# From what the encoder gives to the decoder's inputs, for one block after the other.
Change = Callable[[Encoded], tuple[Array | None, Array]]


@dataclass(frozen=True)
class SplitInference:
    """A network's codes and reconstructions of the samples of a split, whatever their number.

    Attributes:
        x: Samples (n, features) float32, mapped or in memory.
        offset: Function from rows to their offsets as they are added, (rows, L) float32.
    """

    inference: RunInference
    x: Matrix
    offset: Callable[[slice], Array]

    def blocks(self) -> Iterator[tuple[Array, Encoded, Decode]]:
        """Samples, their codes, and the decoder for them, block after block in order."""
        for start, x in blocks(self.x):
            offset = self.offset(slice(start, start + len(x)))
            yield x, self.inference.encode(x, offset), self.inference.decoder(x)

    def measure(
        self, changes: Mapping[T, Change], domain: Domain, errors: Sequence[str] = ()
    ) -> dict[T, MetricSums]:
        """Metrics under each change of the decoder's inputs; ``errors`` are kept sample by sample.

        A block is decoded once under changes that give the very same arrays.
        """
        sums = {name: MetricSums(domain, errors=errors) for name in changes}
        for x, encoded, decode in self.blocks():
            outputs: dict[tuple[int, int], Array] = {}
            pairs = {name: change(encoded) for name, change in changes.items()}
            for name, pair in pairs.items():
                key = id(pair[0]), id(pair[1])
                if key not in outputs:
                    outputs[key] = decode(*pair)
                sums[name].add(x, outputs[key])
        return sums


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
    variance = variance_of(x)
    samples, features = x.shape
    while first := next(inputs, None):
        _, code, offset = first
        group, rows = [first], samples
        if code is not None:
            most = max(1, BLOCK_BYTES // (8 * features + 16 * offset.shape[1]))
            rows = min(samples, most)
            group += islice(inputs, most // rows - 1)
        sums = [MetricSums(domain, names, variance=variance) for _ in group]
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
