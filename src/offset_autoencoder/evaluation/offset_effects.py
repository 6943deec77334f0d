"""Effects of interventions over seeds, in units of what an unchanged autoencoder errs, tested.

The error of a setting under an intervention less that with its own offset is divided by the error
of the run of the same seed, network and training that was *trained with nothing*: one unit for
every offset, noise level, network and split, so that one margin means the same for all. Where no
run of a setting's network and training was trained with nothing, the unit is the error of the run
itself, on unseen samples and as deployed, in its own network and in the controls alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Run, Setting, SplitName
from offset_autoencoder.evaluation import statistics
from offset_autoencoder.evaluation.controls import CONTROLS, NOISE, NOTHING, OWN_NETWORK, Network
from offset_autoencoder.evaluation.interventions import EXCHANGES, OWN, Exchanges, Intervention
from offset_autoencoder.evaluation.metrics import metric_of
from offset_autoencoder.evaluation.probes import ProbeSummary
from offset_autoencoder.evaluation.run_evaluation import RunEvaluation
from offset_autoencoder.evaluation.sign_flips import align, joint_sign_flips
from offset_autoencoder.evaluation.summary import by_setting

Shift = Literal["more", "less", "same", "inconclusive"]

TRAIN = "_train"
DONOR_SHIFT = "donor_shift"
EXCHANGE_NAMES = tuple(one.name for one in EXCHANGES if one != OWN)
CHANGES = tuple(f"{name}{suffix}" for suffix in ("", TRAIN) for name in EXCHANGE_NAMES)
"""Changes of the error by an exchange: on unseen samples, then, ``_train``, on training samples."""

QUANTITIES = (*CHANGES, DONOR_SHIFT)
AGAINST = {
    f"against_{name}{suffix}": (network, suffix)
    for network, name in ((NOTHING, "nothing"), (NOISE, "noise"))
    for suffix in ("", "_as_trained")
}
"""Comparisons of the error as deployed, noise off, and as trained, noise on: with whom, and how."""

ByQuantity = Mapping[str, NDArray[np.float64]]


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
    estimate: statistics.Estimate  # of values
    difference: statistics.Estimate  # of values − own
    change: statistics.Estimate  # of changes


def summarise_interventions(
    measured: Iterable[Trial], *, design: statistics.Design = statistics.ONE_SPLIT
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
                design.estimate(
                    statistics.differences(values, own), split, known.difference_bounds
                ),
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
        change = statistics.relative_change(
            values[kept], unit, metric
        ) - statistics.relative_change(own[kept], unit, metric)
    seeds = [item.run.seed for item, keep in zip(items, kept, strict=True) if keep]
    return dict(zip(seeds, change.tolist(), strict=True))


@dataclass(frozen=True)
class OffsetEffects:
    """Measurements of a setting's offset, which is not zero; arrays hold one value per seed.

    Attributes:
        own: Each of :data:`QUANTITIES`, in the network trained with the offset.
        controls: The same of the same vectors handed to each control that there is.
        against: Each of :data:`AGAINST` that there is: relative changes of the error.
        has_baseline: False where changes are shares of the setting's own error, as no run of its
            network and training was trained with nothing.
        linear_decodability: Share of the variance of x explained by the offset alone.
    """

    setting: Setting
    metric: str
    seeds: tuple[int, ...]  # ascending
    own: ByQuantity
    controls: Mapping[Network, ByQuantity]
    against: ByQuantity
    has_baseline: bool
    linear_decodability: statistics.Estimate

    def beyond(self, control: Network, quantity: str) -> NDArray[np.float64]:
        """A quantity less that of a control, seed by seed."""
        return self.own[quantity] - self.controls[control][quantity]


def offset_effects(
    measured: Sequence[tuple[str, Run, RunEvaluation]],
    trials: Sequence[Trial],
    interventions: Sequence[InterventionSummary],
    probes: Sequence[ProbeSummary],
    *,
    metric: str,
) -> list[OffsetEffects]:
    """Bring together the measurements of each setting's offset, in one metric.

    They are of the seeds at which the run and all of its controls finished.

    Returns:
        By setting, in order; a setting without an offset, or without another sample to take
        one from, has none.
    """
    values: dict[tuple[str, Network], dict[str, dict[int, float]]] = {}
    for item in interventions:
        if item.metric == metric and item.intervention.name in EXCHANGE_NAMES:
            name = item.intervention.name + (TRAIN if item.split == "train" else "")
            values.setdefault((item.setting.label, item.network), {})[name] = dict(item.changes)
    for trial in trials:
        if (shift := trial.exchanges.donor_shift) is not None:
            key = trial.run.setting.label, trial.network
            values.setdefault(key, {}).setdefault(DONOR_SHIFT, {})[trial.run.seed] = shift
    with_baseline = {trial.run.setting.label for trial in trials if trial.has_baseline}
    explained = {probe.setting.label: probe.explained for probe in probes if probe.part == "offset"}
    against = _against(measured, metric)
    effects = []
    settings = {trial.run.setting.label: trial.run.setting for trial in trials}
    for label, setting in settings.items():
        of_network = {
            network: found
            for network in (OWN_NETWORK, *CONTROLS)
            if (found := values.get((label, network), {})).keys() >= set(QUANTITIES)
        }
        if OWN_NETWORK not in of_network or label not in explained:
            continue
        by_seed = [one for found in of_network.values() for one in found.values()]
        seeds = sorted(set.intersection(*(set(one) for one in by_seed)))
        arrays: dict[Network, ByQuantity] = {
            network: {name: np.array([found[name][seed] for seed in seeds]) for name in QUANTITIES}
            for network, found in of_network.items()
        }
        own = arrays.pop(OWN_NETWORK)
        has_baseline = label in with_baseline
        rest = arrays, against.get(label, {}), has_baseline, explained[label]
        effects.append(OffsetEffects(setting, metric, tuple(seeds), own, *rest))
    return effects


def _against(
    measured: Sequence[tuple[str, Run, RunEvaluation]], metric: str
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """By setting, each of :data:`AGAINST` over the seeds at which both runs finished."""
    evaluations = {run_id: evaluation for run_id, _, evaluation in measured}
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for name, (network, suffix) in AGAINST.items():
        column = f"{metric}{suffix}"
        pairs = [
            (run, (own.metrics[column], evaluations[own.references[network]].metrics[column]))
            for _, run, own in measured
            if network in own.references and column in own.metrics
        ]
        for setting, of_seeds in by_setting(pairs):
            values, baseline = np.array(of_seeds, dtype=np.float64).T
            change = statistics.relative_change(values, baseline, column)
            found.setdefault(setting.label, {})[name] = change
    return found


@dataclass(frozen=True)
class Effect:
    """A change over seeds, tested against a margin; each p is corrected within its family."""

    change: statistics.Estimate
    margin: float
    p_more: float  # that the mean is above the margin
    p_less: float  # that it is below its negative
    p_same: float  # that it is within it
    shift: Shift
    not_more: bool  # shown to be below the margin: ``same``, ``less`` or either


def effects_of(
    family: Sequence[NDArray[np.float64]],
    seeds: Sequence[Sequence[int]],
    margin: float,
    confidence: float,
    overlap: float = 0.0,
) -> list[Effect]:
    """Test each change of a family, (n,) over its seeds, against a margin.

    ``more``, ``less`` and ``same`` each need a one-sided sign-flip p of at most
    ``1 − confidence``, and the whole interval on that side of the margin. Each of them is
    corrected by itself over the family, so that the chance of even one false ``more`` is at most
    ``1 − confidence``, and so for the others; both sides of ``same`` are one family.
    """
    if not family:
        return []
    level, matrix = 1 - confidence, align(family, seeds)
    more = joint_sign_flips(matrix - margin, "greater").p_corrected
    less = joint_sign_flips(matrix + margin, "less").p_corrected
    within = joint_sign_flips(np.hstack([margin - matrix, matrix + margin]), "greater").p_corrected
    below, above = np.split(within, 2)
    effects = []
    for place, change in enumerate(family):
        estimate = statistics.mean_and_interval(change, confidence, overlap)
        not_more = bool(below[place] <= level and estimate.high < margin)
        not_less = bool(above[place] <= level and estimate.low > -margin)
        shift: Shift = "inconclusive"
        if not_more and not_less:
            shift = "same"
        elif more[place] <= level and estimate.low > margin:
            shift = "more"
        elif less[place] <= level and estimate.high < -margin:
            shift = "less"
        p_same = float(np.maximum(below[place], above[place]))
        p = float(more[place]), float(less[place]), p_same
        effects.append(Effect(estimate, margin, *p, shift, not_more))
    return effects
