"""Results of an experiment: all that is written to ``reports/``, shown and printed, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from offset_autoencoder.config import Params, Run, Setting
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation import encoder_adaptation, offset_effects, probes, summary
from offset_autoencoder.evaluation.comparison import Comparison, compare
from offset_autoencoder.evaluation.examples import CodePoint, Reconstructions
from offset_autoencoder.evaluation.metrics import METRICS, error_metric
from offset_autoencoder.evaluation.offset_verdict import OffsetVerdict, judge_offsets
from offset_autoencoder.evaluation.run_evaluation import RunEvaluation
from offset_autoencoder.evaluation.sample_errors import (
    Columns,
    ErrorSummary,
    SampleErrors,
    error_columns,
    summarise_errors,
)
from offset_autoencoder.evaluation.selection import Selected, select_settings
from offset_autoencoder.evaluation.statistics import ONE_SPLIT, Design, Estimate


@dataclass(frozen=True)
class ExperimentResults:
    """Results of an experiment, over seeds but for the runs and the pictured samples."""

    params: Params
    runs: Sequence[summary.RunRow]  # the rows of runs.csv
    metrics_tree: Mapping[str, Any]  # the content of metrics.json
    comparisons: Sequence[Comparison]
    summaries: Sequence[summary.SettingSummary]  # in the metric of evaluate
    bounds: Sequence[summary.SettingSummary]  # evidence lower bounds and their parts
    curves: Sequence[summary.Curve]
    interventions: Sequence[offset_effects.InterventionSummary]
    probes: Sequence[probes.ProbeSummary]
    encoder_adaptations: Sequence[encoder_adaptation.EncoderAdaptationSummary]
    generalization_gaps: Sequence[summary.GeneralizationGap]
    verdicts: Sequence[OffsetVerdict]
    reconstructions: Reconstructions | None = None  # None where no run finished
    codes: Sequence[CodePoint] = ()
    unconverged: int = 0  # runs that were still improving at their last epoch
    design: Design = ONE_SPLIT
    selected: Sequence[Selected] = ()  # by validation, where evaluate.select asks for it
    tuned_comparisons: Sequence[Comparison] = ()  # of the selected settings alone
    sample_errors: Columns = field(default_factory=dict)  # of the test split: see `error_columns`
    thresholds: Sequence[tuple[summary.RunRow, SampleErrors]] = ()  # of each finished run
    error_summaries: Sequence[ErrorSummary] = ()

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings, in the order of params.yaml."""
        return self.params.settings

    @property
    def evaluate(self) -> Evaluate:
        """The section of params.yaml."""
        return self.params.evaluate

    @property
    def error_metric(self) -> str:
        """The metric of interventions, verdicts, gaps and selection: see `metrics.error_metric`."""
        return error_metric(self.evaluate)

    @property
    def error_label(self) -> str:
        """Name of the error that :attr:`error_metric` rests on."""
        return METRICS[self.error_metric].error_label

    @property
    def anomaly_share(self) -> float:
        """Share of anomalies among the test samples; NaN where none are sought."""
        columns = self.sample_errors
        marks = columns.get("anomaly_of_sample", columns.get("anomaly"))
        if self.evaluate.anomaly is None or marks is None:
            return float("nan")
        return float(marks.mean())

    @property
    def over_samples_too(self) -> dict[str, Estimate | None]:
        """Each setting's mean over other seeds and other test samples, by label; None without."""
        groups = summary.rows_by_setting(self.runs, [item.setting for item in self.summaries])
        finished = {s.label: [row for row in rows if row.finished] for s, rows in groups}
        return {
            label: summary.over_samples_too(rows, self.design) for label, rows in finished.items()
        }

    @property
    def tuned(self) -> ExperimentResults:
        """The results cut down to the runs that validation selected, and their comparisons."""
        runs = [row for item in self.selected for row in item.rows]
        settings = [item.setting for item in self.selected]
        return replace(
            self,
            runs=runs,
            summaries=summary.summarise(runs, settings, self.evaluate.metric, self.design),
            comparisons=self.tuned_comparisons,
        )


def experiment_results(
    params: Params,
    runs: Sequence[summary.RunRow],
    evaluations: Mapping[str, RunEvaluation],
    val_losses: Iterable[tuple[Run, NDArray[Any]]],
    *,
    unconverged: int = 0,
    design: Design = ONE_SPLIT,
) -> ExperimentResults:
    """Summarise, compare and judge the runs; the pictures' samples are added by the caller.

    Evaluations are by id of the finished runs, validation losses (epochs,) of these too.

    Raises:
        InputError: where the metric that is asked for is not defined for these data.
    """
    evaluate, settings = params.evaluate, params.settings
    metric, error = evaluate.metric, error_metric(evaluate)
    by_id = [(row.id, row.run, evaluations[row.id]) for row in runs if row.finished]
    measured = [(run, evaluation) for _, run, evaluation in by_id]
    in_networks = offset_effects.trials(by_id)
    exchanged = offset_effects.summarise_interventions(in_networks, design=design)
    probed = probes.summarise_probes([(run, one.probes) for run, one in measured], design=design)
    gaps = [
        (run, (one.train_metric, one.metrics[error]))
        for run, one in measured
        if error in one.metrics
    ]
    errors = {run_id: one.errors for run_id, one in evaluations.items() if one.errors}
    of_samples = runs, settings, errors
    selected = select_settings(runs, settings, evaluate, design) if evaluate.select else []
    tuned = [row for item in selected for row in item.rows]
    return ExperimentResults(
        params=params,
        runs=runs,
        metrics_tree=summary.metrics_tree(runs, settings, metric=metric, design=design),
        comparisons=compare(runs, settings, evaluate, design),
        summaries=summary.summarise(runs, settings, metric, design),
        bounds=summary.summarise_bounds(runs, settings, design),
        curves=summary.learning_curves(val_losses, design=design),
        interventions=exchanged,
        probes=probed,
        encoder_adaptations=encoder_adaptation.summarise_encoder_adaptation(
            [(run, one.encoder_adaptation) for run, one in measured], design=design
        ),
        generalization_gaps=summary.summarise_generalization_gaps(
            gaps, metric=error, design=design
        ),
        verdicts=judge_offsets(
            offset_effects.offset_effects(by_id, in_networks, exchanged, probed, metric=error),
            evaluate,
            design,
        ),
        unconverged=unconverged,
        design=design,
        selected=selected,
        tuned_comparisons=compare(
            tuned,
            [item.setting for item in selected],
            evaluate,
            design,
            selected=evaluate.selected_keys,
        ),
        sample_errors=error_columns(*of_samples, varies=design.varies),
        thresholds=[(row, errors[row.id]) for row in runs if row.id in errors],
        error_summaries=summarise_errors(*of_samples, design=design),
    )


def pictured_runs(results: ExperimentResults, seed: int | None = None) -> list[tuple[str, Run]]:
    """The first seed of each setting whose samples are pictured: one setting per model.

    With a ``seed`` it is that one; a setting whose run of it did not finish is left out.
    """
    labels = {item.setting.label for item in summary.at_one_rms(results.summaries)}
    first: dict[str, tuple[str, Run]] = {}
    for row in results.runs:
        label = row.run.setting.label
        if row.finished and label in labels and seed in (None, row.run.seed):
            first.setdefault(label, (row.id, row.run))
    return list(first.values())
