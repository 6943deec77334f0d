"""Rows of ``reports/runs.csv``, by run and by setting.

To add a column, add it to :func:`run_columns` and :func:`run_cells`; a metric's is there by itself.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Run, Setting, SweepValue, format_value
from offset_autoencoder.evaluation.metrics import CONDITIONS, METRICS


@dataclass(frozen=True)
class RunRow:
    """A run and its test metrics.

    Attributes:
        id: The run's id.
        run: Its setting and seed.
        status: ``"finished"`` or ``"diverged"``.
        metrics: Its test metrics by column; none for a run that diverged.
    """

    id: str
    run: Run
    status: str
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """True if the run has weights to measure."""
        return self.status == "finished"


def run_columns(rows: Sequence[RunRow], settings: Sequence[Setting]) -> list[str]:
    """The columns of ``runs.csv``: metrics that any run has, in the order of the metrics.

    Networks differ in what applies to them: one without a linear output has a cross-entropy.
    """
    present = dict.fromkeys(name for row in rows for name in row.metrics)
    metrics = [f"{metric}{condition}" for metric in METRICS for condition in CONDITIONS]
    ordered = [name for name in metrics if name in present]
    others = [name for name in present if name not in metrics]
    keys = sweep_keys(settings)
    return ["id", "model", "setting", *keys, "seed", "status", *ordered, *others]


def run_cells(row: RunRow, keys: Sequence[str]) -> dict[str, Any]:
    """A row of ``runs.csv`` by column, ``keys`` being the swept ones."""
    setting = row.run.setting
    return {
        "id": row.id,
        **setting_cells(setting, keys),
        "seed": row.run.seed,
        "status": row.status,
        **row.metrics,
    }


def sweep_keys(settings: Sequence[Setting]) -> tuple[str, ...]:
    """Every swept key, each once, in order of appearance: the columns of the reports."""
    return tuple(dict.fromkeys(key for setting in settings for key, _ in setting.sweep))


def setting_cells(setting: Setting, keys: Sequence[str]) -> dict[str, Any]:
    """The cells of every table that say which setting a row is of: model, setting, swept keys.

    Numbers as they are, words as they are shown; None for a key that the setting's model does
    not sweep, which is written empty.
    """
    values = dict(setting.sweep)
    cells = {key: _cell(values[key]) if key in values else None for key in keys}
    return {"model": setting.model, "setting": setting.label, **cells}


def metric_columns(rows: Sequence[RunRow], metric: str) -> tuple[str, ...]:
    """The columns that are summarised and compared, of those that any run has.

    Every metric as deployed, then the metric that is asked for in the other conditions.
    """
    others = [f"{metric}{suffix}" for suffix in CONDITIONS if suffix]
    return tuple(column for column in (*METRICS, *others) if has_values(rows, column))


def has_values(rows: Sequence[RunRow], column: str) -> bool:
    """True if any of the runs has a number in a column."""
    return bool(np.any(~np.isnan(values_of(rows, column))))


def values_of(rows: Sequence[RunRow], column: str) -> NDArray[np.float64]:
    """A metric's values in the order of the rows, float64 (n,); NaN where a run has none."""
    return np.array([row.metrics.get(column, np.nan) for row in rows], dtype=np.float64)


def rows_by_setting(rows: Sequence[RunRow], settings: Sequence[Setting]) -> list[list[RunRow]]:
    """The rows of each setting, by ascending seed."""
    groups: dict[str, list[RunRow]] = {setting.label: [] for setting in settings}
    for row in sorted(rows, key=lambda row: row.run.seed):
        groups.setdefault(row.run.setting.label, []).append(row)
    return [groups[setting.label] for setting in settings]


def runs_by_setting(
    finished: Sequence[tuple[str, Run]], ids: Container[str]
) -> list[tuple[Setting, list[tuple[str, Run]]]]:
    """The runs of each setting, by ascending seed, the settings in the order of the runs.

    Args:
        finished: Ids and runs.
        ids: The ids that count; a setting without any is left out.
    """
    groups: dict[str, list[tuple[str, Run]]] = {}
    for run_id, run in finished:
        if run_id in ids:
            groups.setdefault(run.setting.label, []).append((run_id, run))
    for members in groups.values():
        members.sort(key=lambda member: member[1].seed)
    return [(members[0][1].setting, members) for members in groups.values()]


def noise_level(setting: Setting) -> float | None:
    """Root mean square per coordinate of what is added to the code, as params.yaml has it.

    That is ``rms`` where set (the noise added on top of it is the model's own), else
    ``stddev``; None where nothing is added, or an offset as it came.
    """
    if setting.spec.rms is not None:
        return setting.spec.rms
    return setting.spec.stddev if setting.spec.stddev > 0 else None


def _cell(value: SweepValue) -> int | float | str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return format_value(value)
