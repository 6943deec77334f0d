"""Everything under ``reports/``, written once all of it is known."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from offset_autoencoder.evaluation.examples import CODE_COLUMNS, Reconstructions
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.io.files import write_json
from offset_autoencoder.io.tables import write_csv
from offset_autoencoder.reporting.colours import model_colours, swept_colours
from offset_autoencoder.reporting.comparison_picture import draw_comparison
from offset_autoencoder.reporting.comparisons import (
    DIFFERENCE_COLUMNS,
    comparison_rows,
    difference_rows,
)
from offset_autoencoder.reporting.curves import CURVE_COLUMNS, curve_rows
from offset_autoencoder.reporting.intervals import SETTING_COLUMNS, setting_rows
from offset_autoencoder.reporting.intervention_pictures import (
    draw_interventions,
    draw_offset_scales,
    draw_robustness,
)
from offset_autoencoder.reporting.interventions import (
    CHANGE_COLUMNS,
    LEVEL_COLUMNS,
    change_rows,
    intervention_rows,
    level_rows,
)
from offset_autoencoder.reporting.learning_curve_picture import draw_learning_curves
from offset_autoencoder.reporting.metric_picture import draw_test_metric
from offset_autoencoder.reporting.offset_verdicts import verdict_rows
from offset_autoencoder.reporting.probe_picture import draw_probes
from offset_autoencoder.reporting.probes import probe_rows
from offset_autoencoder.reporting.profiles import draw_profiles
from offset_autoencoder.reporting.reconstructions import draw_image_rows, draw_reconstructions

if TYPE_CHECKING:
    pass


def write_reports(folder: Path, report: ExperimentResults) -> None:
    """Write ``metrics.json``, the tables, and ``plots/`` anew."""
    plots, metric = folder / "plots", report.evaluate.metric
    shutil.rmtree(plots, ignore_errors=True)
    settings = report.settings
    write_csv(folder / "runs.csv", report.run_columns, report.run_rows)
    write_csv(folder / "comparison.csv", *comparison_rows(report.comparisons, settings))
    write_csv(folder / "verdicts.csv", *verdict_rows(report.verdicts, settings))
    write_csv(folder / "interventions.csv", *intervention_rows(report.interventions, settings))
    write_csv(
        folder / "probes.csv",
        *probe_rows(
            report.probes, report.encoder_adaptations, report.generalization_gaps, settings
        ),
    )
    write_json(folder / "metrics.json", report.metrics_tree)
    by_model = model_colours(settings, report.evaluate.baselines)
    by_values = swept_colours(settings)
    write_csv(plots / "learning_curves.csv", CURVE_COLUMNS, curve_rows(report.curves, by_values))
    write_csv(
        plots / "comparison.csv", DIFFERENCE_COLUMNS, difference_rows(report.comparisons, metric)
    )
    write_csv(
        plots / "settings.csv",
        SETTING_COLUMNS,
        setting_rows(report.summaries, baselines=report.evaluate.baselines, colours=by_model),
    )
    write_csv(plots / "codes.csv", CODE_COLUMNS, map(vars, report.codes))
    changes = change_rows(report.interventions, metric, by_model)
    write_csv(plots / "interventions.csv", CHANGE_COLUMNS, changes)
    for name, file in (("noise", "robustness"), ("scaled", "offset_scales")):
        rows = level_rows(report.interventions, metric, name, by_values)
        write_csv(plots / f"{file}.csv", LEVEL_COLUMNS, rows)
    _draw(plots, report, by_model, by_values)


def _draw(
    plots: Path,
    report: ExperimentResults,
    by_model: Mapping[str, str],
    by_values: Mapping[str, str],
) -> None:
    evaluate = report.evaluate
    metric, confidence = evaluate.metric, evaluate.confidence
    draw_comparison(
        plots / "comparison.png", report.comparisons, metric=metric, confidence=confidence
    )
    draw_test_metric(
        plots / "test_metric.png",
        report.summaries,
        baselines=evaluate.baselines,
        colours=by_model,
        confidence=confidence,
    )
    draw_learning_curves(
        plots / "learning_curves.png", report.curves, colours=by_values, confidence=confidence
    )
    draw_interventions(
        plots / "interventions.png",
        report.interventions,
        metric=metric,
        colours=by_model,
        confidence=confidence,
        margin=evaluate.margin,
    )
    draw_probes(plots / "probes.png", report.probes, colours=by_model, confidence=confidence)
    for name, draw in (("robustness", draw_robustness), ("offset_scales", draw_offset_scales)):
        draw(
            plots / f"{name}.png",
            report.interventions,
            metric=metric,
            colours=by_values,
            confidence=confidence,
        )
    if report.reconstructions:
        _draw_samples(plots, report.reconstructions)


def _draw_samples(plots: Path, shown: Reconstructions) -> None:
    are_images = shown.originals.ndim > 2
    draw = draw_reconstructions if are_images else draw_profiles
    draw(plots / "reconstructions.png", shown.originals, shown.rows, data_range=shown.data_range)
    if are_images:
        draw_image_rows(plots / "prior_samples.png", shown.prior, data_range=shown.data_range)
