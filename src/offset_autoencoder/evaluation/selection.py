"""Settings selected by validation: each model at its best values, compared on the test split.

A model that is compared at one learning rate may lose for want of another. ``evaluate.select``
names swept keys; of the settings of a model that differ in these alone, the one with the best mean
on the validation split is selected. On one split the test samples have no part in it. Where each
seed has a split of its own, validation samples of one are test samples of another
(:func:`selection_note`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offset_autoencoder.config import Setting
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.evaluation import summary
from offset_autoencoder.evaluation.metrics import VALIDATION, badness, error_metric
from offset_autoencoder.evaluation.statistics import (
    ONE_SPLIT,
    Design,
    Estimate,
    mean_and_interval,
)
from offset_autoencoder.evaluation.summary import RunRow


@dataclass(frozen=True)
class Selected:
    """The setting that validation selected among those that differ in the selected keys alone."""

    setting: Setting
    candidates: int  # settings that it was selected from: the model's budget
    validation: Estimate  # the metric on the validation split, over the seeds that finished
    unfinished: int  # seeds without a finite value


def selection_note(design: Design) -> str:
    """Sentence on what a selection by validation does to the test metrics of the selected."""
    if not design.varies:
        return "The test split had no part in it."
    return (
        "Validation samples of one seed are test samples of another, so the test metric of what "
        "was selected out of several flatters it a little; split.vary: false keeps them apart."
    )


def select_settings(
    rows: Sequence[RunRow],
    settings: Sequence[Setting],
    evaluate: Evaluate,
    design: Design = ONE_SPLIT,
) -> list[Selected]:
    """For each model, and each value of its other swept keys, the best setting by validation.

    Best is the best mean over the seeds of ``evaluate.metric`` on the validation split (where that
    is one of detection, of the error that tells: :func:`.metrics.error_metric`). A setting
    of which a run diverged, or has no finite value, comes after all of which none did: a mean over
    the seeds that were easy is no mean over the seeds. Of equals the first in params.yaml is taken.
    A model that sweeps none of the keys enters as it is.
    """
    metric = error_metric(evaluate)
    candidates: dict[tuple[object, ...], list[Selected]] = {}
    for setting, own in summary.rows_by_setting(rows, settings):
        values = summary.values_of(own, f"{metric}{VALIDATION}")
        finite = values[np.isfinite(values)]
        estimate = mean_and_interval(finite, evaluate.confidence, design.overlap)
        others = (pair for pair in setting.sweep if pair[0] not in evaluate.selected_keys)
        candidates.setdefault((setting.model, *others), []).append(
            Selected(setting, 1, estimate, unfinished=len(values) - len(finite))
        )

    def rank(item: Selected) -> tuple[int, float]:
        return item.unfinished, badness(metric, item.validation.mean)

    best = ((min(group, key=rank), len(group)) for group in candidates.values())
    return [Selected(one.setting, n, one.validation, one.unfinished) for one, n in best]
