"""``reports/runs.csv`` as a table: which of its rows are a setting's, and which columns metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Setting, SweepValue, format_value
from offset_autoencoder.evaluation.metrics import CONDITIONS, METRICS

if TYPE_CHECKING:
    import pandas as pd


def sweep_keys(settings: Sequence[Setting]) -> tuple[str, ...]:
    """Every swept key, each once, in order of appearance: the columns of the reports."""
    return tuple(dict.fromkeys(key for setting in settings for key, _ in setting.sweep))


def sweep_cells(setting: Setting, keys: Sequence[str]) -> dict[str, Any]:
    """A setting's cells under the swept keys: numbers as they are, words as they are shown.

    None stands for a key that the setting's model does not sweep, and is written empty.
    """
    values = dict(setting.sweep)
    return {key: _cell(values[key]) if key in values else None for key in keys}


def metric_columns(runs: pd.DataFrame, metric: str) -> tuple[str, ...]:
    """The columns that are summarised and compared, of those that hold any number.

    Every metric as deployed, then the metric that is asked for in the other conditions.
    """
    others = [f"{metric}{suffix}" for suffix in CONDITIONS if suffix]
    return tuple(
        column
        for column in (*METRICS, *others)
        if column in runs.columns and runs[column].notna().any()
    )


def rows_of(runs: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """The rows of a setting, finished or not, by ascending seed.

    Args:
        runs: The table of runs, as written or as read back.
        setting: Whose rows.
    """
    chosen = np.array(runs["model"] == setting.model, dtype=bool)
    for key, value in setting.sweep:
        chosen &= np.array([_is(cell, value) for cell in runs[key]], dtype=bool)
    return runs[chosen].sort_values("seed", kind="stable")


def finished(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of runs that finished, indexed by seed."""
    return rows[rows["status"] == "finished"].set_index("seed")


def values_of(rows: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """A metric's values in the order of the rows, float64 (n,)."""
    if not len(rows):  # where every run diverged, the table may lack the column altogether
        return np.zeros(0)
    return np.asarray(rows[column], dtype=np.float64)


def _cell(value: SweepValue) -> int | float | str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return format_value(value)


def _is(cell: Any, value: SweepValue) -> bool:
    """Whether a cell, perhaps read back from csv, stands for a swept value."""
    empty = cell is None or (isinstance(cell, float) and math.isnan(cell))
    if value is None:
        return empty or cell == "null"
    if empty:
        return False
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return math.isclose(float(cell), float(value), rel_tol=1e-9)
        except (TypeError, ValueError):
            return False
    if isinstance(value, bool):
        return str(cell).lower() == str(value).lower()
    # A single hidden width reads back as the number 64, or 64.0 where other cells are empty.
    shown = format_value(float(cell)) if isinstance(cell, (int, float)) else str(cell)
    if isinstance(cell, (list, tuple)):
        shown = format_value(tuple(cell))
    return shown == format_value(value)
