"""Everything under ``reports/`` but the page: tables and pictures."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from offset_autoencoder.evaluation.examples import CODE_COLUMNS
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.summary import runs_table
from offset_autoencoder.io.files import write_json
from offset_autoencoder.io.tables import write_csv
from offset_autoencoder.reporting import charts
from offset_autoencoder.reporting.curves import curve_chart
from offset_autoencoder.reporting.palette import OUTCOME_COLOURS, model_colours, swept_colours
from offset_autoencoder.reporting.rendering import sample_strips, write_png, write_strips
from offset_autoencoder.reporting.rows import (
    Row,
    Rows,
    change_plot,
    comparison_plot,
    comparison_rows,
    curve_plot,
    intervention_rows,
    is_logarithmic,
    level_plot,
    probe_plot,
    probe_rows,
    setting_plot,
    verdict_rows,
)
from offset_autoencoder.reporting.wording import (
    better_word,
    error_name,
    first_epoch,
    metric_name,
    over_seeds,
)


def write_reports(folder: Path, results: ExperimentResults) -> None:
    """Write ``metrics.json``, the tables, and ``plots/`` anew."""
    plots = folder / "plots"
    shutil.rmtree(plots, ignore_errors=True)
    settings = results.settings
    tables: dict[str, Rows] = {
        "runs": runs_table(results.runs, settings),
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


Plots = Mapping[str, Sequence[Row]]
"""Rows of the csv files of ``plots/``, by their stem."""

Drawn = tuple[Any, Sequence[Row]] | None
"""A chart and its rows; None where there is nothing to show."""


def draw_pictures(folder: Path, results: ExperimentResults, plots: Plots) -> None:
    """Draw the pictures of ``reports/plots`` from its rows; what has nothing to show gets none."""
    for name, picture in PICTURES.items():
        if (drawn := picture(results, plots)) is not None:
            write_png(folder / f"{name}.png", *drawn)
    strips, prior = sample_strips(results.reconstructions, dark=False)
    title, samples = "", results.reconstructions
    if samples is not None and samples.originals.ndim == 2:
        low, high = samples.data_range
        title = (
            "grey: sample, blue: reconstruction; features in their order, "
            f"values from {low:.3g} to {high:.3g}"
        )
    write_strips(folder / "reconstructions.png", strips, title=title)
    write_strips(folder / "prior_samples.png", prior)


def _comparison(results: ExperimentResults, plots: Plots) -> Drawn:
    rows, evaluate = plots["comparison"], results.evaluate
    if not rows:
        return None
    margin = 100 * evaluate.margin
    title = (
        f"setting against baseline at the same seed, {over_seeds(evaluate.confidence)};",
        f"left of zero is better; grey: within ± {margin:g} %",
    )
    x_label = f"change of the {error_name(evaluate.metric)}, % of the baseline's"
    verdicts = {row["verdict"] for row in rows}
    outcomes = [outcome for outcome in OUTCOME_COLOURS if outcome in verdicts]
    chart = charts.comparison_chart(title, x_label, margin=margin, outcomes=outcomes)
    return chart, rows


def _interventions(results: ExperimentResults, plots: Plots) -> Drawn:
    rows, evaluate = plots["interventions"], results.evaluate
    if not rows:
        return None
    margin = 100 * evaluate.margin
    title = (
        f"the offset exchanged at test time, {over_seeds(evaluate.confidence)};",
        f"right of zero is worse; grey: within ± {margin:g} %",
    )
    x_label = f"change of the {error_name(evaluate.metric)}, % of that with the own offset"
    return charts.intervention_chart(title, x_label, margin=margin), rows


def _probes(results: ExperimentResults, plots: Plots) -> Drawn:
    colours = model_colours(results.settings, results.evaluate.baselines)
    rows = probe_plot(results.probes, colours)
    if not rows:
        return None
    said = over_seeds(results.evaluate.confidence)
    title = (
        f"share that a linear probe reads from each part, {said};",
        "filled circles: variance of x, open diamonds: labels read right",
    )
    return charts.probe_chart(title, "share on the test split, %"), rows


def _test_metric(results: ExperimentResults, plots: Plots) -> Drawn:
    rows = [row for row in plots["settings"] if math.isfinite(row["mean"])]
    if not rows:
        return None
    metric = results.evaluate.metric
    lines = [row["shown_as"] == "line" for row in rows]
    chart = charts.setting_chart(
        over_seeds(results.evaluate.confidence),
        "noise level: rms per coordinate of the code of what is added to it",
        f"{metric_name(metric)} on the test split ({better_word(metric)} is better)",
        y_scale=_scale(rows, log=is_logarithmic(results.summaries)),
        panels=["line"] * any(lines) + ["point"] * (not all(lines)),
    )
    return chart, rows


def _learning_curves(results: ExperimentResults, plots: Plots) -> Drawn:
    rows = plots["learning_curves"]
    if not rows:
        return None
    said = over_seeds(results.evaluate.confidence)
    title = f"best validation loss so far (a run that stopped keeps its best), {said}"
    first = first_epoch(max(row["epoch"] for row in rows))
    x_label = "epoch" if first == 1 else f"epoch, from {first} on"
    return _curves(title, "epoch", x_label, "validation loss", rows, log=False)


def _robustness(results: ExperimentResults, plots: Plots) -> Drawn:
    said = over_seeds(results.evaluate.confidence)
    title = f"Gaussian noise on top of the code at test time, {said}"
    x_label = "standard deviation of the noise, per coordinate of the code"
    return _levels(results, title, x_label, plots["robustness"])


def _offset_scales(results: ExperimentResults, plots: Plots) -> Drawn:
    said = over_seeds(results.evaluate.confidence)
    title = f"the offset scaled at test time (1: as it is, 0: omitted), {said}"
    return _levels(results, title, "factor of the offset", plots["offset_scales"])


PICTURES: dict[str, Callable[[ExperimentResults, Plots], Drawn]] = {
    "comparison": _comparison,
    "test_metric": _test_metric,
    "learning_curves": _learning_curves,
    "interventions": _interventions,
    "probes": _probes,
    "robustness": _robustness,
    "offset_scales": _offset_scales,
}
"""The charts by the name of their PNG; to add one, add it here."""


def _levels(results: ExperimentResults, title: str, x_label: str, rows: Sequence[Row]) -> Drawn:
    """Curves over the levels of an intervention."""
    finite = [row for row in rows if math.isfinite(row["mean"])]
    if len({row["level"] for row in finite}) < 2:
        return None
    log = is_logarithmic(results.summaries) and all(row["mean"] > 0 for row in finite)
    y_label = f"{metric_name(results.evaluate.metric)}, test split"
    return _curves(title, "level", x_label, y_label, finite, log=log)


def _curves(
    title: str, x: str, x_label: str, y_label: str, rows: Sequence[Row], *, log: bool
) -> Drawn:
    """Curves in a panel per model, the first model's again in those of the others."""
    every, compared = with_reference(rows)
    chart = curve_chart(
        [title, *([f"dashed: {compared}, for comparison"] if compared else [])],
        x,
        x_label,
        y_label,
        y_scale=_scale(rows, log=log),
        without_start=x == "epoch",
        points=x != "epoch",
        reference=bool(compared),
    )
    return chart, every


def with_reference(rows: Sequence[Row]) -> tuple[list[Row], str]:
    """Rows of curves, and the first model's curve again in the panel of every other model.

    Returns:
        All rows, those that are for comparison with ``reference``; and the name of that model,
        empty where it has several curves or is the only one.
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    first = [row for row in rows if row["model"] == models[0]]
    if len(models) == 1 or len({row["setting"] for row in first}) > 1:
        return list(rows), ""
    copies = [{**row, "model": model, "reference": True} for model in models[1:] for row in first]
    return [*rows, *copies], models[0]


def _scale(rows: Sequence[Row], *, log: bool) -> dict[str, Any]:
    """Options of a scale that holds all means and intervals; its zero is not of interest."""
    if not log:
        return {"zero": False}
    ends = [row[end] for row in rows for end in ("mean", "low", "high")]
    positive = [end for end in ends if math.isfinite(end) and end > 0]
    return {"type": "log", "domain": [min(positive) / 1.08, max(positive) * 1.08]}
