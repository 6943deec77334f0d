"""Interventions that tests name, and their summaries."""

from __future__ import annotations

from collections.abc import Sequence

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.interventions import Intervention, InterventionSummary

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
) -> InterventionSummary | None:
    key = (setting.label, intervention, metric)
    return next((s for s in summaries if (s.setting.label, s.intervention, s.metric) == key), None)
