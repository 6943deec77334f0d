"""Verdict on each offset: noise to the network, or a second encoder's code.

The rule, on the test split, over seeds. An offset is a **second encoder** where another
sample's offset raises the error by more than the margin, and so does leaving it out; x can be
decoded linearly from the offset; and with another sample's the output moves towards that sample:
the decoder reads x from it, and needs to. It is **noise** where it makes no difference whose
offset a sample is given, nor whether it is given Gaussian noise of the same rms instead, while
leaving the offset out does: to a network that cannot tell a fixed vector from a fresh draw, the
three are one. It is **neither** where something else is shown: its own offset does more harm
than another sample's (as an adversary's), it matters whose it is but the decoder reads no x from
it (the encoder allows for it), the decoder reads x from it but does as well without, it matters
only how it is distributed, or it does not matter at all. The verdict is **inconclusive** where an
interval reaches across the margin, or the seeds are too few.

The rule itself is :func:`apply_rule`; nothing else here decides a word.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Run, Setting
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation import statistics
from offset_autoencoder.evaluation.interventions import (
    GAUSSIAN,
    OMITTED,
    PERMUTED,
    InterventionSummary,
)
from offset_autoencoder.evaluation.probes import ProbeSummary
from offset_autoencoder.evaluation.sample_size import (
    Rule,
    seeds_for_difference,
    seeds_for_equivalence,
)
from offset_autoencoder.evaluation.sign_flips import align, smallest_p
from offset_autoencoder.evaluation.statistics import Equivalence, Estimate, beyond_margin
from offset_autoencoder.evaluation.summary import by_setting

OffsetWord = Literal["noise", "second encoder", "neither", "inconclusive"]
Shift = Literal["more", "less", "same", "inconclusive"]
Exchange = Literal["permuted", "gaussian", "omitted"]

# The least share of the variance of x, or of the way to another sample, that counts as some.
LEAST = 0.01


@dataclass(frozen=True)
class OffsetEffects:
    """Measurements of a setting's offset, which is not zero; arrays hold one value per seed."""

    setting: Setting
    metric: str
    own: NDArray[np.float64]  # the metric with each sample's own offset
    permuted: NDArray[np.float64]  # with another sample's
    gaussian: NDArray[np.float64]  # with Gaussian noise of the same rms in its place
    omitted: NDArray[np.float64]  # without the offset
    linear_decodability: Estimate  # share of the variance of x explained by the offset alone
    donor_shift: NDArray[np.float64]  # share of the way to another sample


@dataclass(frozen=True)
class ExchangeEffect:
    """The relative change of the error by an exchange of the offset, against the margin."""

    within: Equivalence  # the change, and the test that it is within the margin
    p_more: float  # corrected p that the error rises by more than the margin
    p_less: float  # corrected p that it falls by more than the margin
    shift: Shift

    @property
    def change(self) -> Estimate:
        """The change as a share of the error with its own offset."""
        return self.within.change


@dataclass(frozen=True)
class OffsetVerdict:
    """Verdict on the offset of a setting; its figures as in :class:`OffsetEffects`.

    The seeds needed would settle whether it matters whose offset it is, if the change is as seen;
    None where the verdict does not hang on that, or where their number is not known.
    """

    setting: Setting
    metric: str
    permuted: ExchangeEffect
    gaussian: ExchangeEffect
    omitted: ExchangeEffect
    linear_decodability: Estimate
    donor_shift: Estimate
    word: OffsetWord = "inconclusive"
    sentence: str = ""
    seeds_needed: int | None = None

    @property
    def seeds(self) -> int:
        """Over how many seeds."""
        return self.permuted.change.count


