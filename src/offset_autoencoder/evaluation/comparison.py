"""Every setting against the baselines: ``reports/comparison.csv``.

A family of tests is one metric and one baseline, since each baseline asks its own question:
does it help at all (``none``), and does it help more than noise of the same level (``gaussian``).
Each family is corrected by itself; with ten seeds the smallest p there is, 2/2¹⁰ = 0.002, would
never come below 0.05 were every metric and baseline thrown into one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Setting
from offset_autoencoder.errors import InputError
from offset_autoencoder.evaluation import statistics
from offset_autoencoder.evaluation.metrics import higher_is_better
from offset_autoencoder.evaluation.sample_size import SeedsNeeded, seeds_needed
from offset_autoencoder.evaluation.statistics import Equivalence, Estimate, Wins
from offset_autoencoder.evaluation.summary import (
    RunRow,
    metric_columns,
    noise_level,
    rows_by_setting,
    values_of,
)
from offset_autoencoder.evaluation.verdict_wording import Lost, Outcome, describe_outcome, judge

_NOISE_KEYS = ("rms", "stddev")


@dataclass(frozen=True)
class Comparison:
    """A setting against a baseline's setting, in one metric."""

    setting: Setting
    baseline: Setting
    metric: str  # its column in runs.csv
    difference: Estimate  # setting − baseline over the seeds that both finished
    p: float  # exact two-sided p of the sign-flip test
    p_corrected: float  # Holm-corrected within (metric, baseline model)
    equivalence: Equivalence  # corrected in the same family, by itself
    needed: SeedsNeeded  # if the difference is as seen
    wins: Wins
    outcome: Outcome
    verdict: str  # the outcome in a sentence
    family: int  # how many comparisons were corrected together

    @property
    def pairs(self) -> int:
        """Number of seeds that both sides finished."""
        return self.difference.count


@dataclass(frozen=True)
class _Pairing:
    """The runs of a setting and its baseline at the seeds that both finished, in their order."""

    setting: Setting
    baseline: Setting
    own: list[RunRow]
    other: list[RunRow]
    left_out: int
    lost: Lost


def compare(
    rows: Sequence[RunRow],
    settings: Sequence[Setting],
    *,
    baselines: Sequence[str],
    metric: str,
    confidence: float,
    margin: float = 0.05,
    power: float = 0.8,
) -> list[Comparison]:
    """Compare every setting with its match in each baseline, seed by seed.

    ``metric`` is compared in every condition, the others as deployed. The margin is the largest
    change that counts as equal, as a share of the baseline's error; ``power`` the chance with
    which the seeds said to be needed give an answer. A baseline that there is no setting of is
    passed over.

    Returns:
        By metric, then baseline, then setting. A setting without a match has none.

    Raises:
        InputError: where runs finished and none has a value of the metric.
    """
    columns = metric_columns(rows, metric)
    if metric not in columns and any(row.finished for row in rows):
        raise InputError(
            "params.yaml: evaluate.metric",
            f"{metric} is not defined for these data and this network",
            f"one of {', '.join(column for column in columns if not column.startswith(metric))}",
        )
    groups = {setting.label: own for setting, own in rows_by_setting(rows, settings)}
    pairings = [
        [
            _pair(setting, match, groups[setting.label], groups[match.label])
            for setting in settings
            if (match := match_baseline(setting, settings, baseline)) is not None
        ]
        for baseline in baselines
    ]
    return [
        comparison
        for column in columns
        for family in pairings
        for comparison in _family(family, column, confidence, margin, power)
    ]


def _pair(
    setting: Setting, baseline: Setting, own: Sequence[RunRow], other: Sequence[RunRow]
) -> _Pairing:
    first, second = ({row.run.seed: row for row in rows if row.finished} for rows in (own, other))
    seeds = sorted(first.keys() & second.keys())
    both = {row.run.seed for row in own} & {row.run.seed for row in other}
    return _Pairing(
        setting=setting,
        baseline=baseline,
        own=[first[seed] for seed in seeds],
        other=[second[seed] for seed in seeds],
        left_out=len(both) - len(seeds),
        lost="setting" if not first else "neither" if second else "baseline",
    )


