"""Every setting against the baselines: ``reports/comparison.csv``.

A family of tests is one metric and one baseline, since each baseline asks its own question:
does it help at all (``none``), and does it help more than noise of the same power (``gaussian``).
Each family is corrected by itself; with ten seeds the smallest p there is, 2/2¹⁰ = 0.002, would
never come below 0.05 were every metric and baseline thrown into one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from offset_autoencoder.config import Setting
from offset_autoencoder.errors import InputError
from offset_autoencoder.evaluation import statistics
from offset_autoencoder.evaluation.equivalence import Equivalence, equivalences, relative_change
from offset_autoencoder.evaluation.matching import match_baseline
from offset_autoencoder.evaluation.metrics import higher_is_better
from offset_autoencoder.evaluation.power import SeedsNeeded, seeds_needed
from offset_autoencoder.evaluation.runs_table import (
    finished,
    metric_columns,
    rows_of,
    values_of,
)
from offset_autoencoder.evaluation.statistics import Estimate, Wins
from offset_autoencoder.evaluation.verdict import Lost, Outcome, judge, say

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Comparison:
    """A setting against a baseline's setting, in one metric.

    Attributes:
        setting: What is compared.
        baseline: What it is compared with.
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
        """How many seeds both sides finished."""
        return self.difference.count


@dataclass(frozen=True)
class _Pairing:
    setting: Setting
    baseline: Setting
    own: pd.DataFrame
    other: pd.DataFrame
    left_out: int
    lost: Lost


def compare(
    runs: pd.DataFrame,
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
        runs: The table of runs (``reports/runs.csv``): model, swept keys, seed, status, metrics.
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
        InputError: where the metric that is asked for is not known for these data.
    """
    columns = metric_columns(runs, metric)
    check_metric(runs, metric)
    rows = [rows_of(runs, setting) for setting in settings]
    comparisons: list[Comparison] = []
    for baseline in baselines:
        pairings = []
        for setting, own in zip(settings, rows, strict=True):
            match = match_baseline(setting, settings, baseline)
            if match is not None:
                pairings.append(_pair(setting, match, own, rows[list(settings).index(match)]))
        for column in columns:
            comparisons += _family(pairings, column, confidence, margin, power)
    order = {column: index for index, column in enumerate(columns)}
    return sorted(comparisons, key=lambda comparison: order[comparison.metric])


def check_metric(runs: pd.DataFrame, metric: str) -> None:
    """Refuse a metric that these runs cannot have.

    Raises:
        InputError: where runs finished and none has a value of the metric.
    """
    known = metric_columns(runs, metric)
    if metric not in known and (runs["status"] == "finished").any():
        raise InputError(
            "params.yaml: evaluate.metric",
            f"{metric} is not defined for these data and this network",
            f"one of {', '.join(column for column in known if not column.startswith(metric))}",
        )


def _pair(setting: Setting, baseline: Setting, own: pd.DataFrame, other: pd.DataFrame) -> _Pairing:
    first, second = finished(own), finished(other)
    seeds = sorted(set(first.index) & set(second.index))
    left_out = len(set(own["seed"]) & set(other["seed"])) - len(seeds)
    lost: Lost = "neither" if len(first) and len(second) else "baseline"
    if not len(first):
        lost = "setting"
    return _Pairing(setting, baseline, first.loc[seeds], second.loc[seeds], left_out, lost)


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
    changes = [relative_change(own, other, column) for own, other in sides]
    equivalent = equivalences(changes, margin, confidence)
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
        verdict = say(
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


def _within_reach(p: np.ndarray[Any, Any], index: int, pairs: int) -> float:
    """The corrected p had all pairs of this comparison been on one side, the others as they are."""
    most_extreme = p.copy()
    most_extreme[index] = statistics.smallest_p(pairs)
    return float(statistics.holm(most_extreme)[index])