def apply_rule(
    offset: OffsetVerdict, *, without_effect: bool, too_few_seeds: bool
) -> tuple[OffsetWord, str]:
    """The verdict in a word, and its reason, from the figures of an offset.

    It is ``without_effect`` where another sample's gives the same error at every seed; seeds are
    too few where no result of so many could show an effect.
    """
    permuted, gaussian, omitted = (
        effect.shift for effect in (offset.permuted, offset.gaussian, offset.omitted)
    )
    if without_effect:
        return "neither", "another sample's does the very same"
    if permuted == "more":
        return _rule_where_it_matters_whose_it_is(offset)
    if permuted == "inconclusive":
        if too_few_seeds:
            return "inconclusive", "too few seeds"
        return "inconclusive", "it is not clear whether it matters whose it is"
    if permuted == "less":
        return "neither", "its own does more harm than another sample's"
    no_matter = "it does not matter whose it is"
    if omitted == "same":
        return "neither", "it does not matter, not even left out"
    if gaussian == "inconclusive":
        return "inconclusive", f"{no_matter}; it is not clear whether noise does the same"
    if gaussian != "same":
        return "neither", f"{no_matter}, but how it is distributed"
    if omitted == "inconclusive":
        return "inconclusive", f"{no_matter}; it is not clear whether it matters at all"
    return "noise", f"{no_matter}, nor that it is fixed"


def _rule_where_it_matters_whose_it_is(offset: OffsetVerdict) -> tuple[OffsetWord, str]:
    decodability, donor_shift = offset.linear_decodability, offset.donor_shift
    if decodability.low >= LEAST and donor_shift.low >= LEAST:
        reads = "the decoder reads x from it"
        if offset.omitted.shift == "more":
            return "second encoder", reads
        if offset.omitted.shift == "less":
            return "neither", f"{reads}, yet does better without"
        # Not "same" alone: how much better it does without may not be clear.
        if offset.omitted.change.high < offset.omitted.within.margin:
            return "neither", f"{reads}, yet does as well without"
        return "inconclusive", f"{reads}; it is not clear whether it needs to"
    matters = "it matters whose it is"
    if decodability.high < LEAST:
        return "neither", f"{matters}, but it says nothing linear of x"
    if donor_shift.high < LEAST:
        return "neither", f"{matters}, but the decoder reads no x from it"
    return "inconclusive", f"{matters}; it is not clear whether the decoder reads x from it"


def offset_effects(
    donor_shifts: Sequence[tuple[Run, float | None]],
    interventions: Sequence[InterventionSummary],
    probes: Sequence[ProbeSummary],
    *,
    metric: str,
) -> list[OffsetEffects]:
    """Bring together the measurements of each setting's offset, in one metric.

    Returns:
        By setting, in order; a setting without an offset, or without another sample to take
        one from, has none.
    """
    summaries = {(s.setting.label, s.intervention): s for s in interventions if s.metric == metric}
    explained = {probe.setting.label: probe.explained for probe in probes if probe.part == "offset"}
    effects = []
    for setting, shifts in by_setting(donor_shifts):
        label = setting.label
        permuted, gaussian, omitted = (
            summaries.get((label, exchange)) for exchange in (PERMUTED, GAUSSIAN, OMITTED)
        )
        if permuted and gaussian and omitted and label in explained:
            metrics = (permuted.own, permuted.values, gaussian.values, omitted.values)
            shares = explained[label], np.array(shifts)
            effects.append(OffsetEffects(setting, metric, *metrics, *shares))
    return effects


def exchange_effects(
    measured: Sequence[OffsetEffects], exchange: Exchange, evaluate: Evaluate
) -> list[ExchangeEffect]:
    """The effect of one exchange on the error, for each offset.

    ``more``, ``less`` and ``same`` each need a one-sided sign-flip p of at most
    ``1 − confidence``, and the whole interval on that side of the margin, a share of the error.
    Each of the three is corrected by itself over the offsets, so that the chance of even one
    false ``more`` is at most ``1 − confidence``, and so for the others.

    Raises:
        ValueError: where arrays of an offset differ in length.
    """
    margin, confidence = evaluate.margin, evaluate.confidence
    changes = [
        statistics.relative_change(getattr(item, exchange), item.own, item.metric)
        for item in measured
    ]
    # The first value of an offset whose runs diverged need not be that of the first seed.
    matrix = align(changes, [range(len(change)) for change in changes])
    more = beyond_margin(matrix, margin, "greater").p_corrected
    less = beyond_margin(matrix, margin, "less").p_corrected
    within = statistics.equivalences(matrix, margin, confidence)
    return [
        ExchangeEffect(test, p_more, p_less, _shift(test, p_more, p_less, 1 - confidence))
        for test, p_more, p_less in zip(within, more.tolist(), less.tolist(), strict=True)
    ]