def _family(
    pairings: Sequence[_Pairing], column: str, confidence: float, margin: float, power: float
) -> list[Comparison]:
    sides = [(values_of(item.own, column), values_of(item.other, column)) for item in pairings]
    paired = [statistics.differences(own, other) for own, other in sides]
    p = np.array([statistics.sign_flip_p(difference) for difference in paired], dtype=np.float64)
    corrected = statistics.holm(p)
    family = int(np.sum(~np.isnan(p)))
    changes = [statistics.relative_change(own, other, column) for own, other in sides]
    equivalences = statistics.equivalences(changes, margin, confidence)
    better_is_higher = higher_is_better(column)
    comparisons = []
    for index, (pairing, equivalence) in enumerate(zip(pairings, equivalences, strict=True)):
        difference = statistics.mean_and_interval(paired[index], confidence)
        p_corrected = float(corrected[index])
        wins = statistics.count_wins(paired[index], higher_is_better=better_is_higher)
        needed = seeds_needed(
            difference,
            equivalence.change,
            margin,
            family=family,
            confidence=confidence,
            power=power,
        )
        outcome = judge(
            difference,
            p_corrected,
            _within_reach(p, index, len(paired[index])),
            equivalent=equivalence.shown,
            confidence=confidence,
            higher_is_better=better_is_higher,
            lost=pairing.lost,
        )
        verdict = describe_outcome(
            outcome,
            pairing.baseline.label,
            difference,
            p_corrected,
            wins,
            equivalence,
            needed,
            family=family,
            left_out=pairing.left_out,
            confidence=confidence,
            power=power,
            lost=pairing.lost,
        )
        comparisons.append(
            Comparison(
                pairing.setting,
                pairing.baseline,
                column,
                difference,
                float(p[index]),
                p_corrected,
                equivalence,
                needed,
                wins,
                outcome,
                verdict,
                family,
            )
        )
    return comparisons


def _within_reach(p: NDArray[np.float64], index: int, pairs: int) -> float:
    """The corrected p had all pairs of this comparison been on one side, the others as they are."""
    most_extreme = p.copy()
    most_extreme[index] = statistics.smallest_p(pairs)
    return float(statistics.holm(most_extreme)[index])


def match_baseline(setting: Setting, settings: Sequence[Setting], baseline: str) -> Setting | None:
    """The baseline model's setting that a setting is compared with.

    It agrees with the setting in every key that the baseline sweeps, the noise level apart, and
    it has the same level if it has any. So where ``latent_dim`` is swept for all models, both sides
    have the same; where ``gaussian`` sweeps ``stddev``, it is taken at the level of the
    setting; and a key in which a model differs by design (``wide: {hidden: [64]}``) keeps nothing
    from being compared, as long as the baseline does not sweep it. Of several that are left,
    the one with the same ``stddev`` and ``rms`` is taken. None where there is none, where it is
    the setting itself, or where several would do.
    """
    candidates = [
        other
        for other in settings
        if other.model == baseline
        and all(
            _same_value(value, _value(setting, key))
            for key, value in other.sweep
            if key not in _NOISE_KEYS
        )
        and ((level := noise_level(other)) is None or _same_value(level, noise_level(setting)))
    ]
    if len(candidates) > 1:
        candidates = [
            other
            for other in candidates
            if all(_same_value(_value(other, key), _value(setting, key)) for key in _NOISE_KEYS)
        ]
    if len(candidates) != 1 or candidates[0] == setting:
        return None
    return candidates[0]


def _same_value(first: Any, second: Any) -> bool:
    """Equality of two values of a key; numbers to nine digits."""
    values = (first, second)
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return math.isclose(first, second, rel_tol=1e-9)
    if all(isinstance(value, (list, tuple)) for value in values):
        return tuple(first) == tuple(second)
    return bool(first == second)


def _value(setting: Setting, key: str) -> Any:
    for section in (setting.spec, setting.network, setting.train):
        if key in type(section).model_fields:
            return getattr(section, key)
    raise KeyError(key)
