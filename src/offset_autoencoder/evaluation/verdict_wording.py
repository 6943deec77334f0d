"""Wording of a comparison's verdict, in a word and in a sentence: no more than its numbers show."""

from __future__ import annotations

import math
from typing import Literal, get_args

from offset_autoencoder.evaluation.sample_size import SeedsNeeded
from offset_autoencoder.evaluation.statistics import Equivalence, Estimate, Wins

Outcome = Literal[
    "better", "worse", "equivalent", "inconclusive", "too few seeds", "not comparable", "diverged"
]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

# The side without a finished run, of a comparison without a single pair.
Lost = Literal["setting", "baseline", "neither"]


def judge(
    difference: Estimate,
    p_corrected: float,
    p_within_reach: float,
    *,
    equivalent: bool,
    confidence: float,
    higher_is_better: bool,
    lost: Lost = "neither",
) -> Outcome:
    """The word for a comparison.

    ``better`` and ``worse`` need both: a corrected p of at most ``1 − confidence``, and an
    interval on one side of zero. ``equivalent`` is what is neither, and shown to be within the
    margin. A small difference can be both shown and within the margin; its word is then
    ``better`` or ``worse``. The seeds are too few to tell any difference where
    ``p_within_reach``, the corrected p that the most extreme outcome of as many pairs would have
    had, is above ``1 − confidence``. Without a seed that finished on both sides there is nothing
    to compare: ``diverged`` where the setting itself has no finished run, else ``not comparable``.
    """
    level = 1 - confidence
    if not difference.count and lost == "setting":
        return "diverged"
    if not math.isfinite(difference.mean):
        return "not comparable"
    on_one_side = difference.low > 0 or difference.high < 0
    if p_corrected <= level and on_one_side:
        return "better" if (difference.mean > 0) == higher_is_better else "worse"
    if equivalent:
        return "equivalent"
    return "inconclusive" if p_within_reach <= level else "too few seeds"


def describe_outcome(
    outcome: Outcome,
    baseline: str,
    difference: Estimate,
    p_corrected: float,
    wins: Wins,
    equivalence: Equivalence,
    needed: SeedsNeeded,
    *,
    family: int,
    left_out: int,
    confidence: float,
    power: float,
    lost: Lost = "neither",
) -> str:
    """The sentence for a comparison with the baseline's label, after its outcome and its numbers.

    ``family`` comparisons were corrected together; ``left_out`` seeds are not in it, since a run
    of either side diverged; ``power`` is the chance with which ``needed`` seeds find the answer.
    """
    if outcome == "diverged":
        return f"diverged: no run finished that could be compared with {baseline}"
    if not difference.count:
        what = "no run of it finished" if lost == "baseline" else "no seed finished on both sides"
        return f"not comparable with {baseline}: {what}"
    after = ""
    if left_out:
        after = f"; {left_out} {'seed' if left_out == 1 else 'seeds'} left out where a run diverged"
    if outcome == "not comparable":
        return f"not comparable with {baseline}: a value is not finite{after}"
    if outcome in ("better", "worse"):
        sign = -1 if difference.mean < 0 else 1
        low, high = sorted((sign * difference.low, sign * difference.high))
        numbers = _interval(low, high, confidence)
        size = f" by {number(abs(difference.mean))}"
    else:
        numbers = f"difference {number(difference.mean)}"
        if difference.count > 1:
            numbers += f", {_interval(difference.low, difference.high, confidence)}"
        size = ""
    numbers += f", corrected p {probability(p_corrected)}"
    numbers += f", better at {wins.wins} of {difference.count} seeds"
    numbers += f", {wins.ties} tied" if wins.ties else ""
    within = f"within {percent(equivalence.margin)}"
    change = f"error {change_percent(equivalence.change)}, "
    change += f"corrected p {probability(equivalence.p_corrected)}"
    if outcome == "equivalent":
        return f"equivalent to {baseline} {within} ({change}; {numbers}){after}"
    if outcome in ("better", "worse"):
        small = f", yet equivalent {within} ({change})" if equivalence.shown else ""
        return f"{outcome} than {baseline}{size} ({numbers}){small}{after}"
    more = _needed(needed, difference.count, equivalence, power)
    if outcome == "too few seeds":
        seeds = "1 seed" if difference.count == 1 else f"{difference.count} seeds"
        among = "1 comparison" if family == 1 else f"{family} comparisons"
        return (
            f"too few seeds to tell apart from {baseline}: {seeds} cannot reach a corrected p of "
            f"{1 - confidence:.2g} among {among} ({numbers}){more}{after}"
        )
    return (
        f"inconclusive against {baseline}, neither different nor equivalent {within} ({numbers})"
        f"{more}{after}"
    )


def number(value: float) -> str:
    """A metric's value or difference to three digits."""
    return f"{value:.3g}"


def probability(p: float) -> str:
    """A p to two digits."""
    return f"{p:.2g}"


def percent(confidence: float) -> str:
    """A confidence as it is written: ``95 %``."""
    return f"{100 * confidence:g} %"


def share_percent(share: float) -> str:
    """A share as it is written: ``4.1 %``, ``84 %``."""
    return f"{_signed(share).removeprefix('+')} %"


def change_percent(change: Estimate) -> str:
    """A relative change with its interval: ``+0.3 % [-0.2, +0.8]``."""
    mean = f"{_signed(change.mean)} %"
    if not math.isfinite(change.half):
        return mean
    return f"{mean} [{_signed(change.low)}, {_signed(change.high)}]"


def _interval(low: float, high: float, confidence: float) -> str:
    return f"{percent(confidence)} interval {number(low)} to {number(high)}"


def _needed(needed: SeedsNeeded, seeds: int, equivalence: Equivalence, power: float) -> str:
    if needed.seeds is None or needed.seeds <= seeds:
        return ""
    finds = "tell them apart"
    if needed.finds == "equivalence":
        finds = f"show them equivalent within {percent(equivalence.margin)}"
    return (
        f"; if the difference is as seen, about {needed.seeds} seeds would {finds} "
        f"with {percent(power)} power"
    )


def _signed(share: float) -> str:
    """A share as a signed percentage: one decimal below ten."""
    return f"{100 * share:+z.{1 if abs(share) < 0.1 else 0}f}"
