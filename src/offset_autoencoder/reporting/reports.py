"""Everything under ``reports/`` but the page, written once all of it is known."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

from offset_autoencoder.evaluation.examples import CODE_COLUMNS
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.io.files import write_json
from offset_autoencoder.io.tables import write_csv
from offset_autoencoder.reporting.palette import model_colours, swept_colours
from offset_autoencoder.reporting.pictures import draw_pictures
from offset_autoencoder.reporting.plot_rows import (
    change_plot,
    comparison_plot,
    curve_plot,
    level_plot,
    setting_plot,
)
from offset_autoencoder.reporting.rows import (
    Rows,
    comparison_rows,
    intervention_rows,
    probe_rows,
    verdict_rows,
)


def write_reports(folder: Path, results: ExperimentResults) -> None:
    """Write ``metrics.json``, the tables, and ``plots/`` anew."""
    plots = folder / "plots"
    shutil.rmtree(plots, ignore_errors=True)
    settings = results.settings
    tables: dict[str, Rows] = {
        "runs": (list(results.run_columns), list(results.run_rows)),
        "comparison": comparison_rows(results.comparisons, settings),
        "verdicts": verdict_rows(results.verdicts, settings),
        "interventions": intervention_rows(results.interventions, settings),
        "probes": probe_rows(
            results.probes, results.encoder_adaptations, results.generalization_gaps, settings
        ),
    }
    for name, rows in tables.items():
        write_csv(folder / f"{name}.csv", *rows)
    write_json(folder / "metrics.json", dict(results.metrics_tree))
    plotted = plot_tables(results)
    for name, rows in plotted.items():
        write_csv(plots / f"{name}.csv", *rows)
    draw_pictures(plots, results, {name: rows for name, (_, rows) in plotted.items()})


def plot_tables(results: ExperimentResults) -> dict[str, Rows]:
    """Columns and rows of each csv file of ``plots/``, by its stem."""
    metric, baselines = results.evaluate.metric, results.evaluate.baselines
    interventions = results.interventions
    by_model = model_colours(results.settings, baselines)
    by_values = swept_colours(results.settings)
    return {
        "learning_curves": curve_plot(results.curves, by_values),
        "comparison": comparison_plot(results.comparisons, metric),
        "settings": setting_plot(results.summaries, baselines=baselines, colours=by_model),
        "interventions": change_plot(interventions, metric, by_model),
        "robustness": level_plot(interventions, metric, "robustness", by_values),
        "offset_scales": level_plot(interventions, metric, "offset_scales", by_values),
        "codes": (list(CODE_COLUMNS), [asdict(point) for point in results.codes]),
    }
