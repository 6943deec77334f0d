"""Results of an experiment: all that is written to ``reports/``, shown and printed, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from offset_autoencoder.config import Params, Run, Setting
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation.comparison import Comparison, check_metric, compare
from offset_autoencoder.evaluation.encoder_adaptation import (
    EncoderAdaptationSummary,
    summarise_encoder_adaptation,
)
from offset_autoencoder.evaluation.examples import CodePoint, Reconstructions
from offset_autoencoder.evaluation.interventions import InterventionSummary, summarise_interventions
from offset_autoencoder.evaluation.offset_verdict import (
    OffsetVerdict,
    judge_offsets,
    offset_effects,
)
from offset_autoencoder.evaluation.probes import ProbeSummary, summarise_probes
from offset_autoencoder.evaluation.runs_table import RunRow, run_cells, run_columns, sweep_keys
from offset_autoencoder.evaluation.summary import (
    Curve,
    GeneralizationGap,
    SettingSummary,
    at_one_rms,
    learning_curves,
    metrics_tree,
    summarise,
    summarise_bounds,
    summarise_generalization_gaps,
)

if TYPE_CHECKING:
    from offset_autoencoder.evaluation.run_evaluation import RunEvaluation


@dataclass(frozen=True)
class ExperimentResults:
    """Results of an experiment.

    Attributes:
        params: params.yaml, validated.
        runs: The rows of ``runs.csv``.
        metrics_tree: The content of ``metrics.json``.
        comparisons: Every comparison with a baseline.
        summaries: The settings in the metric of ``evaluate``.
        bounds: The evidence lower bounds of variational autoencoders, and their parts.
        curves: The settings' learning curves.
        interventions: The interventions over seeds.
        probes: The probes over seeds.
        encoder_adaptations: The encoders' adaptation to their offsets.
        generalization_gaps: The gaps between training and test.
        verdicts: The verdict on each offset.
        reconstructions: Some test samples and their reconstructions; None where no run finished.
        codes: Codes of test samples in two dimensions, by setting.
        unconverged: How many runs were still improving at their last epoch.
    """

    params: Params
    runs: Sequence[RunRow]
    metrics_tree: Mapping[str, Any]
    comparisons: Sequence[Comparison]
    summaries: Sequence[SettingSummary]
    bounds: Sequence[SettingSummary]
    curves: Sequence[Curve]
    interventions: Sequence[InterventionSummary]
    probes: Sequence[ProbeSummary]
    encoder_adaptations: Sequence[EncoderAdaptationSummary]
    generalization_gaps: Sequence[GeneralizationGap]
    verdicts: Sequence[OffsetVerdict]
    reconstructions: Reconstructions | None = None
    codes: Sequence[CodePoint] = ()
    unconverged: int = 0

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings, in the order of params.yaml."""
        return self.params.settings

    @property
    def evaluate(self) -> Evaluate:
        """The section of params.yaml."""
        return self.params.evaluate

    @property
    def run_columns(self) -> list[str]:
        """The columns of ``runs.csv``."""
        return run_columns(self.runs, self.settings)

    @property
    def run_rows(self) -> list[dict[str, Any]]:
        """The rows of ``runs.csv`` by column."""
        keys = sweep_keys(self.settings)
        return [run_cells(row, keys) for row in self.runs]


def experiment_results(
    params: Params,
    runs: Sequence[RunRow],
    evaluations: Mapping[str, RunEvaluation],
    histories: Iterable[tuple[Setting, Sequence[NDArray[Any]]]],
    *,
    unconverged: int = 0,
) -> ExperimentResults:
    """Summarise, compare and judge the runs; the pictures' samples are added by the caller.

    Args:
        params: params.yaml, validated.
        runs: The rows of ``runs.csv``.
        evaluations: The evaluation of each finished run, by id.
        histories: For each setting the validation losses of its finished runs.
        unconverged: How many runs were still improving at their last epoch.

    Raises:
        InputError: where the metric that is asked for is not defined for these data.
    """
    evaluate, settings = params.evaluate, params.settings
    metric, confidence = evaluate.metric, evaluate.confidence
    check_metric(runs, metric)
    finished = [(row.id, row.run) for row in runs if row.finished]
    interventions = summarise_interventions(
        finished,
        {run_id: item.interventions for run_id, item in evaluations.items()},
        confidence=confidence,
    )
    probes = summarise_probes(
        finished,
        {run_id: item.probes for run_id, item in evaluations.items()},
        confidence=confidence,
    )
    donor_shifts = {
        run_id: item.donor_shift
        for run_id, item in evaluations.items()
        if item.donor_shift is not None
    }
    effects = offset_effects(finished, donor_shifts, interventions, probes, metric=metric)
    return ExperimentResults(
        params=params,
        runs=runs,
        metrics_tree=metrics_tree(runs, settings, metric=metric, confidence=confidence),
        comparisons=compare(
            runs,
            settings,
            baselines=evaluate.baselines,
            metric=metric,
            confidence=confidence,
            margin=evaluate.margin,
            power=evaluate.power,
        ),
        summaries=summarise(runs, settings, metric, confidence),
        bounds=summarise_bounds(runs, settings, confidence),
        curves=learning_curves(histories, confidence=confidence),
        interventions=interventions,
        probes=probes,
        encoder_adaptations=summarise_encoder_adaptation(
            finished,
            {run_id: item.encoder_adaptation for run_id, item in evaluations.items()},
            confidence=confidence,
        ),
        generalization_gaps=summarise_generalization_gaps(
            finished,
            {run_id: item.train_metric for run_id, item in evaluations.items()},
            {
                run_id: item.metrics[metric]
                for run_id, item in evaluations.items()
                if metric in item.metrics
            },
            metric=metric,
            confidence=confidence,
        ),
        verdicts=judge_offsets(
            effects, margin=evaluate.margin, confidence=confidence, power=evaluate.power
        ),
        unconverged=unconverged,
    )


def pictured_runs(results: ExperimentResults) -> list[tuple[str, Run]]:
    """The first seed of each setting whose samples are pictured: one setting per model."""
    labels = {summary.setting.label for summary in at_one_rms(results.summaries)}
    return first_runs(
        (row.id, row.run)
        for row in results.runs
        if row.finished and row.run.setting.label in labels
    )


def first_runs(runs: Iterable[tuple[str, Run]]) -> list[tuple[str, Run]]:
    """The first run of each setting."""
    first: dict[str, tuple[str, Run]] = {}
    for run_id, run in runs:
        first.setdefault(run.setting.label, (run_id, run))
    return list(first.values())
