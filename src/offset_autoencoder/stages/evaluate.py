"""``evaluate``: every run of ``models/`` on the test split → ``reports/``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from offset_autoencoder.config import SPLITS, Params, Run, Setting, load_params
from offset_autoencoder.data.prepared import PreparedData, load_prepared
from offset_autoencoder.errors import InputError, run_command
from offset_autoencoder.evaluation.comparison import check_metric, compare
from offset_autoencoder.evaluation.evidence import summarise_evidence
from offset_autoencoder.evaluation.examine import Evidence, Samples, examine_runs
from offset_autoencoder.evaluation.finished_runs import OffsetsOf, load_finished
from offset_autoencoder.evaluation.measure import metric_names, rows_of_runs
from offset_autoencoder.evaluation.opened import OpenedRun, open_runs
from offset_autoencoder.evaluation.probes import Splits, prepare_targets
from offset_autoencoder.evaluation.runs_table import sweep_cells, sweep_keys
from offset_autoencoder.evaluation.summary import (
    at_one_power,
    metrics_tree,
    summarise,
    summarise_bounds,
)
from offset_autoencoder.io.tables import write_csv
from offset_autoencoder.models.inference import Encoded
from offset_autoencoder.paths import MODELS, OFFSETS, PARAMS, PREPARED, REPORTS
from offset_autoencoder.reporting.console_table import report_console
from offset_autoencoder.reporting.curves import learning_curves
from offset_autoencoder.reporting.html.code_points import CODE_COLUMNS, code_points, shown_samples
from offset_autoencoder.reporting.html.page import write_report
from offset_autoencoder.reporting.intervals import with_power
from offset_autoencoder.reporting.progress import progress
from offset_autoencoder.reporting.reports import Reconstructions, Report, write_reports
from offset_autoencoder.reporting.tables_shown import print_everything
from offset_autoencoder.runs.files import read_history, read_saved_run
from offset_autoencoder.runs.store import IndexedRun, read_index, runs_folder

FirstRuns = Sequence[tuple[str, Run]]

_IMAGES_SHOWN, _PROFILES_SHOWN = 10, 5


def main() -> None:
    """Examine every run, compare the settings, write reports/ and print the tables."""
    params = load_params(PARAMS)
    data = load_prepared(PREPARED)
    index = read_index(MODELS)
    check_index(index, params.runs)
    finished = [
        (row.id, run)
        for row, run in zip(index, params.runs, strict=True)
        if row.status == "finished"
    ]
    evidence = examine(params, data, finished)
    findings = summarise_evidence(finished, evidence, params.evaluate)
    measured = {run_id: one.metrics for run_id, one in evidence.items()}
    keys = sweep_keys(params.settings)
    rows = rows_of_runs(index, measured, [sweep_cells(run.setting, keys) for run in params.runs])
    columns = ["id", "model", *keys, "seed", "status", *metric_names(measured)]
    table = pd.DataFrame(rows, columns=columns)
    metric, confidence = params.evaluate.metric, params.evaluate.confidence
    check_metric(table, metric)
    summaries = summarise(table, params.settings, metric, confidence)
    comparisons = compare(
        table,
        params.settings,
        baselines=params.evaluate.baselines,
        metric=metric,
        confidence=confidence,
        margin=params.evaluate.margin,
        power=params.evaluate.power,
    )
    shown = {summary.setting.label for summary in at_one_power(summaries)}
    first = first_runs((i, run) for i, run in finished if run.setting.label in shown)
    report = Report(
        run_columns=columns,
        run_rows=rows,
        tree=metrics_tree(table, params.settings, metric=metric, confidence=confidence),
        settings=params.settings,
        comparisons=comparisons,
        summaries=summaries,
        curves=learning_curves(validation_losses(params, finished), confidence=confidence),
        findings=findings,
        reconstructions=reconstructions(data, first),
        evaluate=params.evaluate,
        unconverged=sum(still_improving(run_id, run) for run_id, run in finished),
        bounds=summarise_bounds(table, params.settings, confidence),
    )
    write_reports(REPORTS, report)
    write_csv(REPORTS / "plots" / "codes.csv", CODE_COLUMNS, codes(data, first))
    write_report(REPORTS, params, reconstructions=report.reconstructions)
    print_everything(report_console(), report)


def examine(
    params: Params, data: PreparedData, finished: Sequence[tuple[str, Run]]
) -> dict[str, Evidence]:
    """What is found out about every finished run, by id."""
    known_range = data.schema.range
    classes = data.schema.classes
    x, y = ([getattr(data.split(name), part) for name in SPLITS] for part in ("x", "y"))
    samples = Samples(
        x=dict(zip(SPLITS, x, strict=True)),
        targets=prepare_targets(Splits(*x), None if classes is None else Splits(*y)),
        data_range=(known_range[0], known_range[1]) if known_range else None,
    )
    runs = {run_id: (run, load_finished(MODELS, run_id)) for run_id, run in finished}
    found: dict[str, Evidence] = {}
    with progress("examining runs", len(runs), float(len(runs))) as report:
        for run_id, evidence in examine_runs(runs, offsets_of(data), samples, params.evaluate):
            found[run_id] = evidence
            report(float(len(found)), len(found))
    return found


def offsets_of(data: PreparedData) -> OffsetsOf:
    """The offsets of the data's samples."""
    return OffsetsOf(OFFSETS, {name: len(data.split(name).x) for name in SPLITS})


