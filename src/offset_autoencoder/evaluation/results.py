"""Results of an experiment: all that is written to ``reports/``, shown and printed, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import NDArray

from offset_autoencoder.config import Params, Run, Setting
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation.comparison import Comparison, compare
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
from offset_autoencoder.evaluation.summary import (
    Curve,
    GeneralizationGap,
    RunRow,
    SettingSummary,
    at_one_rms,
    learning_curves,
    metrics_tree,
    run_cells,
    run_columns,
    summarise,
    summarise_bounds,
    summarise_generalization_gaps,
    sweep_keys,
)

if TYPE_CHECKING:
    from offset_autoencoder.evaluation.run_evaluation import RunEvaluation

T = TypeVar("T")


@dataclass(frozen=True)
class ExperimentResults:
    """Results of an experiment, over seeds but for the runs and the pictured samples."""

    params: Params
    runs: Sequence[RunRow]  # the rows of runs.csv
    metrics_tree: Mapping[str, Any]  # the content of metrics.json
    comparisons: Sequence[Comparison]
    summaries: Sequence[SettingSummary]  # in the metric of evaluate
    bounds: Sequence[SettingSummary]  # evidence lower bounds and their parts
    curves: Sequence[Curve]
    interventions: Sequence[InterventionSummary]
    probes: Sequence[ProbeSummary]
    encoder_adaptations: Sequence[EncoderAdaptationSummary]
    generalization_gaps: Sequence[GeneralizationGap]
    verdicts: Sequence[OffsetVerdict]
    reconstructions: Reconstructions | None = None  # None where no run finished
    codes: Sequence[CodePoint] = ()
    unconverged: int = 0  # runs that were still improving at their last epoch

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

    Evaluations are by id of the finished runs; histories hold the validation losses of each
    setting's finished runs.

    Raises:
        InputError: where the metric that is asked for is not defined for these data.
    """
    evaluate, settings = params.evaluate, params.settings
    metric, confidence = evaluate.metric, evaluate.confidence
    finished = [(row.id, row.run) for row in runs if row.finished]

    def measured(part: Callable[[RunEvaluation], T]) -> dict[str, T]:
        return {run_id: part(evaluation) for run_id, evaluation in evaluations.items()}

    comparisons = compare(
        runs,
        settings,
        baselines=evaluate.baselines,
        metric=metric,
        confidence=confidence,
        margin=evaluate.margin,
        power=evaluate.power,
    )
    interventions = summarise_interventions(
        finished, measured(lambda run: run.interventions), confidence=confidence
    )
    probes = summarise_probes(finished, measured(lambda run: run.probes), confidence=confidence)
    effects = offset_effects(
        finished, measured(lambda run: run.donor_shift), interventions, probes, metric=metric
    )
    return ExperimentResults(
        params=params,
        runs=runs,
        metrics_tree=metrics_tree(runs, settings, metric=metric, confidence=confidence),
        comparisons=comparisons,
        summaries=summarise(runs, settings, metric, confidence),
        bounds=summarise_bounds(runs, settings, confidence),
        curves=learning_curves(histories, confidence=confidence),
        interventions=interventions,
        probes=probes,
        encoder_adaptations=summarise_encoder_adaptation(
            finished, measured(lambda run: run.encoder_adaptation), confidence=confidence
        ),
        generalization_gaps=summarise_generalization_gaps(
            finished,
            measured(lambda run: run.train_metric),
            measured(lambda run: run.metrics.get(metric)),
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
    first: dict[str, tuple[str, Run]] = {}
    for row in results.runs:
        label = row.run.setting.label
        if row.finished and label in labels:
            first.setdefault(label, (row.id, row.run))
    return list(first.values())