def judge_offsets(measured: Sequence[OffsetEffects], evaluate: Evaluate) -> list[OffsetVerdict]:
    """Judge each offset by the rule above; p is corrected over all of them.

    Raises:
        ValueError: where arrays of an offset differ in length.
    """
    effects = [exchange_effects(measured, each, evaluate) for each in get_args(Exchange)]
    family, confidence = len(measured), evaluate.confidence
    verdicts = []
    for item, permuted, gaussian, omitted in zip(measured, *effects, strict=True):
        own, donor_shift = item.own, statistics.mean_and_interval(item.donor_shift, confidence)
        shares = item.linear_decodability, donor_shift
        verdict = OffsetVerdict(item.setting, item.metric, permuted, gaussian, omitted, *shares)
        word, reason = apply_rule(
            verdict,
            without_effect=len(own) > 0 and np.allclose(item.permuted, own, rtol=1e-7, atol=0),
            too_few_seeds=not smallest_p(len(own), "greater") <= 1 - confidence,
        )
        needed = None
        if word == permuted.shift == "inconclusive":
            needed = _seeds_needed(permuted, family, evaluate)
        verdict = replace(verdict, word=word, seeds_needed=needed)
        verdicts.append(replace(verdict, sentence=_sentence(verdict, reason, confidence)))
    return verdicts


def _shift(within: Equivalence, p_more: float, p_less: float, level: float) -> Shift:
    if within.shown:
        return "same"
    if p_more <= level and within.change.low > within.margin:
        return "more"
    return "less" if p_less <= level and within.change.high < -within.margin else "inconclusive"


def _sentence(verdict: OffsetVerdict, reason: str, confidence: float) -> str:
    behaves = {
        "noise": "behaves as noise",
        "second encoder": "behaves as a second encoder",
        "neither": "behaves as neither noise nor a second encoder",
        "inconclusive": "inconclusive",
    }[verdict.word]
    exchanges = {
        "another sample's": verdict.permuted.change,
        "Gaussian noise in its place": verdict.gaussian.change,
        "omitted": verdict.omitted.change,
    }
    changes = [
        f"{exchange} {statistics.change_percent(change)}"
        for exchange, change in exchanges.items()
        if math.isfinite(change.mean)
    ]
    finite = math.isfinite(verdict.omitted.change.half)
    intervals = f", {statistics.percent(confidence)} intervals" if finite else ""
    parts = [f"error{intervals}: {', '.join(changes)}"] if changes else []
    parts.append(f"margin {statistics.percent(verdict.permuted.within.margin)}")
    for name, share in (
        ("linear decodability", verdict.linear_decodability.mean),
        ("donor shift", verdict.donor_shift.mean),
    ):
        if math.isfinite(share):
            parts.append(f"{name} {statistics.share_percent(share)}")
    needed = verdict.seeds_needed
    more = f"; about {needed} seeds would settle it if that is as seen" if needed else ""
    return f"{verdict.setting.label}: {behaves}: {reason} ({'; '.join(parts)}){more}"


def _seeds_needed(effect: ExchangeEffect, family: int, evaluate: Evaluate) -> int | None:
    margin, change, power = effect.within.margin, effect.change, evaluate.power
    rule = Rule((1 - evaluate.confidence) / family, evaluate.confidence, power)
    if abs(change.mean) < margin:
        return seeds_for_equivalence(change.mean, change.std, margin, rule)
    beyond = abs(change.mean) - margin
    return seeds_for_difference(beyond, change.std, rule, "greater")
