"""Verdict on each offset: what it is to the network that was trained with it.

docs/reading-results.md has the words and what each of them claims ("Noise, or a second encoder?");
:func:`apply_rule` is the rule, and nothing else decides a word. A change of the error counts by a
margin, in units of the error of a network trained with nothing (of its own, as deployed, where
there is none). *Second encoder* and *memorised* claim that the network makes something of the
vectors, and need every quantity that they rest on to exceed the controls' (:mod:`.controls`) by
more than the margin, seed by seed. The next two claim an absence, and *memorised* one on unseen
samples, which a network may owe to the table: the sentence says whether a network trained with
nothing differs. Such words are *shown* equivalences: a test that finds nothing gives none of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from offset_autoencoder.config import Setting
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation import statistics
from offset_autoencoder.evaluation.controls import CONTROLS, NOTHING, Network, decodes_sum
from offset_autoencoder.evaluation.metrics import METRICS
from offset_autoencoder.evaluation.offset_effects import (
    CHANGES,
    DONOR_SHIFT,
    EXCHANGE_NAMES,
    QUANTITIES,
    TRAIN,
    ByQuantity,
    Effect,
    OffsetEffects,
    effects_of,
)
from offset_autoencoder.evaluation.sample_size import (
    Rule,
    out_of_reach,
    seeds_for_difference,
    seeds_for_equivalence,
)
from offset_autoencoder.evaluation.sign_flips import smallest_p
from offset_autoencoder.evaluation.statistics import (
    ONE_SPLIT,
    Design,
    Estimate,
    change_percent,
    percent,
)

OffsetWord = Literal[
    "second encoder", "memorised", "noise", "cancelled or ignored", "other", "inconclusive"
]

# The least share of the way to another sample that counts as some.
LEAST_SHIFT = 0.01
BEYOND = ("permuted", f"permuted{TRAIN}", "mean", "omitted", DONOR_SHIFT)
"""The quantities in which a network is compared with the controls."""

_ON_UNSEEN = "it matters whose it is on unseen samples"
_UNCLEAR = {
    "permuted": _ON_UNSEEN,
    f"permuted{TRAIN}": "it matters whose it is on training samples",
    "gaussian": "a Gaussian draw does the same",
    "mean": "the mean vector changes the error",
    "omitted": "omitting it matters",
    DONOR_SHIFT: "the output moves to the donor",
}
_NAMES = {
    "permuted": "another's",
    "gaussian": "a Gaussian draw",
    "mean": "the mean vector",
    "omitted": "omitted",
}


@dataclass(frozen=True)
class OffsetVerdict:
    """Verdict on the offset of a setting; its figures as in :class:`OffsetEffects`.

    Attributes:
        effects: Each of :data:`.offset_effects.QUANTITIES` in its own network.
        beyond: By control each of :data:`BEYOND` less the control's.
        controls: By control each quantity of it.
        unsettled: The quantity that an inconclusive verdict hangs on, else empty.
        seeds_needed: About how many seeds would settle that, if it is as seen; None where none
            would, or that is not known.
        floor: Half its interval that is left with any number of seeds; NaN where unknown.
    """

    setting: Setting
    metric: str
    effects: Mapping[str, Effect]
    beyond: Mapping[Network, Mapping[str, Effect]]
    controls: Mapping[Network, Mapping[str, Estimate]]
    against: Mapping[str, Estimate]
    has_baseline: bool
    linear_decodability: Estimate
    word: OffsetWord = "inconclusive"
    sentence: str = ""
    unsettled: str = ""
    seeds_needed: int | None = None
    floor: float = math.nan

    @property
    def seeds(self) -> int:
        """Over how many seeds."""
        return self.effects["permuted"].change.count

    @property
    def margin(self) -> float:
        """The largest change that counts as none, a share of the unit that its sentence names."""
        return self.effects["permuted"].margin


class Ruling(NamedTuple):
    """The verdict in a word, its reason, and what it hangs on where it is inconclusive."""

    word: OffsetWord
    reason: str
    quantity: str = ""
    control: Network | None = None  # whose difference in that quantity is meant


def apply_rule(offset: OffsetVerdict) -> Ruling:
    """The verdict by the figures of an offset."""
    effects = offset.effects
    permuted, of_training = effects["permuted"].shift, effects[f"permuted{TRAIN}"].shift
    if permuted == "more":
        return _rule_where_it_matters(offset)
    if permuted == "less":
        return Ruling("other", "on unseen samples its own does more harm than another's")
    if permuted == "inconclusive":
        learnt = of_training == "more" and _beyond(offset, f"permuted{TRAIN}") is None
        seen = "on training samples it matters whose it is; " if learnt else ""
        return _unclear("permuted", seen)
    unseen = "on unseen samples"
    no_matter = f"it does not matter whose it is {unseen}"
    if of_training == "more":
        return _beyond(offset, f"permuted{TRAIN}") or Ruling(
            "memorised",
            f"{no_matter}, on training samples it does: the table was learnt by heart"
            + _to_others(
                offset,
                ("permuted",),
                f"{unseen} it matters no more",
                f"it does matter {unseen}",
                f"that {unseen} it is otherwise",
            ),
        )
    if of_training == "less":
        reason = f"{no_matter}; on training samples its own does more harm than another's"
        return Ruling("other", reason)
    if of_training == "inconclusive":
        return _unclear(f"permuted{TRAIN}", f"{no_matter}; ")
    no_matter += " or on training samples"
    for quantity in ("mean", "gaussian"):
        if effects[quantity].shift == "inconclusive":
            return _unclear(quantity, f"{no_matter}; ")
    if effects["gaussian"].shift != "same":
        return Ruling("other", f"{no_matter}, but how it is distributed does")
    if effects["mean"].shift != "same":
        to_others = _to_others(offset, ("permuted", f"permuted{TRAIN}"), "so it is", "it does")
        return Ruling("noise", f"{no_matter}, nor if it is a fresh draw{to_others}")
    if effects["omitted"].shift == "inconclusive":
        return _unclear("omitted", f"{no_matter}; ")
    if effects["omitted"].shift != "same":
        return Ruling("other", f"{no_matter}; nothing but its mean matters")
    to_others = _to_others(offset, ("omitted",), "nor does it matter", "omitting it matters")
    return Ruling("cancelled or ignored", f"none of it matters, not even omitting it{to_others}")


def _rule_where_it_matters(offset: OffsetVerdict) -> Ruling:
    """The rule where another's vector costs on unseen samples."""
    if (ruling := _beyond(offset, "permuted")) is not None:
        return ruling
    mean, shift = offset.effects["mean"], offset.effects[DONOR_SHIFT]
    if mean.not_more:
        how = {"less": "better", "same": "as well"}.get(mean.shift, "no worse")
        return Ruling("other", f"{_ON_UNSEEN}, yet the mean vector does {how}")
    if mean.shift != "more":
        return _unclear("mean", f"{_ON_UNSEEN}; ")
    if (ruling := _beyond(offset, "mean")) is not None:
        return ruling
    if shift.not_more:
        return Ruling("other", f"{_ON_UNSEEN}, but the output does not move to the donor")
    if shift.shift != "more":
        return _unclear(DONOR_SHIFT, f"{_ON_UNSEEN}; ")
    return _beyond(offset, DONOR_SHIFT) or Ruling(
        "second encoder", "the decoder reads x from it on unseen samples"
    )


