"""Interventions that tests name, and their summaries."""

from __future__ import annotations

from collections.abc import Sequence

from offset_autoencoder.config import Setting, SplitName
from offset_autoencoder.evaluation.controls import OWN_NETWORK, Network
from offset_autoencoder.evaluation.interventions import Intervention
from offset_autoencoder.evaluation.offset_effects import InterventionSummary

OFFSET_ONLY = Intervention("offset_only")


def scaled(factor: float) -> Intervention:
    return Intervention("scaled", float(factor))


def noisy(stddev: float) -> Intervention:
    return Intervention("noise", float(stddev))


def find_intervention(
    summaries: Sequence[InterventionSummary],
    setting: Setting,
    intervention: Intervention,
    metric: str,
    network: Network = OWN_NETWORK,
    split: SplitName = "test",
) -> InterventionSummary | None:
    key = (setting.label, intervention, metric, network, split)
    return next(
        (
            s
            for s in summaries
            if (s.setting.label, s.intervention, s.metric, s.network, s.split) == key
        ),
        None,
    )
