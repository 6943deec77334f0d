"""Adaptation to the offset: of the encoder, and of the decoder by what it reads from it.

An encoder that sees x can compute f(x). Trained with it, its code may carry ``−f(x)``, which
cancels the offset, or ``+f(x)``, which reinforces it: the slope of the code on the offset. A
decoder that reads x from the offset moves towards the donor of another sample's offset.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Run, Setting
from offset_autoencoder.evaluation.metrics import AT_MOST_ONE, Array, Decode, Float64
from offset_autoencoder.evaluation.statistics import ONE_SPLIT, Design, Estimate
from offset_autoencoder.evaluation.summary import by_setting
from offset_autoencoder.io.arrays import BLOCK_VALUES

AdaptationWord = Literal["cancels", "reinforces", "ignores", "inconclusive", "unknown"]

# A slope this near zero moves the code by less than a twentieth of the offset.
SMALL_SLOPE = 0.05
_ROUNDING = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class EncoderAdaptation:
    """Dependence of one run's codes on its offset, over the samples.

    Attributes:
        slope: b of ``code ≈ a + b·offset``: one number for all coordinates, each about its own
            mean. −1: the code takes the offset back; 0: it does not know of it; 1: it repeats it.
        explained: Share of the code's variance that a linear map of the whole offset explains,
            adjusted for the number of coordinates: about 0 where the two are unrelated.
        plain_slope: The same of the code of the run of the same seed that was trained without the
            offset: what goes with any code by chance. None without such a run, or where its
            encoder is another.
    """

    slope: float
    explained: float
    plain_slope: float | None


def encoder_adaptation(
    code: NDArray[Any], offset: NDArray[Any], plain_code: NDArray[Any] | None = None
) -> EncoderAdaptation | None:
    """Measure how the codes of a run depend on its offset, both (n, L); None if that is constant.

    ``plain_code`` is the samples' code by the run of the same seed trained without an offset.

    Raises:
        ValueError: where the shapes differ.
    """
    if any(codes is not None and codes.shape != offset.shape for codes in (code, plain_code)):
        raise ValueError("codes and offset differ in shape")
    centred = _centred(offset)
    size = float(np.sum(np.square(offset, dtype=np.float64)))
    if float(np.sum(np.square(centred))) <= _ROUNDING**2 * size:
        return None
    plain = None if plain_code is None else _slope(_centred(plain_code), centred)
    own = _centred(code)
    return EncoderAdaptation(_slope(own, centred), _explained(own, centred), plain)


def adaptation_word(slope: Estimate) -> AdaptationWord:
    """The word for a slope less the plain one, over seeds, by its interval.

    ``ignores``: all of it lies within ± :data:`SMALL_SLOPE`. Else ``cancels`` where all of it lies
    below zero, ``reinforces`` where above, ``inconclusive`` where it holds zero. ``unknown``
    without an interval.
    """
    if not (math.isfinite(slope.low) and math.isfinite(slope.high)):
        return "unknown"
    if slope.low >= -SMALL_SLOPE and slope.high <= SMALL_SLOPE:
        return "ignores"
    if slope.high < 0:
        return "cancels"
    return "reinforces" if slope.low > 0 else "inconclusive"


@dataclass(frozen=True)
class EncoderAdaptationSummary:
    """Adaptation of a setting's encoder to its offset, over the seeds that finished.

    Its figures are those of :class:`EncoderAdaptation`; ``learnt_slope`` is the slope less the
    plain slope, seed by seed, which the word is for: ``slope`` alone is there by chance too.
    """

    setting: Setting
    slope: Estimate
    plain_slope: Estimate  # count 0 where unknown
    learnt_slope: Estimate  # count 0 where unknown
    explained: Estimate
    word: AdaptationWord


def summarise_encoder_adaptation(
    adaptations: Iterable[tuple[Run, EncoderAdaptation | None]], *, design: Design = ONE_SPLIT
) -> list[EncoderAdaptationSummary]:
    """The adaptation of every setting whose runs have one."""
    summaries = []
    for setting, items in by_setting(adaptations):
        pairs = [(item.slope, item.plain_slope) for item in items if item.plain_slope is not None]
        per_seed = (
            [item.slope for item in items],
            [plain for _, plain in pairs],
            [own - plain for own, plain in pairs],
        )
        slope, plain, learnt = (design.estimate(values) for values in per_seed)
        explained = design.estimate([item.explained for item in items], bounds=AT_MOST_ONE)
        word = adaptation_word(learnt)
        summaries.append(EncoderAdaptationSummary(setting, slope, plain, learnt, explained, word))
    return summaries


def donor_shift(
    x: Array, code: Array | None, offset: Array, decode: Decode, sources: NDArray[np.int64]
) -> float:
    """The share of the way to another sample, the donor, that its offset takes a reconstruction.

    The slope of the output's shift on the samples' difference, over all samples i, their
    sources j and all features: ``Σ (x'ᵢⱼ − x'ᵢᵢ)·(xⱼ − xᵢ) / Σ ‖xⱼ − xᵢ‖²``, where ``x'ᵢⱼ`` is
    decoded from the code of i and the offset of j. 1: the output is the other sample's; 0: it
    does not move that way, as where an encoder merely takes a known offset back. Above zero, the
    decoder reads x from the offset.

    Samples x and reconstructions are (n, features), codes (or None) and offsets (n, L);
    ``sources`` (draws, n) is whose offset each sample gets. NaN without sources, or where all
    samples are alike.
    """
    moved, whole = 0.0, 0.0
    # Without a code the decoder encodes all samples again, whatever is asked of it.
    size = len(x) if code is None else max(1, BLOCK_VALUES // x.shape[1])
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        codes = None if code is None else code[rows]
        own = decode(codes, offset[rows]).astype(np.float64)
        for source in sources:
            way = x[source[rows]].astype(np.float64) - x[rows]
            moved += float(np.sum((decode(codes, offset[source[rows]]) - own) * way))
            whole += float(np.sum(np.square(way)))
    return moved / whole if whole > 0 else float("nan")


def _centred(rows: NDArray[Any]) -> Float64:
    rows = np.asarray(rows, dtype=np.float64)
    return rows - rows.mean(axis=0)


def _slope(code: Float64, offset: Float64) -> float:
    """Least squares of one slope for all coordinates: Σ cov / Σ var."""
    return float(np.sum(code * offset) / np.sum(np.square(offset)))


def _explained(code: Float64, offset: Float64) -> float:
    """Adjusted R² of the least squares of all coordinates on all: Ezekiel's 1930 correction."""
    directions, sizes, _ = np.linalg.svd(offset, full_matrices=False)
    kept = sizes > sizes[0] * max(offset.shape) * np.finfo(np.float32).eps
    rank, count = int(kept.sum()), len(offset)
    total = float(np.sum(np.square(code)))
    if not total or count <= rank + 1:
        return float("nan")
    share = float(np.sum(np.square(directions[:, kept].T @ code))) / total
    return 1 - (1 - share) * (count - 1) / (count - 1 - rank)
