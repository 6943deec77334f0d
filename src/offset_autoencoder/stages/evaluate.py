"""``evaluate``: every run of ``models/`` on the test split → ``reports/``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from offset_autoencoder.config import Params, Run, Setting, format_value, load_params
from offset_autoencoder.data.prepared import PreparedData, load_prepared
from offset_autoencoder.errors import InputError, run_command
from offset_autoencoder.evaluation.comparison import check_metric, compare
from offset_autoencoder.evaluation.measure import (
    RunOnTest,
    measure,
    metric_names,
    reconstruct_as_deployed,
    rows_of_runs,
)
from offset_autoencoder.evaluation.runs_table import sweep_cells, sweep_keys
from offset_autoencoder.evaluation.summary import best_of_each_model, metrics_tree, summarise
from offset_autoencoder.offsets.table import load_table, scale_factor
from offset_autoencoder.project import MODELS, OFFSETS, PARAMS, PREPARED, REPORTS
from offset_autoencoder.reporting.curves import learning_curves
from offset_autoencoder.reporting.progress import progress
from offset_autoencoder.reporting.reports import Images, Report, write_reports
from offset_autoencoder.reporting.terminal import print_report
from offset_autoencoder.training.run_files import read_history, read_weights
from offset_autoencoder.training.run_store import IndexedRun, read_index, runs_folder
from offset_autoencoder.training.schedule import scale_offset

_IMAGES_SHOWN = 10


def main() -> None:
    """Measure every run, compare the settings, write reports/ and print the table."""
    params = load_params(PARAMS)
    data = load_prepared(PREPARED)
    index = read_index(MODELS)
    check_index(index, params.runs)
    finished = [
        (row.id, run)
        for row, run in zip(index, params.runs, strict=True)
        if row.status == "finished"
    ]
    runs = runs_on_test(dict(finished))
    known_range = data.schema.range
    data_range = (known_range[0], known_range[1]) if known_range else None
    with progress("reconstructing the test split", len(runs), 1.0) as report:
        measured = measure(
            runs,
            data.test.x,
            data_range=data_range,
            noise_seed=params.evaluate.seed,
            on_reconstruction=lambda done, of: report(done / of, done * len(runs) // of),
        )
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
    )
    shown = {summary.setting.label for summary in best_of_each_model(summaries)}
    write_reports(
        REPORTS,
        Report(
            run_columns=columns,
            run_rows=rows,
            tree=metrics_tree(table, params.settings, metric=metric, confidence=confidence),
            settings=params.settings,
            comparisons=comparisons,
            summaries=summaries,
            curves=learning_curves(validation_losses(params, finished), confidence=confidence),
            images=images(data, [(i, run) for i, run in finished if run.setting.label in shown]),
            metric=metric,
            confidence=confidence,
        ),
    )
    print_report(
        Console(),
        summaries,
        comparisons,
        baselines=params.evaluate.baselines,
        confidence=confidence,
    )


def check_index(index: Sequence[IndexedRun], runs: Sequence[Run]) -> None:
    """Refuse a ``models/`` that was trained for other params.

    Raises:
        InputError: where index and params name different runs.
    """
    have = [(row.model, row.sweep, row.seed) for row in index]
    want = [
        (
            run.setting.model,
            {key: format_value(value) for key, value in run.setting.sweep},
            run.seed,
        )
        for run in runs
    ]
    if have != want:
        raise InputError(
            str(MODELS / "index.csv"), "its runs are not those of params.yaml", "run dvc repro"
        )


def runs_on_test(finished: Mapping[str, Run]) -> dict[str, RunOnTest]:
    """Weights and scaled test offsets of the finished runs, by id."""
    tables = {
        key: load_table(OFFSETS, *key)
        for key in {
            (r.setting.spec.offset, r.setting.network.latent_dim) for r in finished.values()
        }
    }
    ready = {}
    for run_id, run in finished.items():
        spec = run.setting.spec
        table = tables[spec.offset, run.setting.network.latent_dim]
        ready[run_id] = RunOnTest(
            network=run.setting.network,
            seed=run.seed,
            weights=list(read_weights(runs_folder(MODELS) / run_id).values()),
            offset=scale_offset(table.test, scale_factor(table, spec.rms)),
            stddev=spec.stddev,
        )
    return ready


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


def images(data: PreparedData, chosen: Sequence[tuple[str, Run]]) -> Images | None:
    """The same test samples, and what the first seed of each chosen setting makes of them."""
    shape, known_range = data.schema.image_shape, data.schema.range
    if shape is None or not chosen:
        return None
    labels = data.test.y
    rows = np.arange(min(_IMAGES_SHOWN, len(data.test.x)))
    if labels is not None:
        rows = np.unique(labels, return_index=True)[1][:_IMAGES_SHOWN]
    x = data.test.x[rows]
    first: dict[str, str] = {}
    for run_id, run in chosen:
        first.setdefault(run.setting.label, run_id)
    runs = runs_on_test({run_id: run for run_id, run in chosen if run_id in first.values()})
    shown = {
        run_id: dataclasses.replace(run, offset=run.offset[rows]) for run_id, run in runs.items()
    }
    outputs = reconstruct_as_deployed(shown, x)
    low, high = known_range or (float(x.min()), float(x.max()))
    return Images(
        originals=x.reshape(-1, *shape),
        rows=[(label, outputs[i].reshape(-1, *shape)) for label, i in first.items()],
        data_range=(low, high),
    )


if __name__ == "__main__":
    run_command(main)