def _beyond(offset: OffsetVerdict, quantity: str) -> Ruling | None:
    """None where a quantity exceeds that of every control, else what is to be said instead."""
    matters = _UNCLEAR[quantity]
    for control, effects in offset.beyond.items():
        if effects[quantity].not_more:
            reason = f"{matters}, but no more than in a network {control} that never saw it"
            return Ruling("other", reason)
    for control, effects in offset.beyond.items():
        if effects[quantity].shift != "more":
            reason = f"{matters}; it is not clear whether more than in a network {control}"
            return Ruling("inconclusive", reason, quantity, control)
    return None


def _unclear(quantity: str, seen: str = "") -> Ruling:
    reason = f"{seen}it is not clear whether {_UNCLEAR[quantity]}"
    return Ruling("inconclusive", reason, quantity)


def _to_others(
    offset: OffsetVerdict,
    quantities: Sequence[str],
    alike: str,
    unlike: str,
    otherwise: str = "that it is otherwise",
) -> str:
    """Clause on whether an absence is that of the network trained with nothing, too."""
    if NOTHING not in offset.beyond:
        return ""
    network = f"to a network {NOTHING}"
    shifts = {offset.beyond[NOTHING][quantity].shift for quantity in quantities}
    if shifts & {"more", "less"}:
        return f"; {network} {unlike}"
    if shifts == {"same"}:
        return f"; {alike} {network}: a property of the table, not of the network"
    return f"; {otherwise} {network} is not shown"


