"""Every setting against the baselines: ``reports/comparison.csv``.

A family of tests is one metric and one baseline, since each baseline asks its own question:
does it help at all (``none``), and does it help more than noise of the same level (``gaussian``).
Each family is corrected by itself, by joint sign flips.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Setting
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.errors import InputError, named
from offset_autoencoder.evaluation import sample_size, statistics, summary
from offset_autoencoder.evaluation.metrics import higher_is_better, metric_of
from offset_autoencoder.evaluation.selection import TUNED
from offset_autoencoder.evaluation.sign_flips import align, joint_sign_flips, smallest_p
from offset_autoencoder.evaluation.summary import RunRow

Outcome = Literal[
    "better", "worse", "equivalent", "inconclusive", "too few seeds", "not comparable", "diverged"
]

_NOISE_KEYS = ("rms", "stddev")
LEVEL_KEYS = frozenset({*_NOISE_KEYS, "ebn0_db"})
"""The keys that set a noise level."""


@dataclass(frozen=True)
class Comparison:
    """A setting against a baseline's setting, in one metric."""

    setting: Setting
    baseline: Setting
    metric: str  # its column in runs.csv
    difference: statistics.Estimate  # setting − baseline over the seeds that both finished
    p: float  # two-sided p of the sign-flip test
    p_corrected: float  # corrected within (metric, baseline model)
    equivalence: statistics.Equivalence  # corrected in the same family, by itself
    needed: sample_size.SeedsNeeded  # if the difference is as seen
    wins: int  # seeds at which the setting is better
    ties: int
    family: int  # how many comparisons were corrected together
    two_way: statistics.Estimate | None = None  # of the difference, over seeds and test samples
    outcome: Outcome = "inconclusive"
    verdict: str = ""  # the outcome in a sentence

    @property
    def pairs(self) -> int:
        """Number of seeds that both sides finished."""
        return self.difference.count

    @property
    def is_settled(self) -> bool:
        """False where more seeds may show what these do not."""
        return self.outcome not in ("inconclusive", "too few seeds")


@dataclass(frozen=True)
class _Pairing:
    """The runs of a setting and its baseline at the seeds that both finished, in their order."""

    setting: Setting
    baseline: Setting
    own: list[RunRow]
    other: list[RunRow]
    left_out: int  # seeds at which a run of either side diverged
    lost: Literal["setting", "baseline", "neither"]  # the side without any finished run

    @property
    def seeds(self) -> list[int]:
        """The seeds of the pairs, ascending."""
        return [row.run.seed for row in self.own]


