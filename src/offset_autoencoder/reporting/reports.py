"""Everything under ``reports/`` but the page: tables and pictures."""

from __future__ import annotations

import functools
import math
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from offset_autoencoder.errors import named
from offset_autoencoder.evaluation.metrics import METRICS, Metric
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.io.files import write_json
from offset_autoencoder.io.tables import write_csv, write_parquet
from offset_autoencoder.reporting import charts, rendering
from offset_autoencoder.reporting.curves import curve_chart
from offset_autoencoder.reporting.figures import LEVELS
from offset_autoencoder.reporting.palette import OUTCOME_COLOURS
from offset_autoencoder.reporting.plot_rows import is_logarithmic, plot_tables, probe_plot
from offset_autoencoder.reporting.report_rows import report_tables
from offset_autoencoder.reporting.rows import Row, Rows
from offset_autoencoder.reporting.wording import better_word, first_epoch, over_seeds

Plots = Mapping[str, Rows]
"""Columns and rows of the csv files of ``plots/``, by their stem."""

Drawn = tuple[Any, Sequence[Row]] | None
"""A chart and its rows; None where there is nothing to show."""


def write_reports(folder: Path, results: ExperimentResults, *, pictures: bool = True) -> None:
    """Write ``metrics.json``, the tables, the errors of the test samples, and ``plots/`` anew.

    ``pictures``: the PNG files of ``plots/``, too, which take longer than all the rest.
    """
    plots = folder / "plots"
    shutil.rmtree(plots, ignore_errors=True)
    write_json(folder / "metrics.json", dict(results.metrics_tree))
    plotted = plot_tables(results)
    for place, tables in ((folder, report_tables(results)), (plots, plotted)):
        for name, table in tables.items():
            write_csv(place / f"{name}.csv", *table)
    write_parquet(folder / "errors" / "test.parquet", results.sample_errors)
    if pictures:
        draw_pictures(plots, results, plotted)


def draw_pictures(folder: Path, results: ExperimentResults, plots: Plots) -> None:
    """Draw the pictures of ``reports/plots`` from its rows; what has nothing to show gets none."""
    for name, picture in PICTURES.items():
        if (drawn := picture(results, plots)) is not None and drawn[1]:
            rendering.write_png(folder / f"{name}.png", *drawn)
    strips, prior = rendering.sample_strips(results.reconstructions, dark=False)
    title, samples = "", results.reconstructions
    if samples is not None and (over := rendering.profiles_over(samples)):
        low, high = samples.data_range
        title = f"grey: sample, blue: reconstruction; {over}, values from {low:.3g} to {high:.3g}"
    rendering.write_strips(folder / "reconstructions.png", strips, title=title)
    rendering.write_strips(folder / "prior_samples.png", prior)


def _comparison(results: ExperimentResults, plots: Plots) -> Drawn:
    _, found = plots["comparison"]
    verdicts = {row["verdict"] for row in found}
    margin = 100 * results.evaluate.margin
    title = (
        f"setting against baseline at the same seed, {over_seeds(results.design)};",
        f"left of zero is better; grey: within ± {margin:g} %",
    )
    x_label = f"change of the {_metric(results).error_label}, % of the baseline's"
    outcomes = [outcome for outcome in OUTCOME_COLOURS if outcome in verdicts]
    counts = Counter((row["baseline"], row["condition"]) for row in found).values()
    chart = charts.interval_chart(
        *("comparison", title, x_label),
        margin=margin,
        outcomes=outcomes,
        few=any(2 * count < max(counts) for count in counts),
    )
    return chart, found


def _interventions(results: ExperimentResults, plots: Plots) -> Drawn:
    margin = 100 * results.evaluate.margin
    title = (
        f"the offset exchanged, filled: unseen samples, hollow: training samples, "
        f"{over_seeds(results.design)};",
        f"right of zero is worse; grey: within ± {margin:g} %",
    )
    error = results.error_label
    own = not all(item.has_baseline for item in results.verdicts)
    x_label = f"change of the {error}, % of that of the network trained with nothing"
    x_label += ", or of its own without one" if own else ""
    chart = charts.interval_chart("interventions", title, x_label, margin=margin)
    return chart, plots["interventions"][1]


