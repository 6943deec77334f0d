"""Everything under ``reports/``, written once all of it is known."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.comparison import Comparison, comparison_rows
from offset_autoencoder.evaluation.summary import SettingSummary
from offset_autoencoder.files import write_json
from offset_autoencoder.reporting.curves import CURVE_COLUMNS, Curve, curve_rows
from offset_autoencoder.reporting.intervals import (
    COMPARISON_COLUMNS,
    SETTING_COLUMNS,
    difference_rows,
    setting_rows,
)
from offset_autoencoder.reporting.pictures import (
    draw_comparison,
    draw_learning_curves,
    draw_test_metric,
)
from offset_autoencoder.reporting.reconstructions import draw_reconstructions
from offset_autoencoder.reporting.tables import write_csv

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Images:
    """Samples and their reconstructions, as images.

    Attributes:
        originals: (n, height, width) or (n, height, width, channels) float32.
        rows: For each setting shown its label and its reconstructions, the same shape.
        data_range: What is black and what is white.
    """

    originals: NDArray[np.float32]
    rows: Sequence[tuple[str, NDArray[np.float32]]]
    data_range: tuple[float, float]


@dataclass(frozen=True)
class Report:
    """What is reported.

    Attributes:
        run_columns: The columns of ``runs.csv``.
        run_rows: Its rows.
        tree: ``metrics.json``.
        settings: The settings, in order.
        comparisons: All of them.
        summaries: The settings in the metric that is asked for.
        curves: Their learning curves.
        images: For data that are images, else None.
        metric: The metric that is asked for.
        confidence: The share of intervals that hold the true value.
    """

    run_columns: Sequence[str]
    run_rows: Sequence[dict[str, Any]]
    tree: dict[str, Any]
    settings: Sequence[Setting]
    comparisons: Sequence[Comparison]
    summaries: Sequence[SettingSummary]
    curves: Sequence[Curve]
    images: Images | None
    metric: str
    confidence: float


def write_reports(folder: Path, report: Report) -> None:
    """Write ``metrics.json``, ``runs.csv``, ``comparison.csv`` and ``plots/``."""
    plots = folder / "plots"
    shutil.rmtree(plots, ignore_errors=True)
    write_csv(folder / "runs.csv", report.run_columns, report.run_rows)
    write_csv(folder / "comparison.csv", *comparison_rows(report.comparisons, report.settings))
    write_json(folder / "metrics.json", report.tree)
    write_csv(plots / "learning_curves.csv", CURVE_COLUMNS, curve_rows(report.curves))
    write_csv(
        plots / "comparison.csv",
        COMPARISON_COLUMNS,
        difference_rows(report.comparisons, report.metric),
    )
    write_csv(plots / "settings.csv", SETTING_COLUMNS, setting_rows(report.summaries))
    confidence = report.confidence
    draw_comparison(
        plots / "comparison.png", report.comparisons, metric=report.metric, confidence=confidence
    )
    draw_test_metric(plots / "test_metric.png", report.summaries, confidence=confidence)
    draw_learning_curves(plots / "learning_curves.png", report.curves, confidence=confidence)
    if report.images:
        draw_reconstructions(
            plots / "reconstructions.png",
            report.images.originals,
            report.images.rows,
            data_range=report.images.data_range,
        )
