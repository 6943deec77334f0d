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
from offset_autoencoder.evaluation.runs_table import (
    RunRow,
    metric_columns,
    noise_level,
    rows_by_setting,
    values_of,
)
from offset_autoencoder.evaluation.sample_size import SeedsNeeded, seeds_needed
from offset_autoencoder.evaluation.statistics import Equivalence, Estimate, Wins
from offset_autoencoder.evaluation.verdict_wording import Lost, Outcome, describe_outcome, judge

_NOISE_KEYS = ("rms", "stddev")


@dataclass(frozen=True)
class Comparison:
    """A setting against a baseline's setting, in one metric.

    Attributes:
        setting: The setting compared.
        baseline: The setting it is compared with.
        metric: The metric's column in ``runs.csv``.
        difference: Setting − baseline over the seeds that both finished. Below zero is better
            for mse, mae and binary_crossentropy, above zero for psnr and explained_variance.
        p: Exact two-sided p of the sign-flip test.
        p_corrected: The same, Holm-corrected within (metric, baseline model).
        equivalence: The relative change of the error, tested against the margin; corrected in
            the same family, by itself.
        needed: How many seeds would give an answer, if the difference is as seen.
        wins: At how many seeds the setting is better.
        outcome: The verdict in a word.
        verdict: The verdict in a sentence.
        family: How many comparisons were corrected together.
    """

    setting: Setting
    baseline: Setting
    metric: str
    difference: Estimate
    p: float
    p_corrected: float
    equivalence: Equivalence
    needed: SeedsNeeded
    wins: Wins
    outcome: Outcome
    verdict: str
    family: int

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

    Args:
        rows: The runs.
        settings: The settings, in the order of the report.
        baselines: Names of models; one that there is no setting of is passed over.
        metric: The metric that is asked for: compared in every condition, the others as
            deployed.
        confidence: The share of intervals that hold the true difference.
        margin: The largest change that counts as equal, as a share of the baseline's error.
        power: The chance with which the seeds said to be needed give an answer.

    Returns:
        By metric, then baseline, then setting. A setting without a match has none.

    Raises:
        InputError: where the metric that is asked for is not defined for these data.
    """
    columns = metric_columns(rows, metric)
    check_metric(rows, metric)
    groups = rows_by_setting(rows, settings)
    comparisons: list[Comparison] = []
    for baseline in baselines:
        pairings = []
        for setting, own in zip(settings, groups, strict=True):
            match = match_baseline(setting, settings, baseline)
            if match is not None:
                other = groups[list(settings).index(match)]
                pairings.append(_pair(setting, match, own, other))
        for column in columns:
            comparisons += _family(pairings, column, confidence, margin, power)
    order = {column: index for index, column in enumerate(columns)}
    return sorted(comparisons, key=lambda comparison: order[comparison.metric])


def check_metric(rows: Sequence[RunRow], metric: str) -> None:
    """Refuse a metric that these runs cannot have.

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


def _pair(
    setting: Setting, baseline: Setting, own: Sequence[RunRow], other: Sequence[RunRow]
) -> _Pairing:
    first, second = ({row.run.seed: row for row in rows if row.finished} for rows in (own, other))
    seeds = sorted(first.keys() & second.keys())
    both = {row.run.seed for row in own} & {row.run.seed for row in other}
    lost: Lost = "neither" if first and second else "baseline"
    if not first:
        lost = "setting"
    return _Pairing(
        setting,
        baseline,
        [first[seed] for seed in seeds],
        [second[seed] for seed in seeds],
        len(both) - len(seeds),
        lost,
    )


