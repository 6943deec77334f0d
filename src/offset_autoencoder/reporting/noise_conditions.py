"""Comparisons with the noise of training off and on, side by side, and what a baseline shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from offset_autoencoder.config import Setting
from offset_autoencoder.errors import named
from offset_autoencoder.evaluation import comparison
from offset_autoencoder.evaluation.metrics import CONDITIONS, metric_of
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.selection import TUNED
from offset_autoencoder.evaluation.summary import summarise
from offset_autoencoder.reporting import tables
from offset_autoencoder.reporting.tables import Cell, Column, Table

IN_WORDS = {
    CONDITIONS[""]: "as deployed: offset on, noise off",
    "as trained": "as trained: offset on, noise on",
    "clean": "clean: offset off, noise off",
}
"""The conditions of a metric, in plain words."""


def trained_with_noise(setting: Setting) -> bool:
    """True if training draws noise that the deployed model is without."""
    return setting.spec.stddev > 0 or setting.spec.system_record.learns_noise


def noise_on_column(results: ExperimentResults, factor: float) -> list[Column]:
    """The error of the settings that are trained with noise while it is on, if there are any."""
    evaluate, settings = results.evaluate, [item.setting for item in results.summaries]
    noisy = [setting for setting in settings if trained_with_noise(setting)]
    if not noisy:
        return []
    suffix = next(suffix for suffix, name in CONDITIONS.items() if name == "as trained")
    column = f"{evaluate.metric}{suffix}"
    means = summarise(results.runs, noisy, column, results.design)
    cells = tables.estimate_column("", "", [item.estimate for item in means], factor).cells
    by_label = {item.setting.label: cell for item, cell in zip(means, cells, strict=True)}
    every = [by_label.get(setting.label, Cell()) for setting in settings]
    return [Column("noise_on", "with its noise on, ±", every)]


def side_by_side(family: Sequence[comparison.Comparison], conditions: Mapping[str, Table]) -> Table:
    """The changes against one baseline under each condition, from the table of each."""
    first, error = next(iter(conditions.values())), metric_of(family[0].metric).error_label
    columns = [first.columns[0]]
    for condition, table in conditions.items():
        own = {column.key: column for column in table.columns}
        columns += [
            replace(own["change"], key=condition, heading=f"{condition}, %, ±"),
            replace(own["verdict"], key=f"{condition} verdict"),
        ]
    caption = (
        f"Change of the {error} against {named(family[0].baseline.model)}{in_common(family)}. "
        f"{'; '.join(IN_WORDS[condition] for condition in conditions)}. Below zero is better."
    )
    return Table(f"conditions-{first.name}", caption, columns, first.file)


def in_common(family: Sequence[comparison.Comparison]) -> str:
    """Description of what the baseline shares with each setting that it is compared with."""
    shared: dict[str, bool] = {}
    for item in family:
        for key, _ in item.baseline.sweep:
            is_level = key in comparison.LEVEL_KEYS
            one, other = (
                comparison.level_of(setting) if is_level else comparison.value_of(setting, key)
                for setting in (item.setting, item.baseline)
            )
            name = "noise level" if is_level else key
            # Tuned values differ seed by seed.
            alike = one != TUNED and comparison.same_value(one, other)
            shared[name] = shared.get(name, True) and alike
    keys = [name for name, holds in shared.items() if holds]
    return f" at the same {' and '.join(keys)}" if keys else ""
