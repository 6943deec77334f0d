"""How well a number per sample, its error, tells anomalies from normal samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]


def auroc(errors: NDArray[Any], is_anomaly: NDArray[np.bool_]) -> float:
    """Area under the receiver operating characteristic of errors ``(n,)``, anomalies ``(n,)``.

    It is the share of pairs, an anomaly and a normal sample, in which the anomaly has the larger
    error; a tie counts half (Hanley & McNeil 1982, The meaning and use of the area under a ROC
    curve). 0.5 is chance. NaN where an error is, and where there is no such pair.
    """
    hits, flagged = _counts(errors, is_anomaly)
    hits, false = (np.concatenate([[0.0], counts]) for counts in (hits, flagged - hits))
    pairs = hits[-1] * false[-1]
    return float(np.sum(np.diff(false) * (hits[1:] + hits[:-1])) / (2 * pairs)) if pairs else np.nan


def average_precision(errors: NDArray[Any], is_anomaly: NDArray[np.bool_]) -> float:
    """Mean precision over the anomalies, each flagged with all that err at least as much.

    ``Σ (R_k − R_{k−1}) · P_k`` over the distinct errors from the largest down: no interpolation.
    At chance it is the share of anomalies. NaN as :func:`auroc`.
    """
    hits, flagged = _counts(errors, is_anomaly)
    gained = np.diff(hits, prepend=0.0)
    return float(np.sum(gained * hits / flagged) / hits[-1]) if hits[-1] else np.nan


def _counts(errors: NDArray[Any], is_anomaly: NDArray[np.bool_]) -> tuple[Counts, Counts]:
    """Anomalies and samples of at least each distinct error, from the largest error down."""
    if np.isnan(errors).any():
        return np.full(1, np.nan), np.full(1, np.nan)
    _, places = np.unique(-errors, return_inverse=True)
    hits = np.bincount(places, weights=is_anomaly)
    return np.cumsum(hits), np.cumsum(np.bincount(places)).astype(np.float64)
