"""How the encoder answers the offset: does the code take it back, repeat it, or let it be?

An encoder that sees x can compute f(x). Trained with it, its code may carry ``−f(x)``, which
cancels the offset, or ``+f(x)``, which reinforces it. The slope of the code on the offset tells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Run, Setting
from offset_autoencoder.evaluation.by_setting import runs_by_setting
from offset_autoencoder.evaluation.statistics import Estimate, mean_and_interval

Float64 = NDArray[np.float64]
Answer = Literal["cancels", "reinforces", "ignores", "not told from zero", "unknown"]

# A slope this near zero moves the code by less than a twentieth of the offset.
SMALL_SLOPE = 0.05
_ROUNDING = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Response:
    """How the codes of one run go with its offset, over the samples.

    Attributes:
        slope: b of ``code ≈ a + b·offset``: one number for all coordinates, each about its own
            mean. −1: the code takes the offset back; 0: it does not know of it; 1: it repeats it.
        explained: Share of the code's variance that a linear map of the whole offset explains,
            adjusted for the number of coordinates: about 0 for an offset that has nothing to do
            with the code.
        plain_slope: The slope of another run's code on the same offset, a run of the same seed
            that was trained without it. Whatever says something of x goes with any code by
            chance, and this is how much. None where there is no such run, or where its encoder
            is another.
    """

    slope: float
    explained: float
    plain_slope: float | None


def respond(
    code: NDArray[Any], offset: NDArray[Any], plain_code: NDArray[Any] | None = None
) -> Response | None:
    """How the codes of a run go with its offset.

    Args:
        code: The codes of the samples, (n, L).
        offset: Their offsets, (n, L).
        plain_code: Their codes by the run of the same seed trained without an offset, (n, L).

    Returns:
        None where the offset does not vary.

    Raises:
        ValueError: where the shapes differ.
    """
    if any(each.shape != offset.shape for each in (code, plain_code) if each is not None):
        raise ValueError("codes and offset differ in shape")
    centred = _centred(offset)
    size = float(np.sum(np.square(offset, dtype=np.float64)))
    if float(np.sum(np.square(centred))) <= _ROUNDING**2 * size:
        return None
    plain = None if plain_code is None else _slope(_centred(plain_code), centred)
    own = _centred(code)
    return Response(_slope(own, centred), _explained(own, centred), plain)


def answer(slope: Estimate, *, small: float = SMALL_SLOPE) -> Answer:
    """The word for a slope over seeds, by its interval.

    ``ignores``: all of it lies within ± ``small``. Else ``cancels`` where all of it lies below
    zero, ``reinforces`` where above, ``not told from zero`` where it holds zero. ``unknown``
    without an interval.

    Args:
        slope: The slope less the plain one, over seeds.
        small: The slope that is as good as none.
    """
    if not (math.isfinite(slope.low) and math.isfinite(slope.high)):
        return "unknown"
    if -small <= slope.low and slope.high <= small:
        return "ignores"
    if slope.high < 0:
        return "cancels"
    return "reinforces" if slope.low > 0 else "not told from zero"


@dataclass(frozen=True)
class ResponseSummary:
    """How the encoder answers the offset of a setting, over the seeds that finished.

    Attributes:
        setting: Which setting.
        slope: The slope.
        plain_slope: The slope without training with the offset; count 0 where not known.
        learnt: The slope less the plain slope, seed by seed; count 0 where not known.
        explained: Share of the code's variance that the offset explains linearly.
        answer: The word for ``learnt``; ``unknown`` where that is: ``slope`` alone is there by
            chance too.
    """

    setting: Setting
    slope: Estimate
    plain_slope: Estimate
    learnt: Estimate
    explained: Estimate
    answer: Answer


def summarise_responses(
    finished: Sequence[tuple[str, Run]],
    responses: Mapping[str, Response | None],
    *,
    confidence: float,
) -> list[ResponseSummary]:
    """The answer of every setting that has one, in the order of the settings.

    Args:
        finished: Ids and runs, in the order of the report.
        responses: What :func:`respond` gave for each id; a run may be missing.
        confidence: The share of intervals that hold the true mean.
    """
    known = {run_id: found for run_id, found in responses.items() if found is not None}
    summaries = []
    for setting, members in runs_by_setting(finished, known):
        found = [known[run_id] for run_id, _ in members]
        plain = [one.plain_slope for one in found if one.plain_slope is not None]
        slope, plain_slope, learnt, explained = (
            mean_and_interval(np.array(values, dtype=np.float64), confidence)
            for values in (
                [one.slope for one in found],
                plain,
                [one.slope - one.plain_slope for one in found if one.plain_slope is not None],
                [one.explained for one in found],
            )
        )
        summaries.append(
            ResponseSummary(setting, slope, plain_slope, learnt, explained, answer(learnt))
        )
    return summaries


def _centred(rows: NDArray[Any]) -> Float64:
    rows = np.asarray(rows, dtype=np.float64)
    return rows - rows.mean(axis=0)


def _slope(code: Float64, offset: Float64) -> float:
    """Σ cov / Σ var over the coordinates: the least squares of one slope for all."""
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
