"""The rows of ``reports/comparison.csv``, and of the plot of its differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.comparison import Comparison
from offset_autoencoder.evaluation.runs_table import sweep_cells, sweep_keys

COMPARISON_COLUMNS = (
    "baseline",
    "baseline_setting",
    "metric",
    "difference",
    "low",
    "high",
    "p",
    "p_corrected",
    "change",
    "change_low",
    "change_high",
    "margin",
    "p_equivalence",
    "p_equivalence_corrected",
    "equivalent",
    "seeds_needed",
    "needed_for",
    "wins",
    "pairs",
    "verdict",
)
DIFFERENCE_COLUMNS = (
    "setting",
    "model",
    "baseline",
    "baseline_setting",
    "metric",
    "difference",
    "low",
    "high",
    "p_corrected",
    "verdict",
)


def comparison_rows(
    comparisons: Sequence[Comparison], settings: Sequence[Setting]
) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of ``reports/comparison.csv``; ``verdict`` is the sentence.

    ``change`` is the relative change of the error that equivalence is judged by, and
    ``needed_for`` says what ``seeds_needed`` seeds would show.
    """
    keys = sweep_keys(settings)
    rows = [{**_cells(item), **sweep_cells(item.setting, keys)} for item in comparisons]
    return ["model", *keys, *COMPARISON_COLUMNS], rows


def difference_rows(comparisons: Sequence[Comparison], metric: str) -> list[dict[str, Any]]:
    """Rows of ``reports/plots/comparison.csv``, of one metric; ``verdict`` is the word."""
    rows = []
    for item in comparisons:
        if item.metric == metric:
            cells = {**_cells(item), "setting": item.setting.label, "verdict": item.outcome}
            rows.append({column: cells[column] for column in DIFFERENCE_COLUMNS})
    return rows


def _cells(item: Comparison) -> dict[str, Any]:
    equivalence = item.equivalence
    return {
        "model": item.setting.model,
        "baseline": item.baseline.model,
        "baseline_setting": item.baseline.label,
        "metric": item.metric,
        "difference": item.difference.mean,
        "low": item.difference.low,
        "high": item.difference.high,
        "p": item.p,
        "p_corrected": item.p_corrected,
        "change": equivalence.change.mean,
        "change_low": equivalence.change.low,
        "change_high": equivalence.change.high,
        "margin": equivalence.margin,
        "p_equivalence": equivalence.p,
        "p_equivalence_corrected": equivalence.p_corrected,
        "equivalent": None if math.isnan(equivalence.p) else equivalence.shown,
        "seeds_needed": item.needed.seeds,
        "needed_for": item.needed.finds,
        "wins": item.wins.wins,
        "pairs": item.pairs,
        "verdict": item.verdict,
    }
