"""Settings selected by validation: each model at its best values, compared on the test split.

A model that is compared at one learning rate may lose for want of another. ``evaluate.select``
names swept keys; of the settings of a model that differ in these alone, the one with the best mean
on the validation split is selected. Where each seed has a split of its own, validation samples of
one are test samples of another, so a mean over seeds would have seen what it is tested on: there
each seed selects for itself, by its own validation split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from offset_autoencoder.config import Run, Setting
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.errors import named
from offset_autoencoder.evaluation import summary
from offset_autoencoder.evaluation.metrics import METRICS, VALIDATION, badness, error_metric
from offset_autoencoder.evaluation.statistics import ONE_SPLIT, Design, Estimate
from offset_autoencoder.evaluation.summary import RunRow

TUNED = "tuned"
"""A swept value that stands for the one that each seed selected."""


@dataclass(frozen=True)
class Selected:
    """Selection by validation among the settings that differ in the selected keys alone.

    Attributes:
        setting: What was selected; keys are :data:`TUNED` where seeds selected other values.
        rows: The run selected at each seed, as a run of that setting.
        candidates: Number of settings that it was selected from: the model's budget.
        picks: At how many seeds each value of the selected keys was selected, most first.
        validation: The metric that selects, on the validation split, over the seeds that finished.
        unfinished: Number of seeds without a finite value.
    """

    setting: Setting
    rows: Sequence[RunRow]
    candidates: int
    picks: Mapping[str, int]
    validation: Estimate
    unfinished: int
    metric: str  # that selects

    @property
    def picked(self) -> str:
        """The picks with their seeds: ``"learning_rate=0.1 (12), learning_rate=0.2 (8)"``."""
        return ", ".join(f"{value} ({count})" for value, count in self.picks.items() if value)


def selection_note(design: Design, evaluate: Evaluate) -> str:
    """Sentences on how validation selects, by what, and what of the test split has a part in it."""
    error, compared = METRICS[error_metric(evaluate)].label, METRICS[evaluate.metric].label
    note = ""
    if error != compared:
        note = f"{compared} is compared, yet validation has no anomalies: there {error} selects. "
    if not design.varies:
        return f"{note}By the mean over the seeds; the test split has no part in it."
    return (
        f"{note}Each seed selects for itself, by its own validation split, which shares no sample "
        f"with its test split; a value that differs between seeds is called {named(TUNED)}: which, "
        "is in the column picked of reports/tuned.csv."
    )


def select_settings(
    rows: Sequence[RunRow],
    settings: Sequence[Setting],
    evaluate: Evaluate,
    design: Design = ONE_SPLIT,
) -> list[Selected]:
    """For each model, and each value of its other swept keys, the best setting by validation.

    Best is the best ``evaluate.metric`` on the validation split (where that is one of detection,
    the error that tells: :func:`.metrics.error_metric`): its mean over the seeds on one split, that
    of each seed by itself where splits vary. A setting of which a run diverged, or has
    no finite value, comes after all of which none did: a mean over the seeds that were easy is no
    mean over the seeds. Of equals the first in params.yaml is taken. A model that sweeps none of
    the keys enters as it is.
    """
    groups: dict[tuple[object, ...], list[tuple[Setting, list[RunRow]]]] = {}
    for setting, own in summary.rows_by_setting(rows, settings):
        others = (pair for pair in setting.sweep if pair[0] not in evaluate.selected_keys)
        groups.setdefault((setting.model, *others), []).append((setting, own))
    return [_select(group, evaluate, design) for group in groups.values()]


def _select(
    candidates: Sequence[tuple[Setting, Sequence[RunRow]]], evaluate: Evaluate, design: Design
) -> Selected:
    metric = error_metric(evaluate)
    column = f"{metric}{VALIDATION}"

    def rank(own: tuple[Setting, Sequence[RunRow]]) -> tuple[int, float]:
        values = summary.values_of(own[1], column)
        finite = values[np.isfinite(values)]
        mean = float(np.mean(finite)) if len(finite) else np.nan
        return len(values) - len(finite), badness(metric, mean)

    by_seed: dict[int | None, list[tuple[Setting, list[RunRow]]]] = {}
    for setting, own in candidates:
        for seed in dict.fromkeys(row.run.seed if design.varies else None for row in own):
            of_seed = [row for row in own if seed in (None, row.run.seed)]
            by_seed.setdefault(seed, []).append((setting, of_seed))
    selected = [min(options, key=rank) for options in by_seed.values()]
    setting = _common([each for each, _ in selected] or [candidates[0][0]])
    chosen = [row for _, own in selected for row in own]
    kept = [key for key, _ in setting.sweep if key not in evaluate.selected_keys]
    counts = Counter(row.run.setting.sweep_label(kept) for row in chosen)
    values = summary.values_of(chosen, column)
    finite = values[np.isfinite(values)]
    return Selected(
        setting,
        rows=[replace(row, run=Run(setting, row.run.seed)) for row in chosen],
        candidates=len(candidates),
        picks=dict(counts.most_common()),
        validation=design.estimate(finite, "validation", METRICS[metric].bounds),
        unfinished=len(values) - len(finite),
        metric=metric,
    )


def _common(settings: Sequence[Setting]) -> Setting:
    """The setting, or one that stands for several of a model, with what differs as tuned."""
    first = settings[0]
    values = zip(*(setting.sweep for setting in settings), strict=True)
    sweep = tuple(
        pairs[0] if all(pair == pairs[0] for pair in pairs) else (pairs[0][0], TUNED)
        for pairs in values
    )
    return first if sweep == first.sweep else replace(first, sweep=sweep)
