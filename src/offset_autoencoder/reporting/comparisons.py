"""The rows of ``reports/comparison.csv``, and of the plot of its differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.comparison import Comparison
from offset_autoencoder.evaluation.metrics import CONDITIONS
from offset_autoencoder.evaluation.runs_table import setting_cells, sweep_keys

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
    "condition",
    "change",
    "low",
    "high",
    "difference",
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
    rows = [{**_cells(item), **setting_cells(item.setting, keys)} for item in comparisons]
    return ["model", "setting", *keys, *COMPARISON_COLUMNS], rows


def difference_rows(comparisons: Sequence[Comparison], metric: str) -> list[dict[str, Any]]:
    """Rows of ``reports/plots/comparison.csv``, of one metric; ``verdict`` is the word.

    ``change``, ``low`` and ``high`` are the change of the error in percent of the baseline's;
    ``difference`` is that of the metric itself.
    """
    return [
        {
            "setting": item.setting.label,
            "model": item.setting.model,
            "baseline": item.baseline.model,
            "baseline_setting": item.baseline.label,
            "metric": metric,
            "condition": condition,
            "change": 100 * item.equivalence.change.mean,
            "low": 100 * item.equivalence.change.low,
            "high": 100 * item.equivalence.change.high,
            "difference": item.difference.mean,
            "p_corrected": item.p_corrected,
            "verdict": item.outcome,
        }
        for (_, condition), items in shown_comparisons(comparisons, metric).items()
        for item in items
    ]


def shown_comparisons(
    comparisons: Sequence[Comparison], metric: str
) -> dict[tuple[str, str], list[Comparison]]:
    """The comparisons that are shown, by baseline and condition.

    As deployed; against a baseline that is trained with noise also as trained and clean, since
    as deployed its noise is off while an offset is on.

    Args:
        comparisons: All of them.
        metric: The metric to show.

    Returns:
        By the baseline model and what :data:`.metrics.CONDITIONS` calls the condition.
    """
    shown: dict[tuple[str, str], list[Comparison]] = {}
    baselines = dict.fromkeys(item.baseline.model for item in comparisons)
    noisy = {item.baseline.model for item in comparisons if trained_with_noise(item.baseline)}
    for baseline in baselines:
        for suffix, condition in CONDITIONS.items():
            items = [
                item
                for item in comparisons
                if item.baseline.model == baseline and item.metric == metric + suffix
            ]
            if items and (not suffix or baseline in noisy):
                shown[baseline, condition] = items
    return shown


def trained_with_noise(setting: Setting) -> bool:
    """Whether training draws noise that the deployed model is without."""
    return setting.spec.stddev > 0 or setting.spec.system_record.learns_noise


def _cells(item: Comparison) -> dict[str, Any]:
    equivalence = item.equivalence
    return {
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
