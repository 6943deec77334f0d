from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.evaluation.interventions import OFFSET_ONLY, noisy, scaled

from offset_autoencoder.config import Params, Run, parse_params
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation.comparison import Comparison, compare
from offset_autoencoder.evaluation.controls import CONTROLS, OWN_NETWORK, Network
from offset_autoencoder.evaluation.encoder_adaptation import (
    EncoderAdaptation,
    summarise_encoder_adaptation,
)
from offset_autoencoder.evaluation.examples import Reconstructions
from offset_autoencoder.evaluation.interventions import (
    EXCHANGES,
    GAUSSIAN,
    MEAN,
    OMITTED,
    OWN,
    PERMUTED,
    Exchanges,
)
from offset_autoencoder.evaluation.offset_effects import (
    AGAINST,
    QUANTITIES,
    OffsetEffects,
    Trial,
    summarise_interventions,
)
from offset_autoencoder.evaluation.offset_verdict import OffsetVerdict, judge_offsets
from offset_autoencoder.evaluation.probes import Probe, summarise_probes
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.selection import select_settings
from offset_autoencoder.evaluation.statistics import ONE_SPLIT, Estimate
from offset_autoencoder.evaluation.summary import (
    RunRow,
    SettingSummary,
    learning_curves,
    metrics_tree,
    summarise,
    summarise_generalization_gaps,
)

FINDINGS = ("interventions", "probes", "encoder_adaptations", "generalization_gaps", "verdicts")
NOTHING: dict[str, Any] = dict.fromkeys(FINDINGS, ())
EFFECTS = {"gaussian": 0.02, "frozen": 0.0, "pca": -0.02, "class_code": -0.01}


@dataclass(frozen=True)
class Report:
    params: Params
    runs: list[RunRow]
    summaries: list[SettingSummary]
    comparisons: list[Comparison]
    val_losses: list[tuple[Run, NDArray[np.float64]]]


def make_report(
    seeds: int = 10, scale: float = 1.0, diverged: bool = False, **sections: Any
) -> Report:
    """An experiment of the default shape with made-up values: a report's whole input."""
    powers = [0.05, 0.1, 0.2]
    offset = {"frozen": "hash", "pca": "pca", "class_code": "class_code"}
    document: dict[str, Any] = {
        "seeds": seeds,
        "data": {},
        "split": {},
        "offsets": {"none": {"kind": "zero"}, **{k: {"kind": v} for k, v in offset.items()}},
        "network": {},
        "train": {},
        "models": {
            "none": {"offset": "none"},
            "gaussian": {"offset": "none", "stddev": powers},
            **{name: {"offset": name, "rms": powers} for name in offset},
        },
        "evaluate": {},
        "tracking": {},
    }
    params = parse_params({**document, **sections})
    rows: list[RunRow] = []
    val_losses = []
    for index, setting in enumerate(params.settings):
        for seed in params.seeds:
            rng = np.random.default_rng([seed, index])
            power = setting.spec.rms or setting.spec.stddev
            mse = 0.02 + np.random.default_rng(seed).normal(0, 1e-3) + rng.normal(0, 2e-4)
            mse += EFFECTS.get(setting.model, 0.0) * power
            # Made up: noise costs as much again where it is on, an offset its own cost off.
            noisy = mse + 0.02 * setting.spec.stddev
            clean = mse + 0.03 * (setting.spec.rms or 0.0)
            values = {"mse": mse, "mse_as_trained": noisy, "mse_clean": clean}
            values["mse_validation"] = 1.1 * mse
            measured = {name: scale * value for name, value in values.items()}
            gone = diverged or (setting.label == "pca rms=0.2" and seed == 3)
            run_id = f"{len(rows):064x}"
            run = Run(setting, seed)
            rows.append(
                RunRow(run_id, run, "diverged")
                if gone
                else RunRow(run_id, run, "finished", measured)
            )
            epochs = np.arange(1, rng.integers(60, 150))
            losses = 0.3 + np.exp(-epochs / 9) + rng.normal(0, 0.01, size=len(epochs))
            val_losses.append((run, losses))
    evaluate = params.evaluate.model_copy(update={"metric": "mse"})
    comparisons = compare(rows, params.settings, evaluate)
    summaries = summarise(rows, params.settings, "mse")
    return Report(params, rows, summaries, comparisons, val_losses)


@pytest.fixture(scope="session")
def report() -> Report:
    """A report of ten seeds in which one run diverged."""
    return make_report()


