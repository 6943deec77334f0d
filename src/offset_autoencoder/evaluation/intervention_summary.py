"""Interventions over seeds: each setting's error under each, and what it costs against its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Run, Setting
from offset_autoencoder.evaluation.by_setting import runs_by_setting
from offset_autoencoder.evaluation.equivalence import relative_change
from offset_autoencoder.evaluation.interventions import OWN, Intervention
from offset_autoencoder.evaluation.statistics import Estimate, differences, mean_and_interval


@dataclass(frozen=True)
class InterventionSummary:
    """One metric of a setting under an intervention, over the seeds that finished.

    Attributes:
        setting: Which setting.
        intervention: What was done to its runs.
        metric: The metric.
        seeds: The seeds, ascending.
        values: The metric under the intervention, float64, one a seed.
        own: The metric of the same runs left as they are, float64, one a seed.
        estimate: Mean and interval of ``values``.
        difference: Mean and interval of ``values − own``, seed by seed.
        relative: Mean and interval of the change of the error behind the metric, seed by seed
            and as a share of the own, as :func:`.equivalence.relative_change`: 0.05 is 5 % worse.
    """

    setting: Setting
    intervention: Intervention
    metric: str
    seeds: tuple[int, ...]
    values: NDArray[np.float64]
    own: NDArray[np.float64]
    estimate: Estimate
    difference: Estimate
    relative: Estimate


def summarise_interventions(
    finished: Sequence[tuple[str, Run]],
    measured: Mapping[str, Mapping[Intervention, Mapping[str, float]]],
    *,
    confidence: float,
) -> list[InterventionSummary]:
    """Every intervention of every setting, in every metric it was measured in.

    Args:
        finished: Ids and runs, in the order of the report.
        measured: What :func:`.interventions.intervene` gave for each id. A run that lacks an
            intervention is left out of it; a run that is not here is left out altogether.
        confidence: The share of intervals that hold the true mean.

    Returns:
        By setting, then intervention, then metric, each in the order in which it came.
    """
    summaries = []
    for setting, members in runs_by_setting(finished, measured):
        found = {run.seed: measured[run_id] for run_id, run in members}
        kinds = dict.fromkeys(
            (intervention, metric)
            for one in found.values()
            for intervention, values in one.items()
            for metric in values
        )
        for intervention, metric in kinds:
            seeds = [seed for seed, one in found.items() if metric in one.get(intervention, {})]
            values = np.array([found[seed][intervention][metric] for seed in seeds])
            own = np.array([found[seed][OWN][metric] for seed in seeds])
            summaries.append(
                _summary(setting, intervention, metric, tuple(seeds), values, own, confidence)
            )
    return summaries


def find(
    summaries: Sequence[InterventionSummary],
    setting: Setting,
    intervention: Intervention,
    metric: str,
) -> InterventionSummary | None:
    """A setting's summary of one intervention in one metric; None where it does not apply."""
    for summary in summaries:
        if (summary.setting.label, summary.intervention, summary.metric) == (
            setting.label,
            intervention,
            metric,
        ):
            return summary
    return None


def _summary(
    setting: Setting,
    intervention: Intervention,
    metric: str,
    seeds: tuple[int, ...],
    values: NDArray[np.float64],
    own: NDArray[np.float64],
    confidence: float,
) -> InterventionSummary:
    return InterventionSummary(
        setting=setting,
        intervention=intervention,
        metric=metric,
        seeds=seeds,
        values=values,
        own=own,
        estimate=mean_and_interval(values, confidence),
        difference=mean_and_interval(differences(values, own), confidence),
        relative=mean_and_interval(relative_change(values, own, metric), confidence),
    )