def judge_offsets(
    measured: Sequence[OffsetEffects], evaluate: Evaluate, design: Design = ONE_SPLIT
) -> list[OffsetVerdict]:
    """Judge each offset by the rule above; each quantity is corrected over all offsets.

    Raises:
        ValueError: where arrays of an offset differ in length.
    """
    confidence = evaluate.confidence
    overlap = {name: _overlap(design, name) for name in QUANTITIES}
    every = [item.seeds for item in measured]
    margins = dict.fromkeys(CHANGES, evaluate.margin) | {DONOR_SHIFT: LEAST_SHIFT}
    own = {
        name: effects_of(
            [item.own[name] for item in measured], every, margins[name], confidence, overlap[name]
        )
        for name in QUANTITIES
    }
    beyond: list[dict[Network, dict[str, Effect]]] = [{} for _ in measured]
    for control in CONTROLS:
        places = [place for place, item in enumerate(measured) if control in item.controls]
        for name in BEYOND:
            family = [measured[place].beyond(control, name) for place in places]
            seeds = [every[place] for place in places]
            effects = effects_of(family, seeds, margins[name], confidence, overlap[name])
            for place, effect in zip(places, effects, strict=True):
                beyond[place].setdefault(control, {})[name] = effect
    verdicts = []
    for place, item in enumerate(measured):
        verdict = OffsetVerdict(
            item.setting,
            item.metric,
            {name: tested[place] for name, tested in own.items()},
            beyond[place],
            {control: _estimates(of, confidence, design) for control, of in item.controls.items()},
            _estimates(item.against, confidence, design),
            item.has_baseline,
            item.linear_decodability,
        )
        verdicts.append(_judged(verdict, len(measured), evaluate, design))
    return verdicts


def _judged(
    verdict: OffsetVerdict, family: int, evaluate: Evaluate, design: Design
) -> OffsetVerdict:
    ruling = apply_rule(verdict)
    needed, unsettled, floor = None, "", math.nan
    if ruling.word == "inconclusive":
        of = verdict.effects if ruling.control is None else verdict.beyond[ruling.control]
        level, overlap = 1 - evaluate.confidence, _overlap(design, ruling.quantity)
        rule = Rule(level / family, evaluate.confidence, evaluate.power, overlap)
        needed = _seeds_needed(of[ruling.quantity], rule)
        floor = rule.floor(of[ruling.quantity].change.std)
        unsettled = ruling.quantity
        if ruling.control is not None:
            unsettled += f" beyond {ruling.control}"
        if not smallest_p(verdict.seeds, "greater") <= 1 - evaluate.confidence:
            few = "too few seeds" if verdict.seeds > 1 else "nothing can be tested on one run alone"
            ruling = ruling._replace(reason=few)
    verdict = replace(
        verdict, word=ruling.word, unsettled=unsettled, seeds_needed=needed, floor=floor
    )
    return replace(verdict, sentence=_sentence(verdict, ruling.reason, evaluate.confidence))