def compare(
    rows: Sequence[RunRow],
    settings: Sequence[Setting],
    evaluate: Evaluate,
    design: statistics.Design = statistics.ONE_SPLIT,
    *,
    selected: Collection[str] = (),
) -> list[Comparison]:
    """Compare every setting with its match in each baseline, seed by seed.

    The metric asked for is compared in every condition, the others as deployed. A baseline that
    there is no setting of is passed over. ``selected`` are keys by whose values each side was
    selected for itself, which need not agree. Where one split is used and the metric is a mean
    over samples, the difference as deployed has an interval over seeds and test samples, too.

    Returns:
        By metric, then baseline, then setting. A setting without a match has none.

    Raises:
        InputError: where runs finished and none has a value of the metric.
    """
    metric = evaluate.metric
    columns = summary.metric_columns(rows, metric)
    if metric not in columns and any(row.finished for row in rows):
        raise InputError(
            "params.yaml: evaluate.metric",
            f"{metric} is not defined for these data and this network",
            f"one of {', '.join(column for column in columns if not column.startswith(metric))}",
        )
    groups = {setting.label: own for setting, own in summary.rows_by_setting(rows, settings)}
    pairings = [
        [
            _pair(setting, match, groups[setting.label], groups[match.label])
            for setting in settings
            if baseline in evaluate.baselines
            or evaluate.own_baselines.get(setting.model) == baseline
            if (match := match_baseline(setting, settings, baseline, selected)) is not None
        ]
        for baseline in evaluate.all_baselines
    ]
    return [
        comparison
        for column in columns
        for family in pairings
        for comparison in _compare_family(family, column, evaluate, design)
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


def _compare_family(
    pairings: Sequence[_Pairing], column: str, evaluate: Evaluate, design: statistics.Design
) -> list[Comparison]:
    confidence, overlap = evaluate.confidence, design.overlap
    seeds = [item.seeds for item in pairings]
    sides = [
        (summary.values_of(item.own, column), summary.values_of(item.other, column))
        for item in pairings
    ]
    paired = [statistics.differences(own, other) for own, other in sides]
    tested = align(paired, seeds)
    p, corrected = joint_sign_flips(tested)
    family = int(np.sum(~np.isnan(p)))
    rule = sample_size.Rule(1 - confidence, confidence, evaluate.power, overlap)
    changes = align([statistics.relative_change(own, other, column) for own, other in sides], seeds)
    equivalences = statistics.equivalences(changes, evaluate.margin, confidence, overlap)
    metric, comparisons = metric_of(column), []
    for index, (pairing, equivalence) in enumerate(zip(pairings, equivalences, strict=True)):
        gain = paired[index] if metric.higher_is_better else -paired[index]
        difference = statistics.mean_and_interval(
            paired[index], confidence, overlap, metric.difference_bounds
        )
        two_way = None
        if column == evaluate.metric:
            two_way = summary.over_samples_too(pairing.own, design, baseline=pairing.other)
        comparison = Comparison(
            setting=pairing.setting,
            baseline=pairing.baseline,
            metric=column,
            difference=difference,
            p=float(p[index]),
            p_corrected=float(corrected[index]),
            equivalence=equivalence,
            needed=sample_size.seeds_needed(difference, equivalence, family=family, rule=rule),
            wins=int(np.sum(gain > 0)),
            ties=int(np.sum(gain == 0)),
            family=family,
            two_way=two_way,
        )
        outcome = _outcome(comparison, pairing, 1 - confidence)
        if outcome == "inconclusive" and _p_within_reach(tested, index) > 1 - confidence:
            outcome = "too few seeds"
        comparison = replace(comparison, outcome=outcome)
        sentence = _sentence(comparison, pairing, evaluate)
        comparisons.append(replace(comparison, verdict=sentence))
    return comparisons


def _p_within_reach(differences: NDArray[np.float64], index: int) -> float:
    """The corrected p of a test had its differences been all alike, the others as they are."""
    present = ~np.isnan(differences)
    pairs = np.sum(present, axis=0)
    # No test of as many seeds or fewer is then more extreme; one of more may be.
    if pairs[index] == np.max(pairs):
        return smallest_p(int(pairs[index]))
    alike = differences.copy()
    alike[present[:, index], index] = 1.0
    return float(joint_sign_flips(alike).p_corrected[index])


def _outcome(item: Comparison, pairing: _Pairing, level: float) -> Outcome:
    """The word for a comparison.

    ``better`` and ``worse`` need both: a corrected p of at most ``level``, and an interval on
    one side of zero. ``equivalent`` is what is neither, and shown to be within the margin. Where
    all seeds share the test samples, the interval over these too has to be on that side of zero, or
    within the margin: p and the interval over seeds say nothing of other test samples. A
    small difference can be both shown and within the margin; its word is then ``better`` or
    ``worse``. What is left is ``inconclusive``, of which the caller tells apart where no
    outcome of as many pairs could have been shown. Without a seed that finished on both sides
    there is nothing to compare: ``diverged`` where the setting itself has no finished run,
    else ``not comparable``.
    """
    difference = item.difference
    if pairing.lost == "setting":
        return "diverged"
    if not math.isfinite(difference.mean):
        return "not comparable"
    intervals = [difference, *([] if item.two_way is None else [item.two_way])]
    is_above, is_below = (all(e.low > 0 for e in intervals), all(e.high < 0 for e in intervals))
    if item.p_corrected <= level and (is_above or is_below):
        return "better" if is_above == higher_is_better(item.metric) else "worse"
    bound = item.equivalence.margin * abs(
        float(np.mean(summary.values_of(pairing.other, item.metric)))
    )
    within = item.two_way is None or max(-item.two_way.low, item.two_way.high) <= bound
    return "equivalent" if item.equivalence.shown and within else "inconclusive"


def _sentence(item: Comparison, pairing: _Pairing, evaluate: Evaluate) -> str:
    """The outcome with the numbers behind it: no more than these show."""
    outcome, difference, equivalence = item.outcome, item.difference, item.equivalence
    confidence, power = evaluate.confidence, evaluate.power
    baseline, left_out = named(item.baseline.label), pairing.left_out
    if outcome == "diverged":
        return f"diverged: no run finished that could be compared with {baseline}"
    if not item.pairs:
        finished = (
            "run of it finished" if pairing.lost == "baseline" else "seed finished on both sides"
        )
        return f"not comparable with {baseline}: no {finished}"
    seeds = "1 seed" if left_out == 1 else f"{left_out} seeds"
    after = f"; {seeds} left out where a run diverged" if left_out else ""
    if outcome == "not comparable":
        return f"not comparable with {baseline}: a value is not finite{after}"
    shown = outcome in ("better", "worse")
    sign = -1 if shown and difference.mean < 0 else 1
    parts = [] if shown else [f"difference {statistics.number(difference.mean)}"]
    if item.pairs > 1:
        interval = f"{statistics.percent(confidence)} interval {_ends(difference, sign)}"
        if item.two_way is not None:
            interval += f", {_ends(item.two_way, sign)} over test samples too"
        parts.append(interval)
    parts.append(f"corrected p {statistics.probability(item.p_corrected)}")
    parts.append(f"better at {item.wins} of {item.pairs} seeds")
    numbers = ", ".join([*parts, f"{item.ties} tied"] if item.ties else parts)
    within = f"within {statistics.percent(equivalence.margin)}"
    error = metric_of(item.metric).error_label
    change = f"{error} {statistics.change_percent(equivalence.change)}, "
    change += f"corrected p {statistics.probability(equivalence.p_corrected)}"
    if outcome == "equivalent":
        return f"equivalent to {baseline} {within} ({change}; {numbers}){after}"
    if shown:
        size = statistics.number(abs(difference.mean))
        small = f", yet equivalent {within} ({change})" if equivalence.shown else ""
        return f"{outcome} than {baseline} by {size} ({numbers}){small}{after}"
    alone = _outcome(replace(item, two_way=None), pairing, 1 - confidence)
    if alone != "inconclusive" and item.two_way is not None and outcome == "inconclusive":
        after = f"; over seeds alone it is {alone}: more test samples would settle it{after}"
    elif item.needed.seeds is not None and item.needed.seeds > item.pairs:
        found = item.needed.finds == "equivalence"
        finds = f"show them equivalent {within}" if found else "tell them apart"
        after = (
            f"; if the difference is as seen, at most about {item.needed.seeds} seeds "
            f"({item.needed.span}) would {finds} with {statistics.percent(power)} power{after}"
        )
    elif item.needed.none_settles:
        after = f"; {sample_size.out_of_reach(item.needed.floor, 'the change')}{after}"
    if outcome == "too few seeds":
        seeds = "1 seed" if item.pairs == 1 else f"{item.pairs} seeds"
        return (
            f"too few seeds to tell apart from {baseline}: {seeds} cannot reach a corrected p of "
            f"{1 - confidence:.2g} ({numbers}){after}"
        )
    against = f"inconclusive against {baseline}, neither different nor equivalent"
    return f"{against} {within} ({numbers}){after}"


def _ends(estimate: statistics.Estimate, sign: int) -> str:
    low, high = sorted((sign * estimate.low, sign * estimate.high))
    return f"{statistics.number(low)} to {statistics.number(high)}"


def match_baseline(
    setting: Setting,
    settings: Sequence[Setting],
    baseline: str,
    selected: Collection[str] = (),
) -> Setting | None:
    """The baseline model's setting that a setting is compared with.

    It agrees with the setting in every key that the baseline sweeps, the noise level apart, and
    it has the same level if it has any. So where ``latent_dim`` is swept for all models, both sides
    have the same; where ``gaussian`` sweeps ``stddev``, it is taken at the level of the
    setting; and a key in which a model differs by design (``wide: {hidden: [64]}``) keeps nothing
    from being compared, as long as the baseline does not sweep it. Keys that are ``selected``
    need not agree, the noise level among them. Of several that are left, the one with the same
    ``stddev`` and ``rms`` is taken. None where there is none, where it is the setting itself, or
    where several would do.
    """

    def agrees(other: Setting, keys: Sequence[str]) -> bool:
        return all(same_value(value_of(other, key), value_of(setting, key)) for key in keys)

    candidates = [
        other
        for other in settings
        if other.model == baseline
        and agrees(other, [key for key, _ in other.sweep if key not in (*_NOISE_KEYS, *selected)])
        and (
            (level := level_of(other)) is None
            or any(key in selected for key, _ in other.sweep if key in LEVEL_KEYS)
            or same_value(level, level_of(setting))
        )
    ]
    if len(candidates) > 1:
        candidates = [other for other in candidates if agrees(other, _NOISE_KEYS)]
    return candidates[0] if len(candidates) == 1 and candidates[0] != setting else None


def same_value(first: Any, second: Any) -> bool:
    """Equality of two values of a key; numbers to nine digits."""
    if isinstance(first, (int, float)) and isinstance(second, (int, float)):
        return math.isclose(first, second, rel_tol=1e-9)
    return bool(first == second)


def level_of(setting: Setting) -> float | str | None:
    """A setting's noise level; :data:`.selection.TUNED` where its seeds have several."""
    tuned = any(key in LEVEL_KEYS and value == TUNED for key, value in setting.sweep)
    return TUNED if tuned else setting.noise_level


def value_of(setting: Setting, key: str) -> Any:
    """A setting's value of a key, swept or not; :data:`.selection.TUNED` for several.

    Raises:
        KeyError: where there is no such key.
    """
    if dict(setting.sweep).get(key) == TUNED:
        return TUNED
    for section in (setting.spec, setting.network, setting.train):
        if key in type(section).model_fields:
            return getattr(section, key)
    raise KeyError(key)
