"""A mean and its interval as they stand in the tables of the terminal."""

from __future__ import annotations

import math

from offset_autoencoder.evaluation.statistics import Estimate


def mean_and_half(
    estimate: Estimate | None, pm: str, *, decimals: int, factor: float = 1, signed: bool = False
) -> str:
    """``"+650.2 ± 14.1"``; ``-`` for what is not known, a mean alone where it has no interval.

    Args:
        estimate: The mean and its interval.
        pm: The sign between mean and half interval.
        decimals: How many decimals both have.
        factor: What both are multiplied by: 100 for percent.
        signed: Whether a mean above zero has its sign.
    """
    if estimate is None or math.isnan(estimate.mean):
        return "-"
    mean = f"{factor * estimate.mean:{'+' if signed else ''}.{decimals}f}"
    if not math.isfinite(estimate.half):
        return mean
    return f"{mean} {pm} {factor * estimate.half:.{decimals}f}"