def check_index(index: Sequence[IndexedRun], runs: Sequence[Run]) -> None:
    """Refuse a ``models/`` that was trained for other params.

    Raises:
        InputError: where index and params name different runs.
    """
    if [row.label for row in index] != [run.label for run in runs]:
        raise InputError(
            str(MODELS / "index.csv"), "its runs are not those of params.yaml", "run dvc repro"
        )


def validation_losses(
    params: Params, finished: Sequence[tuple[str, Run]]
) -> list[tuple[Setting, list[NDArray[np.float64]]]]:
    """The validation losses of each setting's finished runs."""
    return [
        (
            setting,
            [
                read_history(runs_folder(MODELS) / run_id)["val_loss"]
                for run_id, run in finished
                if run.setting == setting
            ],
        )
        for setting in params.settings
    ]


def still_improving(run_id: str, run: Run) -> bool:
    """Whether a run had its best epoch within its patience of the last, and was not stopped."""
    patience = run.setting.train.patience
    saved = read_saved_run(runs_folder(MODELS) / run_id)
    if patience is None or saved.stopped_early or saved.best_epoch is None:
        return False
    return saved.epochs - saved.best_epoch < patience


def reconstructions(data: PreparedData, first: FirstRuns) -> Reconstructions | None:
    """The same test samples, and what the first seed of each setting makes of them."""
    image_shape, known_range = data.schema.image_shape, data.schema.range
    if not first:
        return None
    shape, most = (
        (image_shape, _IMAGES_SHOWN) if image_shape else ((data.schema.input_dim,), _PROFILES_SHOWN)
    )
    labels = data.test.y
    rows = np.arange(min(most, len(data.test.x)))
    if labels is not None:
        one_each = np.unique(labels, return_index=True)[1][:most]
        others = np.setdiff1d(np.arange(len(labels)), one_each)
        rows = np.concatenate([one_each, others[: most - len(one_each)]])
    x = np.asarray(data.test.x[rows])
    outputs, prior = {}, {}
    for run_id, opened, encoded in encoded_rows(data, first, rows):
        decode = opened.decoder(x)
        outputs[run_id] = decode(encoded.code, encoded.offset)
        if encoded.log_variance is not None:
            rng = np.random.default_rng(opened.run.seed)
            drawn = rng.standard_normal(encoded.log_variance.shape, dtype=np.float32)
            prior[run_id] = decode(drawn, np.zeros_like(drawn))
    low, high = known_range or (float(x.min()), float(x.max()))
    named = [(with_power(run.setting), run_id) for run_id, run in first]
    return Reconstructions(
        originals=x.reshape(-1, *shape),
        rows=[(name, outputs[run_id].reshape(-1, *shape)) for name, run_id in named],
        prior=[
            (name, prior[run_id].reshape(-1, *shape)) for name, run_id in named if run_id in prior
        ],
        data_range=(low, high),
    )


def codes(data: PreparedData, first: FirstRuns) -> list[dict[str, Any]]:
    """The codes of test samples by the first seed of each setting, in two dimensions."""
    test, classes = data.test, data.schema.classes
    rows = shown_samples(len(test.x))
    labels = None if classes is None or test.y is None else [classes[i] for i in test.y[rows]]
    by_id = {
        run_id: encoded.code
        for run_id, _, encoded in encoded_rows(data, first, rows)
        if encoded.code is not None
    }
    return [
        row
        for run_id, run in first
        if run_id in by_id
        for row in code_points(run.setting.label, by_id[run_id], test.ids[rows], labels)
    ]


def encoded_rows(
    data: PreparedData, first: FirstRuns, rows: NDArray[np.int64]
) -> Iterator[tuple[str, OpenedRun, Encoded]]:
    """The runs, each opened once although settings can share it, and what they make of rows."""
    runs = {run_id: (run, load_finished(MODELS, run_id)) for run_id, run in first}
    x, offsets = np.asarray(data.test.x[rows]), offsets_of(data)
    for run_id, opened in open_runs({run_id: trained for run_id, (_, trained) in runs.items()}):
        run, trained = runs[run_id]
        offset = offsets(run, trained.offset_factor, "test")[rows]
        yield run_id, opened, opened.encode(x, offset)


def first_runs(chosen: Iterable[tuple[str, Run]]) -> FirstRuns:
    """The first seed of each setting."""
    first: dict[str, tuple[str, Run]] = {}
    for run_id, run in chosen:
        first.setdefault(run.setting.label, (run_id, run))
    return list(first.values())


if __name__ == "__main__":
    run_command(main)