def make_findings(params: Params, metric: str = "mse", labels: bool = True) -> dict[str, Any]:
    """Made-up interventions and probes for each run; those on the offset where there is one."""
    measured, probes, gaps = [], [], []
    adaptations: list[tuple[Run, EncoderAdaptation | None]] = []
    for run in params.runs:
        rng = np.random.default_rng([run.seed, len(run.setting.label)])
        own, spec = 0.01 * (1 + 0.05 * rng.random()), run.setting.spec
        informed = 0.0 if spec.offset == "frozen" else 10 * (spec.rms or 0.1)
        factors = {OWN: 1.0, **{noisy(level): 1 + 20 * level for level in (0.0, 0.1, 0.4)}}
        found = {"code": Probe(0.8 + rng.normal(0, 0.01), 0.01, 0.9 if labels else None, 0.02)}
        if spec.offset != "none":
            factors |= {OMITTED: 0.8 + informed, PERMUTED: 1 + 2 * informed, GAUSSIAN: 1 + informed}
            factors |= {MEAN: 0.9 + informed, OFFSET_ONLY: 8.0}
            factors |= {scaled(x): 1 + abs(x - 1) * informed for x in (-1.0, 0.0, 1.0, 2.0)}
            found["offset"] = Probe(informed / 4, 0.01, 0.5 if labels else None, 0.02)
            adapted = EncoderAdaptation(informed + 0.01 * rng.normal(), 0.5, 0.02 * rng.normal())
            adaptations.append((run, adapted))
        changed = {
            key: {metric: own * factor * (1 + 0.02 * rng.normal() * (key != OWN))}
            for key, factor in factors.items()
        }
        exchanged = {one: changed[one] for one in EXCHANGES if one in changed}
        own_network = Exchanges({"test": changed, "train": exchanged}, informed)
        baseline = {metric: own}
        measured.append(Trial(run, OWN_NETWORK, own_network, baseline))
        if spec.offset != "none":
            handed = Exchanges({"test": exchanged, "train": exchanged}, 0.0)
            measured.append(Trial(run, CONTROLS[0], handed, baseline))
        probes.append((run, found))
        gaps.append((run, (0.9 * own, changed[OWN][metric])))
    return {
        "interventions": summarise_interventions(measured),
        "probes": summarise_probes(probes),
        "encoder_adaptations": summarise_encoder_adaptation(adaptations),
        "generalization_gaps": summarise_generalization_gaps(gaps, metric=metric),
    }


CHANGES = {
    "frozen": {"permuted": 0.0, "gaussian": 0.0, "mean": -0.3, "omitted": -0.3, "donor_shift": 0.0},
    "pca": {"permuted": 6.8, "gaussian": 6.1, "mean": 2.5, "omitted": 2.7, "donor_shift": 0.4},
    "class_code": {
        "permuted": 1.9,
        "gaussian": 4.5,
        "mean": 0.7,
        "omitted": 0.9,
        "donor_shift": 0.4,
    },
}


def make_verdicts(params: Params) -> list[OffsetVerdict]:
    """Made-up verdicts: ``frozen`` is noise, the others are second encoders."""
    measured = []
    for index, setting in enumerate(params.settings):
        if setting.model in CHANGES:
            rng = np.random.default_rng(index)
            means, seeds = CHANGES[setting.model], len(params.seeds)
            own, *others = (
                {
                    name: factor * means[name.removesuffix("_train")]
                    + rng.normal(0, 0.001 if name == "donor_shift" else 0.01, size=seeds)
                    for name in QUANTITIES
                }
                for factor in (1, 0, 0)
            )
            controls: dict[Network, Any] = dict(zip(CONTROLS, others, strict=True))
            against = {name: rng.normal(0.05, 0.01, size=seeds) for name in AGAINST}
            share = 0.0 if setting.model == "frozen" else 0.4
            told = Estimate(share, 0.0, share - 0.005, share + 0.005, seeds)
            measured.append(
                OffsetEffects(setting, "mse", params.seeds, own, controls, against, True, told)
            )
    return judge_offsets(measured, Evaluate())


def make_whole(made: Report, *, samples: str = "images", **changes: Any) -> ExperimentResults:
    """All that is reported of a made-up experiment, with attributes given anew."""
    params = made.params
    pictures = np.random.default_rng(0).random((2, 3, 8, 8))
    if samples == "profiles":
        pictures = pictures.reshape(2, 3, 64)
    shown = [(setting.label, pictures[0]) for setting in params.settings[:2]]
    whole = ExperimentResults(
        params=params,
        runs=made.runs,
        metrics_tree=metrics_tree(made.runs, params.settings, metric="mse"),
        comparisons=made.comparisons,
        summaries=made.summaries,
        bounds=[],
        curves=learning_curves(made.val_losses),
        **make_findings(params),
        verdicts=make_verdicts(params),
        reconstructions=(
            None if samples == "none" else Reconstructions(pictures[1], shown, [], (0.0, 1.0))
        ),
    )
    if params.evaluate.select:
        design = changes.get("design", ONE_SPLIT)
        selected = select_settings(made.runs, params.settings, params.evaluate, design)
        of_selected, keys = [item.setting for item in selected], params.evaluate.selected_keys
        rows = [row for item in selected for row in item.rows]
        tuned = compare(rows, of_selected, params.evaluate, design, selected=keys)
        whole = replace(whole, selected=selected, tuned_comparisons=tuned)
    return replace(whole, **changes)


@pytest.fixture(scope="session")
def whole(report: Report) -> ExperimentResults:
    """All that is reported of the report."""
    return make_whole(report)


def make_results(samples: str = "images", **sections: Any) -> ExperimentResults:
    """All that is reported of a made-up experiment of these sections."""
    return make_whole(make_report(**sections), samples=samples)
