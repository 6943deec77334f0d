"""Measured links: the best seed of each setting, and how its curve stands to theory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from channel.monte_carlo import BlockErrors
from channel.theory import Theory


@dataclass(frozen=True)
class Measured:
    """A run over the channel.

    Attributes:
        setting: The model and its swept values: ``"clean ebn0_db=2"``.
        model: The model's name.
        seed: The run's seed.
        id: The run's id.
        points: What was counted at each Eb/N0.
        best_decoder: Rates of its code under a maximum-likelihood decoder, (points,), where
            nothing interferes; else None.
    """

    setting: str
    model: str
    seed: int
    id: str
    points: tuple[BlockErrors, ...]
    best_decoder: NDArray[np.float64] | None = None

    @property
    def rates(self) -> list[float]:
        """The block error rate at each Eb/N0."""
        return [point.rate for point in self.points]

    @property
    def mean_log_rate(self) -> float:
        """The mean over the points of the rate's logarithm: what the best is best in.

        Half an error is added to each count, so that none is a number, too.
        """
        return float(np.mean([math.log((p.errors + 0.5) / p.blocks) for p in self.points]))


def best_of(runs: Sequence[Measured], per: Literal["setting", "model"]) -> list[Measured]:
    """The best run of each setting, or of each model, in the order of the first of each."""
    names = dict.fromkeys(getattr(run, per) for run in runs)
    return [
        min((run for run in runs if getattr(run, per) == name), key=lambda run: run.mean_log_rate)
        for name in names
    ]


def decibels_at(rate: float, ebn0_db: ArrayLike, rates: ArrayLike) -> float | None:
    """The Eb/N0 at which a curve has come down to a rate, decibels.

    Between the points the rate's logarithm goes in straight lines.

    Returns:
        None where the curve does not cross the rate between its ends.
    """
    points = list(zip(np.asarray(ebn0_db).tolist(), np.asarray(rates).tolist(), strict=True))
    for (start, high), (end, low) in itertools.pairwise(points):
        if high > rate >= low > 0:
            share = math.log(high / rate) / math.log(high / low)
            return float(start + share * (end - start))
    return None


def below_bound(runs: Sequence[Measured], theory: Theory, confidence: float) -> list[str]:
    """Points that lie below the sphere-packing bound by more than chance explains.

    One-sided exact tests with Bonferroni's correction: where the bound holds, none of all the
    points is named with a probability of ``confidence`` or more.

    Returns:
        Names of the points: ``"clean ebn0_db=2 seed=3 at point 0"``.
    """
    tests = sum(len(run.points) for run in runs)
    return [
        f"{run.setting} seed={run.seed} at point {place}"
        for run in runs
        for place, (point, bound) in enumerate(zip(run.points, theory.bound, strict=True))
        if point.p_not_below(float(bound)) < (1 - confidence) / tests
    ]
