"""``evaluate``: every run of ``models/`` on the test split → ``reports/``."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import SPLITS, Params, Run, load_params
from offset_autoencoder.config.anomaly import find_anomalies
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.data.prepared import PreparedData, Schema
from offset_autoencoder.data.varying import PreparedSplits, load_splits
from offset_autoencoder.errors import InputError, run_command
from offset_autoencoder.evaluation import examples, opening, run_evaluation
from offset_autoencoder.evaluation.kept_evaluations import KeptEvaluations
from offset_autoencoder.evaluation.metrics import Domain, check_metrics, sample_metric
from offset_autoencoder.evaluation.results import (
    ExperimentResults,
    experiment_results,
    pictured_runs,
)
from offset_autoencoder.evaluation.run_evaluation import RunEvaluation
from offset_autoencoder.evaluation.sample_errors import ErrorStore, TestedSamples
from offset_autoencoder.evaluation.statistics import ONE_SPLIT, Design
from offset_autoencoder.evaluation.summary import RunRow
from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.offsets.table import load_table
from offset_autoencoder.paths import HERE, MODELS, OFFSETS, Project
from offset_autoencoder.reporting.page import read_provenance, write_page
from offset_autoencoder.reporting.reports import write_reports
from offset_autoencoder.reporting.terminal import progress, report_console
from offset_autoencoder.reporting.terminal_report import print_report
from offset_autoencoder.reporting.wording import full_label
from offset_autoencoder.runs.files import read_history, read_saved_run
from offset_autoencoder.runs.load import FinishedRun, load_finished_run
from offset_autoencoder.runs.store import IndexedRun, read_index, runs_folder


def main() -> None:
    """Evaluate every run, compare the settings, write reports/ and print the tables."""
    print_report(report_console(), write_results(HERE))


def write_results(project: Project, *, pictures: bool = True) -> ExperimentResults:
    """Evaluate every run of a project, compare the settings, and write ``reports/``.

    ``pictures`` is that of :func:`.write_reports`.

    Raises:
        InputError: where ``models/`` is of other params, or something is missing or damaged.
    """
    params = load_params(project.params)
    check_metrics(params)
    splits = load_splits(project.prepared)
    index = read_index(project.models)
    check_index(index, params.runs)
    results = evaluate(params, splits, index, project)
    write_reports(project.reports, results, pictures=pictures)
    schema, ids = splits.schema(params.seeds[0]), [row.id for row in results.runs]
    provenance = read_provenance(params, schema, ids, root=project.root, seeds=splits.seeds)
    write_page(project.reports, results, provenance)
    return results


def evaluate(
    params: Params,
    splits: PreparedSplits,
    index: Sequence[IndexedRun],
    project: Project = HERE,
) -> ExperimentResults:
    """The results of the runs of params.yaml, in the order of the index.

    Raises:
        InputError: where files of a run are missing or damaged, or the metric that is asked for
            is not defined for these data.
    """
    models = project.models
    pairs = list(zip(index, params.runs, strict=True))
    finished = [(row.id, run) for row, run in pairs if row.status == "finished"]
    trained = {run_id: (run, load_finished_run(models, run_id)) for run_id, run in finished}
    evaluations = evaluate_all(params, splits, trained, project)
    # Other seeds may have trained on the first one's test samples.
    seed = params.seeds[0]
    data = splits.of(seed)
    is_anomaly = anomalies_of(data, params.evaluate)
    results = experiment_results(
        params,
        [_run_row(models, row, run, evaluations.get(row.id)) for row, run in pairs],
        evaluations,
        [(run, read_history(runs_folder(models) / run_id)["val_loss"]) for run_id, run in finished],
        unconverged=sum(still_improving(models, run_id, run) for run_id, run in finished),
        design=design_of(
            [splits.schema(seed) for seed in splits.seeds],
            anomalies=0 if is_anomaly is None else int(is_anomaly.sum()),
            confidence=params.evaluate.confidence,
        ),
    )
    pictured = pictured_runs(results, seed if splits.varies else None)
    chosen = {run_id: trained[run_id] for run_id, _ in pictured}
    named = [(full_label(run.setting), run_id) for run_id, run in pictured]
    labelled = [(run.setting.label, run_id) for run_id, run in pictured]
    offsets = offsets_of(data, folder=project.offsets)
    return replace(
        results,
        reconstructions=examples.reconstructions(data, chosen, named, offsets, is_anomaly),
        codes=examples.codes(data, chosen, labelled, offsets),
    )


def anomalies_of(data: PreparedData, evaluate: Evaluate) -> NDArray[np.bool_] | None:
    """Mark the anomalies of the test split; None where none are sought."""
    return find_anomalies(evaluate.anomaly, data.test.y, data.schema.classes)


def design_of(
    schemas: Sequence[Schema], *, anomalies: int = 0, confidence: float = ONE_SPLIT.confidence
) -> Design:
    """The design of an experiment, by the sizes of the splits of each seed; of none: one split.

    Where whole groups make them differ, their means count. ``anomalies`` are in a test split, and
    none that could be trained on.
    """
    if not schemas:
        return replace(ONE_SPLIT, confidence=confidence)
    train, validation, test = (sum(s.samples[name] for s in schemas) for name in SPLITS)
    others = validation + test - int(anomalies) * len(schemas)
    return Design(True, test / train, validation / train, train / others, confidence)


def _run_row(models: Path, row: IndexedRun, run: Run, evaluation: RunEvaluation | None) -> RunRow:
    engine = read_saved_run(runs_folder(models) / row.id).engine
    if evaluation is None:
        return RunRow(row.id, run, row.status, engine=engine)
    compared = None if evaluation.errors is None else evaluation.errors.compared
    return RunRow(row.id, run, row.status, evaluation.metrics, compared, engine=engine)


def evaluate_all(
    params: Params,
    splits: PreparedSplits,
    trained: Mapping[str, tuple[Run, FinishedRun]],
    project: Project = HERE,
) -> dict[str, RunEvaluation]:
    """The evaluation of every finished run on the samples of its own split, by id.

    What the run store keeps of it is not measured again.
    """
    by_split: dict[int | None, dict[str, tuple[Run, FinishedRun]]] = {}
    for run_id, (run, finished) in trained.items():
        by_split.setdefault(splits.key(run.seed), {})[run_id] = run, finished
    evaluations: dict[str, RunEvaluation] = {}
    errors = ErrorStore()
    with progress("evaluating runs", len(trained), float(len(trained))) as report:
        for key, runs in by_split.items():
            data = splits.of(next(iter(runs.values()))[0].seed)
            samples = samples_of(data, splits, params.evaluate)
            offsets = offsets_of(data, key, project.offsets)
            keeper = keeper_of(data.schema, splits, params.evaluate, runs, project)
            kept = {run_id: keeper.read(run_id, samples.tested) for run_id in runs}
            known = {run_id: one for run_id, one in kept.items() if one is not None}
            evaluated = run_evaluation.evaluate_runs(runs, offsets, samples, params.evaluate, known)
            for run_id, evaluation in evaluated:
                if evaluation.errors is not None:
                    errors.add(run_id, evaluation.errors)
                evaluations[run_id] = replace(evaluation, errors=None)
                if not evaluation.is_part_of(kept[run_id]):
                    keeper.write(run_id, evaluation)
                    report(float(len(evaluations)), len(evaluations))
    stored = errors.all()
    return {name: replace(one, errors=stored.get(name)) for name, one in evaluations.items()}


def keeper_of(
    schema: Schema,
    splits: PreparedSplits,
    evaluate: Evaluate,
    runs: Mapping[str, tuple[Run, FinishedRun]],
    project: Project,
) -> KeptEvaluations:
    """The kept evaluations of the runs of one split."""

    @functools.cache
    def table(name: str | None, latent_dim: int, seed: int) -> dict[str, str] | None:
        key = splits.key(seed)
        return None if name is None else load_table(project.offsets, name, latent_dim, key).digests

    def digest(run_id: str, run: Run) -> str:
        weights = read_saved_run(runs_folder(project.models) / run_id).digests
        network = run.setting.network
        return sha256_of_json(
            [run_id, dict(weights), table(run.setting.spec.offset, network.latent_dim, run.seed)]
        )

    digests = {run_id: digest(run_id, run) for run_id, (run, _) in runs.items()}
    data = [dataclasses.asdict(schema), splits.value_range]
    return KeptEvaluations(project.runs, evaluate, data, digests)


def samples_of(
    data: PreparedData, splits: PreparedSplits, evaluate: Evaluate
) -> opening.EvaluationSamples:
    """The samples of one split; their domain is that of all, so that all have the same metrics."""
    classes, of_test = data.schema.classes, data.test.y
    is_anomaly = anomalies_of(data, evaluate)
    labels = None if classes is None or of_test is None else np.asarray(classes)[of_test]
    parts = {name: data.split(name) for name in SPLITS}
    y = {name: part.y for name, part in parts.items() if part.y is not None}
    schema = data.schema
    domains = {n: Domain.of(part.x, schema.range, schema.image_shape) for n, part in parts.items()}
    domain = replace(
        domains["test"],
        in_unit_interval=all(domain.in_unit_interval for domain in domains.values()),
        anomalies=is_anomaly,
        error=sample_metric(evaluate),
    )
    if splits.value_range is not None:
        low, high = splits.value_range
        domain = replace(domain, in_unit_interval=low >= 0 and high <= 1)
    return opening.EvaluationSamples(
        x={name: part.x for name, part in parts.items()},
        y=y if y and is_anomaly is None else None,  # no probe has seen the labels of anomalies
        domain=domain,
        tested=TestedSamples(data.test.ids, labels, is_anomaly),
    )


def offsets_of(
    data: PreparedData, seed: int | None = None, folder: Path = OFFSETS
) -> opening.Offsets:
    """The offsets of the samples of a split: of a seed beside the first, or (None) of that."""
    samples = {name: len(data.split(name).x) for name in SPLITS}
    return opening.run_offsets(folder, samples, seed)


def check_index(index: Sequence[IndexedRun], runs: Sequence[Run]) -> None:
    """Refuse a ``models/`` that was trained for other params.

    Raises:
        InputError: where index and params name different runs.
    """
    if [row.label for row in index] != [run.label for run in runs]:
        what = "its runs are not those of params.yaml"
        raise InputError(str(MODELS / "index.csv"), what, "run dvc repro")


def still_improving(models: Path, run_id: str, run: Run) -> bool:
    """True if a run had its best epoch within its patience of the last, and was not stopped."""
    patience = run.setting.train.patience
    saved = read_saved_run(runs_folder(models) / run_id)
    if patience is None or saved.stopped_early or saved.best_epoch is None:
        return False
    return saved.epochs - saved.best_epoch < patience


if __name__ == "__main__":
    run_command(main)
