"""What taking away or exchanging an offset does to the error, against a margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Run, Setting
from offset_autoencoder.evaluation.by_setting import runs_by_setting
from offset_autoencoder.evaluation.equivalence import (
    Equivalence,
    beyond_margin_p,
    equivalences,
    relative_change,
)
from offset_autoencoder.evaluation.intervention_summary import InterventionSummary
from offset_autoencoder.evaluation.interventions import GAUSSIAN, NONE, PERMUTED
from offset_autoencoder.evaluation.probe_summary import ProbeSummary
from offset_autoencoder.evaluation.statistics import Estimate, holm

Shift = Literal["more", "less", "same", "open"]
Exchange = Literal["permuted", "gaussian", "none"]


@dataclass(frozen=True)
class OffsetEffects:
    """What was measured of a setting's offset, one value a seed.

    Attributes:
        setting: Which setting; it adds or concatenates an offset that is not zero.
        metric: The metric of the arrays.
        own: The metric with each sample's own offset, (n,).
        permuted: With another sample's, (n,).
        gaussian: With Gaussian noise of the same power in its place, (n,).
        none: Without the offset, (n,).
        tells: Share of the variance of x that a ridge regression explains from the offset
            alone, on the test split, with its interval.
        pull: Share of the way to another sample that its offset takes the reconstruction, (n,),
            as :func:`.pull.pull`.
    """

    setting: Setting
    metric: str
    own: NDArray[np.float64]
    permuted: NDArray[np.float64]
    gaussian: NDArray[np.float64]
    none: NDArray[np.float64]
    tells: Estimate
    pull: NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """The relative change of the error by an intervention, against the margin.

    Attributes:
        within: The change, and the test that it is within the margin.
        p_more: Corrected p that the error rises by more than the margin.
        p_less: Corrected p that it falls by more than the margin.
        shift: ``more`` or ``less`` error by more than the margin, the ``same`` within it, or
            ``open``.
    """

    within: Equivalence
    p_more: float
    p_less: float
    shift: Shift

    @property
    def change(self) -> Estimate:
        """The change as a share of the error with its own offset."""
        return self.within.change


def offset_effects(
    finished: Sequence[tuple[str, Run]],
    pulls: Mapping[str, float],
    interventions: Sequence[InterventionSummary],
    probes: Sequence[ProbeSummary],
    *,
    metric: str,
) -> list[OffsetEffects]:
    """Bring together what was measured of each setting's offset.

    Args:
        finished: Ids and runs, in the order of the report.
        pulls: :func:`.pull.pull` of each run that has an offset, by id.
        interventions: The interventions over seeds.
        probes: The probes over seeds.
        metric: The metric to take of the interventions.

    Returns:
        By setting, in order; a setting without an offset, or without another sample to take
        one from, has none.
    """
    found = {
        (item.setting.label, item.intervention): item
        for item in interventions
        if item.metric == metric
    }
    told = {item.setting.label: item.explained for item in probes if item.part == "offset"}
    effects = []
    for setting, members in runs_by_setting(finished, pulls):
        label = setting.label
        permuted, gaussian, none = (found.get((label, e)) for e in (PERMUTED, GAUSSIAN, NONE))
        if permuted is None or gaussian is None or none is None or label not in told:
            continue
        effects.append(
            OffsetEffects(
                setting=setting,
                metric=metric,
                own=permuted.own,
                permuted=permuted.values,
                gaussian=gaussian.values,
                none=none.values,
                tells=told[label],
                pull=np.array([pulls[run_id] for run_id, _ in members]),
            )
        )
    return effects


def exchange_effects(
    measured: Sequence[OffsetEffects], exchange: Exchange, *, margin: float, confidence: float
) -> list[Effect]:
    """What one exchange changes of the error, for each offset.

    ``more``, ``less`` and ``same`` each need a one-sided sign-flip p of at most
    ``1 − confidence``, and the whole interval on that side of the margin. Each of the three is
    Holm-corrected by itself over the offsets, so that the chance of even one false ``more`` is
    at most ``1 − confidence``, and so for the others.

    Args:
        measured: The offsets.
        exchange: What stands in place of their own.
        margin: The largest change of the error that counts as equal, as a share of it.
        confidence: The share of intervals that hold the true change.

    Raises:
        ValueError: where arrays of an offset differ in length, or the margin is not above zero.
    """
    changes = [relative_change(getattr(one, exchange), one.own, one.metric) for one in measured]
    more = holm(np.array([beyond_margin_p(change, margin, "greater") for change in changes]))
    less = holm(np.array([beyond_margin_p(change, margin, "less") for change in changes]))
    return [
        Effect(one, float(p_more), float(p_less), _shift(one, p_more, p_less, 1 - confidence))
        for one, p_more, p_less in zip(
            equivalences(changes, margin, confidence), more, less, strict=True
        )
    ]


def _shift(within: Equivalence, p_more: float, p_less: float, level: float) -> Shift:
    if within.shown:
        return "same"
    if p_more <= level and within.change.low > within.margin:
        return "more"
    return "less" if p_less <= level and within.change.high < -within.margin else "open"
