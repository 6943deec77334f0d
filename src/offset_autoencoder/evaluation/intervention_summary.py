"""Summary of the interventions over seeds, in units of what an unchanged autoencoder errs.

The error of a setting under an intervention less that with its own offset is divided by the error
of the run of the same seed, network and training that was *trained with nothing*: one unit for
every offset, noise level, network and split, so that one margin means the same for all. Where no
run of a setting's network and training was trained with nothing, the unit is the error of the run
itself, on unseen samples and as deployed, in its own network and in the controls alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Run, Setting, SplitName
from offset_autoencoder.evaluation.controls import NOTHING, OWN_NETWORK, Network
from offset_autoencoder.evaluation.interventions import OWN, Exchanges, Intervention
from offset_autoencoder.evaluation.metrics import metric_of
from offset_autoencoder.evaluation.run_evaluation import RunEvaluation
from offset_autoencoder.evaluation.statistics import (
    ONE_SPLIT,
    Design,
    Estimate,
    differences,
    relative_change,
)


@dataclass(frozen=True)
class Trial:
    """The exchanges of a run's offset in one network: its own, or a control of the same seed.

    ``baseline`` are the metrics on the test split whose error is the unit: of the run trained with
    nothing, None where that one diverged; of the run itself where ``has_baseline`` is False.
    """

    run: Run
    network: Network
    exchanges: Exchanges
    baseline: Mapping[str, float] | None = None
    has_baseline: bool = True


def trials(measured: Sequence[tuple[str, Run, RunEvaluation]]) -> list[Trial]:
    """Every run in its own network, then in its controls; evaluations by id, in order."""
    evaluations = {run_id: evaluation for run_id, _, evaluation in measured}
    with_nothing = {run.setting.label for _, run, one in measured if NOTHING in one.references}
    found = []
    for run_id, run, evaluation in measured:
        has_baseline = run.setting.label in with_nothing
        unit_of = evaluation.references.get(NOTHING) if has_baseline else run_id
        baseline = None if unit_of is None else evaluations[unit_of].metrics
        found.append(Trial(run, OWN_NETWORK, evaluation.exchanges, baseline, has_baseline))
        for network, control in evaluation.references.items():
            if (handed := evaluations[control].guests.get(run_id)) is not None:
                found.append(Trial(run, network, handed, baseline, has_baseline))
    return found


@dataclass(frozen=True)
class InterventionSummary:
    """One metric of a setting under an intervention, over the seeds that finished."""

    setting: Setting
    network: Network
    split: SplitName
    intervention: Intervention
    metric: str
    values: NDArray[np.float64]  # under the intervention, one per seed, these ascending
    own: NDArray[np.float64]  # of the same network with the offset left as it is
    changes: Mapping[int, float]  # of the error by seed, as a share of the baseline's error
    has_baseline: bool  # False where the baseline is the run itself
    estimate: Estimate  # of values
    difference: Estimate  # of values − own
    change: Estimate  # of changes


def summarise_interventions(
    measured: Iterable[Trial], *, design: Design = ONE_SPLIT
) -> list[InterventionSummary]:
    """Every intervention of every setting, in every metric it was measured in.

    A run that lacks an intervention is left out of it. Seeds whose baseline diverged have no
    change.

    Returns:
        By setting, network, split, intervention and metric, each in the order in which it came.
    """
    groups: dict[tuple[str, Network], list[Trial]] = {}
    for item in measured:
        groups.setdefault((item.run.setting.label, item.network), []).append(item)
    order = list(dict.fromkeys(label for label, _ in groups))
    summaries = []
    for (_, network), group in sorted(groups.items(), key=lambda pair: order.index(pair[0][0])):
        of_setting = sorted(group, key=lambda item: item.run.seed)
        keys = dict.fromkeys(
            (split, intervention, metric)
            for item in of_setting
            for split, interventions in item.exchanges.metrics.items()
            for intervention, metrics in interventions.items()
            for metric in metrics
        )
        for split, intervention, metric in keys:
            present = [
                item
                for item in of_setting
                if metric in item.exchanges.metrics.get(split, {}).get(intervention, {})
            ]
            values, own = (
                np.array([item.exchanges.metrics[split][one][metric] for item in present])
                for one in (intervention, OWN)
            )
            changes = _changes(present, values, own, metric)
            known = metric_of(metric)
            estimates = (
                design.estimate(values, split, known.bounds),
                design.estimate(differences(values, own), split, known.difference_bounds),
                design.estimate(list(changes.values()), split),
            )
            summaries.append(
                InterventionSummary(
                    present[0].run.setting,
                    *(network, split, intervention, metric, values, own, changes),
                    present[0].has_baseline,
                    *estimates,
                )
            )
    return summaries


def _changes(
    items: Sequence[Trial], values: NDArray[np.float64], own: NDArray[np.float64], metric: str
) -> dict[int, float]:
    """By seed the error less that with the own offset, as a share of the baseline's error."""
    kept = np.array([item.baseline is not None for item in items], dtype=bool)
    units = [item.baseline.get(metric, np.nan) for item in items if item.baseline is not None]
    unit = np.array(units, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        change = relative_change(values[kept], unit, metric) - relative_change(
            own[kept], unit, metric
        )
    seeds = [item.run.seed for item, keep in zip(items, kept, strict=True) if keep]
    return dict(zip(seeds, change.tolist(), strict=True))
