"""A mean and its interval as they stand in the tables of the terminal."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

from offset_autoencoder.evaluation.statistics import Estimate

_MOST_DECIMALS = 6
_MOST_FOR_HALF = 3


def mean_and_half(
    estimate: Estimate | None, pm: str, *, decimals: int, factor: float = 1, signed: bool = False
) -> str:
    """``"+650.2 ± 14.1"``; ``-`` for what is not known, a mean alone where it has no interval.

    Args:
        estimate: The mean and its interval.
        pm: The sign between mean and half interval; an empty one leaves out both.
        decimals: How many decimals both have; more, but at most three, where that would show
            a half interval that is not zero as zero.
        factor: What both are multiplied by: 100 for percent.
        signed: Whether a mean above zero has its sign.
    """
    if estimate is None:
        return "-"
    half = factor * estimate.half
    known = bool(pm) and math.isfinite(half)
    while known and half and decimals < _MOST_FOR_HALF and not round(half, decimals):
        decimals += 1
    mean = _number(factor * estimate.mean, decimals, signed=signed)
    return f"{mean} {pm} {_number(half, decimals)}" if known else mean


def exponent_of(means: Iterable[float]) -> int:
    """The power of a thousand to show very small or large values in; 0 for those between."""
    sizes = [abs(mean) for mean in means if math.isfinite(mean) and mean]
    if not sizes:
        return 0
    size = statistics.median(sizes)
    return 0 if 0.1 <= size < 1e5 else 3 * math.floor(math.log10(10 * size) / 3)


def decimals_of(estimates: Sequence[Estimate], *, factor: float = 1) -> int:
    """Decimals that give the typical half interval two digits, or the typical mean four.

    Args:
        estimates: What stands in one column.
        factor: What all are multiplied by before they are shown.
    """
    halves = [item.half for item in estimates if math.isfinite(item.half) and item.half > 0]
    means = [abs(item.mean) for item in estimates if math.isfinite(item.mean) and item.mean]
    if halves:
        return max(0, 1 - _magnitude(factor * statistics.median(halves)))
    if means:
        return max(0, 3 - _magnitude(factor * statistics.median(means)))
    return 0


def _magnitude(size: float) -> int:
    # Rounded first: a thousandth times 0.1 is a little less than 1e-4.
    return math.floor(round(math.log10(size), 9))


def _number(value: float, decimals: int, *, signed: bool = False) -> str:
    if not math.isfinite(value):
        return "-" if math.isnan(value) else f"{value}"
    sign = "+" if signed else ""
    if decimals > _MOST_DECIMALS or abs(value) >= 1e6:
        return f"{value:{sign}.2e}"
    return f"{value:{sign}z.{decimals}f}"