def _probes(results: ExperimentResults, plots: Plots) -> Drawn:
    title = (
        f"share that a linear probe reads from each part, {over_seeds(results.design)};",
        "filled circles: variance of x, open diamonds: labels read right",
    )
    chart = charts.interval_chart("probes", title, "share on the test split, %")
    return chart, probe_plot(results)


def _test_metric(results: ExperimentResults, plots: Plots) -> Drawn:
    finite = _finite(plots["settings"])
    if not finite:
        return None
    lines = [row["shown_as"] == "line" for row in finite]
    better = better_word(results.evaluate.metric)
    chart = charts.setting_chart(
        over_seeds(results.design),
        "noise level: rms per coordinate of the code of what is added to it",
        f"{_metric(results).label} on the test split ({better} is better)",
        y_scale=_scale(finite, log=is_logarithmic(results.summaries)),
        panels=["line"] * any(lines) + ["point"] * (not all(lines)),
    )
    return chart, finite


def _learning_curves(results: ExperimentResults, plots: Plots) -> Drawn:
    _, points = plots["learning_curves"]
    if not points:
        return None
    kept = "best validation loss so far (a run that stopped keeps its best)"
    first = first_epoch(max(row["epoch"] for row in points))
    x_label = "epoch" if first == 1 else f"epoch, from {first} on"
    title = f"{kept}, {over_seeds(results.design)}"
    return _curves(title, "epoch", x_label, "validation loss", points, log=False)


def _levels(plot: str, results: ExperimentResults, plots: Plots) -> Drawn:
    """Curves over the levels of an intervention."""
    finite = _finite(plots[plot])
    if len({row["level"] for row in finite}) < 2:
        return None
    title, x_label = LEVELS[plot]
    log = is_logarithmic(results.summaries) and all(row["mean"] > 0 for row in finite)
    y_label = f"{METRICS[results.error_metric].label}, test split"
    title = f"{title}, {over_seeds(results.design)}"
    return _curves(title, "level", x_label, y_label, finite, log=log)


PICTURES: dict[str, Callable[[ExperimentResults, Plots], Drawn]] = {
    "comparison": _comparison,
    "test_metric": _test_metric,
    "learning_curves": _learning_curves,
    "interventions": _interventions,
    "probes": _probes,
    **{plot: functools.partial(_levels, plot) for plot in LEVELS},
}
"""The charts by the name of their PNG; to add one, add it here."""


def _metric(results: ExperimentResults) -> Metric:
    return METRICS[results.evaluate.metric]


def _finite(table: Rows) -> list[Row]:
    return [row for row in table[1] if math.isfinite(row["mean"])]


def _curves(
    title: str, x: str, x_label: str, y_label: str, points: Sequence[Row], *, log: bool
) -> Drawn:
    """Curves in a panel per model; a first model of one curve is dashed in those of the others."""
    models = list(dict.fromkeys(row["model"] for row in points))
    first = [row for row in points if row["model"] == models[0]]
    copies: list[Row] = []
    if len({row["setting"] for row in first}) == 1:
        others = models[1:]
        copies = [{**row, "model": model, "reference": True} for model in others for row in first]
    chart = curve_chart(
        [title, *([f"dashed: {named(models[0])}, for comparison"] if copies else [])],
        x,
        x_label,
        y_label,
        y_scale=_scale(points, log=log),
        without_start=x == "epoch",
        points=x != "epoch",
        reference=bool(copies),
    )
    return chart, [*points, *copies]


def _scale(points: Sequence[Row], *, log: bool) -> dict[str, Any]:
    """Options of a scale that holds all means and intervals; its zero is not of interest."""
    if not log:
        return {"zero": False}
    ends = [row[end] for row in points for end in ("mean", "low", "high")]
    positive = [end for end in ends if math.isfinite(end) and end > 0]
    return {"type": "log", "domain": [min(positive) / 1.08, max(positive) * 1.08]}
