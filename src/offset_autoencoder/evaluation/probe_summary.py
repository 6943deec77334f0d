"""Probes over seeds: what each part of a setting tells, and how well that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Run, Setting
from offset_autoencoder.evaluation.by_setting import runs_by_setting
from offset_autoencoder.evaluation.probes import PARTS, Probe
from offset_autoencoder.evaluation.statistics import Estimate, mean_and_interval


@dataclass(frozen=True)
class ProbeSummary:
    """What one part of a setting tells, over the seeds that finished.

    Attributes:
        setting: Which setting.
        part: Which part, of :data:`.probes.PARTS`.
        values: Share of the variance of x that is explained, float64, one a seed.
        explained: Its mean and interval.
        accuracy: Mean and interval of the share of labels that are right; None without labels.
        over: What the intervals are over. ``seeds``, unless the part is one table for all of
            them: then the seeds say nothing of how well it is known, and ``samples`` of the
            test split do.
    """

    setting: Setting
    part: str
    values: NDArray[np.float64]
    explained: Estimate
    accuracy: Estimate | None
    over: Literal["seeds", "samples"]


def summarise_probes(
    finished: Sequence[tuple[str, Run]],
    probes: Mapping[str, Mapping[str, Probe]],
    *,
    confidence: float,
) -> list[ProbeSummary]:
    """Every part of every setting, by setting and then in the order of the parts.

    Args:
        finished: Ids and runs, in the order of the report.
        probes: What :func:`.probes.probe_parts` gave for each id; a run may be missing.
        confidence: The share of intervals that hold the true value.
    """
    return [
        _summary(
            setting, part, [probes[i][part] for i, _ in members if part in probes[i]], confidence
        )
        for setting, members in runs_by_setting(finished, probes)
        for part in PARTS
        if any(part in probes[run_id] for run_id, _ in members)
    ]


def _summary(
    setting: Setting, part: str, found: Sequence[Probe], confidence: float
) -> ProbeSummary:
    values = np.array([one.explained for one in found], dtype=np.float64)
    right = [one.accuracy for one in found if one.accuracy is not None]
    if part == "offset" and len(set(values)) == 1:
        first = found[0]
        accuracy = None
        if first.accuracy is not None and first.accuracy_error is not None:
            accuracy = _over_samples(first.accuracy, first.accuracy_error, len(found), confidence)
        explained = _over_samples(first.explained, first.explained_error, len(found), confidence)
        return ProbeSummary(setting, part, values, explained, accuracy, "samples")
    accuracy = mean_and_interval(np.array(right, dtype=np.float64), confidence) if right else None
    return ProbeSummary(
        setting, part, values, mean_and_interval(values, confidence), accuracy, "seeds"
    )


def _over_samples(value: float, error: float, count: int, confidence: float) -> Estimate:
    """A value that all runs share, with the normal interval of its standard error."""
    from scipy.special import ndtri

    half = float(ndtri((1 + confidence) / 2)) * error
    return Estimate(value, 0.0, value - half, value + half, count)
