"""Whether an offset is noise to the network, or a second encoder's code.

The rule, on the test split, over seeds. An offset is a **second encoder** where another
sample's offset raises the error by more than the margin, and so does leaving it out; x can be
told from the offset; and with another sample's the output moves towards that sample: the decoder
reads x from the offset, and needs to. It is **noise** where it makes no difference whose offset a
sample is given, nor whether it is given Gaussian noise of the same power instead, while leaving
the offset out does: to a network that cannot tell a fixed vector from a fresh draw, the three are
one. It is **neither** where something else is shown: its own offset does more harm than another
sample's (as an adversary's), it matters whose it is but the decoder reads no x from it (the
encoder allows for it), the decoder reads x from it but does as well without, it matters only how
it is distributed, or it does not matter at all. It is **undecided** where an interval reaches
across the margin, or the seeds are too few.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.offset_effects import Effect, OffsetEffects, exchange_effects
from offset_autoencoder.evaluation.power import seeds_for_difference, seeds_for_equivalence
from offset_autoencoder.evaluation.statistics import Estimate, mean_and_interval, smallest_p
from offset_autoencoder.evaluation.verdict import change_percent, percent, share_percent

OffsetWord = Literal["noise", "second encoder", "neither", "undecided"]

# The least share of the variance of x, or of the way to another sample, that counts as some.
LEAST = 0.01


@dataclass(frozen=True)
class OffsetVerdict:
    """What the offset of a setting is to its network.

    Attributes:
        setting: Which setting.
        metric: The metric that the changes were measured in.
        word: The verdict in a word.
        sentence: The verdict in a sentence, with its figures.
        permuted: What another sample's offset changes.
        gaussian: What Gaussian noise of the same power in its place changes.
        none: What leaving it out changes.
        tells: Share of the variance of x that is explained from the offset alone.
        pull: Share of the way to another sample.
        seeds_needed: Where the verdict is undecided for it is open whether it matters whose
            offset it is: how many seeds would settle that, if the change is as seen; else, or
            where not known, None.
    """

    setting: Setting
    metric: str
    word: OffsetWord
    sentence: str
    permuted: Effect
    gaussian: Effect
    none: Effect
    tells: Estimate
    pull: Estimate
    seeds_needed: int | None

    @property
    def seeds(self) -> int:
        """Over how many seeds."""
        return self.permuted.change.count


@dataclass(frozen=True)
class _Evidence:
    permuted: Effect
    gaussian: Effect
    none: Effect
    tells: Estimate
    pull: Estimate
    constant: bool
    too_few: bool


def judge_offsets(
    measured: Sequence[OffsetEffects], *, margin: float, confidence: float, power: float
) -> list[OffsetVerdict]:
    """Judge each offset by the rule above.

    Args:
        measured: The offsets that are judged together; p is corrected over all of them.
        margin: The largest change of the error that counts as equal, as a share of it.
        confidence: The share of intervals that hold the true value.
        power: The chance with which the seeds said to be needed settle an open question.

    Returns:
        One an offset, in order.

    Raises:
        ValueError: where arrays of an offset differ in length, or the margin is not above zero.
    """
    permuted, gaussian, none = (
        exchange_effects(measured, exchange, margin=margin, confidence=confidence)
        for exchange in ("permuted", "gaussian", "none")
    )
    verdicts = []
    for index, one in enumerate(measured):
        evidence = _Evidence(
            permuted=permuted[index],
            gaussian=gaussian[index],
            none=none[index],
            tells=one.tells,
            pull=mean_and_interval(one.pull, confidence),
            constant=len(one.own) > 0 and np.allclose(one.permuted, one.own, rtol=1e-7, atol=0),
            too_few=not len(measured) * smallest_p(len(one.own), "greater") <= 1 - confidence,
        )
        word, reason = _rule(evidence)
        needed = None
        if word == "undecided" and evidence.permuted.shift == "open":
            needed = _seeds_needed(evidence.permuted, len(measured), confidence, power)
        verdicts.append(
            OffsetVerdict(
                setting=one.setting,
                metric=one.metric,
                word=word,
                sentence=_sentence(one.setting.label, word, reason, evidence, confidence, needed),
                permuted=evidence.permuted,
                gaussian=evidence.gaussian,
                none=evidence.none,
                tells=evidence.tells,
                pull=evidence.pull,
                seeds_needed=needed,
            )
        )
    return verdicts


def _rule(seen: _Evidence) -> tuple[OffsetWord, str]:
    shift = seen.permuted.shift
    if seen.constant:
        return "neither", "another sample's does the very same"
    if shift == "open":
        if seen.too_few:
            return "undecided", "too few seeds"
        return "undecided", "it is open whether it matters whose it is"
    if shift == "less":
        return "neither", "its own does more harm than another sample's"
    if shift == "more":
        return _read(seen)
    if seen.none.shift == "same":
        return "neither", "it does not matter, not even left out"
    if seen.gaussian.shift == "open":
        return "undecided", "it does not matter whose it is; it is open whether noise does the same"
    if seen.gaussian.shift != "same":
        return "neither", "it does not matter whose it is, but how it is distributed"
    if seen.none.shift == "open":
        return "undecided", "it does not matter whose it is; it is open whether it matters at all"
    return "noise", "it does not matter whose it is, nor that it is fixed"


def _read(seen: _Evidence) -> tuple[OffsetWord, str]:
    """The verdict on an offset of which it matters whose it is."""
    if seen.tells.low >= LEAST and seen.pull.low >= LEAST:
        if seen.none.shift == "more":
            return "second encoder", "the decoder reads x from it"
        if seen.none.shift == "less":
            return "neither", "the decoder reads x from it, yet does better without"
        # Not "same" alone: how much better it does without may be open.
        if seen.none.change.high < seen.none.within.margin:
            return "neither", "the decoder reads x from it, yet does as well without"
        return "undecided", "the decoder reads x from it; it is open whether it needs to"
    if seen.tells.high < LEAST:
        return "neither", "it matters whose it is, but it says nothing linear of x"
    if seen.pull.high < LEAST:
        return "neither", "it matters whose it is, but the decoder reads no x from it"
    return "undecided", "it matters whose it is; it is open whether the decoder reads x from it"


def _sentence(
    label: str,
    word: OffsetWord,
    reason: str,
    seen: _Evidence,
    confidence: float,
    needed: int | None,
) -> str:
    behaves = {
        "noise": "behaves as noise",
        "second encoder": "behaves as a second encoder",
        "neither": "behaves as neither noise nor a second encoder",
        "undecided": "undecided",
    }[word]
    changes = [
        f"{what} {change_percent(effect.change)}"
        for what, effect in (
            ("another sample's", seen.permuted),
            ("Gaussian noise in its place", seen.gaussian),
            ("none", seen.none),
        )
        if math.isfinite(effect.change.mean)
    ]
    intervals = f", {percent(confidence)} intervals" if math.isfinite(seen.none.change.half) else ""
    parts = [f"error{intervals}: {', '.join(changes)}"] if changes else []
    parts.append(f"margin {percent(seen.permuted.within.margin)}")
    if math.isfinite(seen.tells.mean):
        parts.append(f"tells {share_percent(seen.tells.mean)} of x")
    if math.isfinite(seen.pull.mean):
        parts.append(f"pulls {share_percent(seen.pull.mean)} of the way")
    more = f"; about {needed} seeds would settle it if that is as seen" if needed else ""
    return f"{label}: {behaves}: {reason} ({'; '.join(parts)}){more}"


def _seeds_needed(effect: Effect, family: int, confidence: float, power: float) -> int | None:
    margin, change, level = effect.within.margin, effect.change, (1 - confidence) / family
    # The interval, which must be on one side of the margin as well, is that of half the level.
    level = min(level, (1 - confidence) / 2)
    if abs(change.mean) < margin:
        return seeds_for_equivalence(change.mean, change.std, margin, level=level, power=power)
    beyond = abs(change.mean) - margin
    return seeds_for_difference(beyond, change.std, level=2 * level, power=power)