def _overlap(design: Design, quantity: str) -> float:
    return design.overlap_on("train" if quantity.endswith(TRAIN) else "test")


def _estimates(values: ByQuantity, confidence: float, design: Design) -> dict[str, Estimate]:
    return {
        name: statistics.mean_and_interval(value, confidence, _overlap(design, name))
        for name, value in values.items()
    }


def missing_controls(verdict: OffsetVerdict) -> str:
    """Clause on the controls that are missing, and why; empty where all are there."""
    if not decodes_sum(verdict.setting):
        return "no control: its decoder is of another kind"
    missing = [control for control in CONTROLS if control not in verdict.beyond]
    return f"no control {' or '.join(missing)}" if missing else ""


def _sentence(verdict: OffsetVerdict, reason: str, confidence: float) -> str:
    """The verdict with the figures behind it; changes are shares of the baseline's error."""
    error = METRICS[verdict.metric].error_label
    unit = f"that of a network {NOTHING}" if verdict.has_baseline else "its own as deployed"
    finite = math.isfinite(verdict.effects["omitted"].change.half)
    intervals = f", {percent(confidence)} intervals" if finite else ""
    parts = [f"change of the {error} as a share of {unit}{intervals}"]
    for samples, suffix in (("unseen", ""), ("training", TRAIN)):
        changes = {_NAMES[name]: verdict.effects[name + suffix].change for name in EXCHANGE_NAMES}
        parts += _listed(f"{samples} samples", changes)
    for control, estimates in verdict.controls.items():
        changes = {
            "another's": estimates["permuted"],
            "on training samples": estimates[f"permuted{TRAIN}"],
            "omitted": estimates["omitted"],
        }
        parts += _listed(f"a network {control}", changes)
    parts.append(f"margin {percent(verdict.margin)}")
    shifts = {"": verdict.effects[DONOR_SHIFT].change} | {
        f"{control} ": estimates[DONOR_SHIFT] for control, estimates in verdict.controls.items()
    }
    known = [
        f"{name}{statistics.share_percent(shift.mean)}"
        for name, shift in shifts.items()
        if math.isfinite(shift.mean)
    ]
    if known:
        parts.append(f"donor shift {', '.join(known)}")
    if math.isfinite(verdict.linear_decodability.mean):
        share = statistics.share_percent(verdict.linear_decodability.mean)
        parts.append(f"linear decodability {share}")
    more = ""
    if verdict.word != "inconclusive" and (missing := missing_controls(verdict)):
        more = f"; {missing}"
    if verdict.seeds_needed:
        count = verdict.seeds_needed
        more += f"; at most about {count} seeds would settle it, if further ones are like these"
    elif math.isfinite(verdict.floor):
        of_shift = verdict.unsettled.startswith(DONOR_SHIFT)
        more += f"; {out_of_reach(verdict.floor, 'the donor shift' if of_shift else 'the change')}"
    return f"{verdict.setting.label}: {verdict.word}: {reason} ({'; '.join(parts)}){more}"


def _listed(what: str, changes: Mapping[str, Estimate]) -> list[str]:
    known = [
        f"{name} {change_percent(change)}"
        for name, change in changes.items()
        if math.isfinite(change.mean)
    ]
    return [f"{what}: {', '.join(known)}"] if known else []


def _seeds_needed(effect: Effect, rule: Rule) -> int | None:
    margin, change = effect.margin, effect.change
    if abs(change.mean) < margin:
        return seeds_for_equivalence(change.mean, change.std, margin, rule)
    return seeds_for_difference(abs(change.mean) - margin, change.std, rule, "greater")