def _family(
    pairings: Sequence[_Pairing], column: str, confidence: float, margin: float, power: float
) -> list[Comparison]:
    sides = [
        (values_of(pairing.own, column), values_of(pairing.other, column)) for pairing in pairings
    ]
    paired = [statistics.differences(own, other) for own, other in sides]
    p = np.array([statistics.sign_flip_p(difference) for difference in paired], dtype=np.float64)
    corrected = statistics.holm(p)
    family = int(np.sum(~np.isnan(p)))
    changes = [statistics.relative_change(own, other, column) for own, other in sides]
    equivalent = statistics.equivalences(changes, margin, confidence)
    better_is_higher = higher_is_better(column)
    comparisons = []
    for index, (pairing, difference) in enumerate(zip(pairings, paired, strict=True)):
        estimate = statistics.mean_and_interval(difference, confidence)
        wins = statistics.count_wins(difference, higher_is_better=better_is_higher)
        needed = seeds_needed(
            estimate,
            equivalent[index].change,
            margin,
            family=family,
            confidence=confidence,
            power=power,
        )
        outcome = judge(
            estimate,
            float(corrected[index]),
            _within_reach(p, index, len(difference)),
            equivalent=equivalent[index].shown,
            confidence=confidence,
            higher_is_better=better_is_higher,
            lost=pairing.lost,
        )
        verdict = describe_outcome(
            outcome,
            pairing.baseline.label,
            estimate,
            float(corrected[index]),
            wins,
            equivalent[index],
            needed,
            family=family,
            left_out=pairing.left_out,
            confidence=confidence,
            power=power,
            lost=pairing.lost,
        )
        comparisons.append(
            Comparison(
                setting=pairing.setting,
                baseline=pairing.baseline,
                metric=column,
                difference=estimate,
                p=float(p[index]),
                p_corrected=float(corrected[index]),
                equivalence=equivalent[index],
                needed=needed,
                wins=wins,
                outcome=outcome,
                verdict=verdict,
                family=family,
            )
        )
    return comparisons


def _within_reach(p: NDArray[np.float64], index: int, pairs: int) -> float:
    """The corrected p had all pairs of this comparison been on one side, the others as they are."""
    most_extreme = p.copy()
    most_extreme[index] = statistics.smallest_p(pairs)
    return float(statistics.holm(most_extreme)[index])


def match_baseline(setting: Setting, settings: Sequence[Setting], baseline: str) -> Setting | None:
    """The setting of the baseline model that a setting is compared with.

    It agrees with the setting in every key that the baseline sweeps, the noise level apart, and
    it has the same level if it has any. So where ``latent_dim`` is swept for all models, both sides
    have the same; where ``gaussian`` sweeps ``stddev``, it is taken at the level of the
    setting; and a key in which a model differs by design (``wide: {hidden: [64]}``) keeps nothing
    from being compared, as long as the baseline does not sweep it. Of several that are left,
    the one with the same ``stddev`` and ``rms`` is taken.

    Args:
        setting: The setting compared.
        settings: All settings.
        baseline: The name of the baseline model.

    Returns:
        The baseline's setting; None where there is none, where it is the setting itself, or
        where several would do.
    """
    candidates = [
        other
        for other in settings
        if other.model == baseline
        and all(same_value(value, _value(setting, key)) for key, value in _fixed(other))
        and _same_level(setting, other)
    ]
    if len(candidates) > 1:
        candidates = [
            other
            for other in candidates
            if all(same_value(_value(other, key), _value(setting, key)) for key in _NOISE_KEYS)
        ]
    if len(candidates) != 1 or candidates[0] == setting:
        return None
    return candidates[0]


def same_value(first: Any, second: Any) -> bool:
    """Equality of two values of a key; numbers to nine digits."""
    numbers = [
        value for value in (first, second) if isinstance(value, (int, float)) and value is not None
    ]
    if len(numbers) == 2 and not any(isinstance(value, bool) for value in numbers):
        return math.isclose(numbers[0], numbers[1], rel_tol=1e-9)
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        return tuple(first) == tuple(second)
    return bool(first == second)


def _fixed(setting: Setting) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in setting.sweep if key not in _NOISE_KEYS]


def _same_level(setting: Setting, baseline: Setting) -> bool:
    needed = noise_level(baseline)
    return needed is None or same_value(needed, noise_level(setting))


def _value(setting: Setting, key: str) -> Any:
    for section in (setting.spec, setting.network, setting.train):
        if key in type(section).model_fields:
            return getattr(section, key)
    raise KeyError(key)
