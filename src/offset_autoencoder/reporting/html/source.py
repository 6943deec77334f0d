"""What the stages left on disk, read for the page."""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offset_autoencoder.config import Params, Setting
from offset_autoencoder.errors import InputError
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.evaluation.summary import sweep_label
from offset_autoencoder.io.files import read_json
from offset_autoencoder.reporting.intervals import with_power

Row = Mapping[str, str]
NAN = float("nan")


@dataclass(frozen=True)
class Source:
    """The tables under ``reports/``, cells as they stand in the files.

    Attributes:
        params: params.yaml, validated.
        runs: ``runs.csv``.
        comparison: ``comparison.csv``.
        verdicts: ``verdicts.csv``.
        probes: ``probes.csv``.
        metrics: ``metrics.json``.
        plots: The files of ``plots/`` by their stem; one that is not there has no rows.
    """

    params: Params
    runs: Sequence[Row]
    comparison: Sequence[Row]
    verdicts: Sequence[Row]
    probes: Sequence[Row]
    metrics: Mapping[str, Any]
    plots: Mapping[str, Sequence[Row]]

    @functools.cached_property
    def names(self) -> dict[str, str]:
        """What each setting is called on the page, by its label: its power is said too."""
        return {setting.label: with_power(setting) for setting in self.params.settings}

    def labels(self, rows: Sequence[Row]) -> list[str]:
        """The label of each row's setting.

        Raises:
            InputError: where a row is of no setting of params.yaml.
        """
        for row in rows:
            if row["setting"] not in self.names:
                raise InputError(
                    "reports", f"a row of {row['model']} is of no setting", "run dvc repro"
                )
        return [row["setting"] for row in rows]

    def estimate(self, setting: Setting, column: str) -> Estimate:
        """A metric of ``metrics.json``; NaN where it is not there."""
        leaf = self.metrics.get(setting.model, {})
        if setting.sweep:
            leaf = leaf.get(sweep_label(setting), {})
        node = leaf.get(column) or {}
        mean, low, high = (_float(node.get(key)) for key in ("mean", "low", "high"))
        return Estimate(mean, NAN, low, high, int(node.get("runs") or 0))


PLOTS = (
    "learning_curves",
    "comparison",
    "settings",
    "interventions",
    "robustness",
    "offset_scales",
    "codes",
)


def read_source(folder: Path, params: Params) -> Source:
    """Read the tables of ``reports/``.

    Args:
        folder: ``reports/``.
        params: The params that they were made for.

    Raises:
        InputError: where a file is missing or is no table.
    """
    plots = {name: folder / "plots" / f"{name}.csv" for name in PLOTS}
    return Source(
        params=params,
        runs=read_csv(folder / "runs.csv"),
        comparison=read_csv(folder / "comparison.csv"),
        verdicts=read_csv(folder / "verdicts.csv"),
        probes=read_csv(folder / "probes.csv"),
        metrics=read_json(folder / "metrics.json"),
        plots={name: read_csv(path) if path.exists() else [] for name, path in plots.items()},
    )


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a table, every cell as text; an empty cell is an empty text.

    Raises:
        InputError: where the file is missing or is no table.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream, restval=""))
    except FileNotFoundError:
        raise InputError(str(path), "no such file", "run dvc repro") from None
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise InputError(str(path), f"is not a table: {error}", "run dvc repro") from None
    if any(None in row for row in rows):
        raise InputError(str(path), "a row has more cells than the header", "run dvc repro")
    return rows


def number(row: Row, column: str) -> float:
    """A cell as a number; NaN where it is empty, missing or a word."""
    return _float(row.get(column))


def estimate(row: Row, mean: str, low: str | None = None, high: str | None = None) -> Estimate:
    """A mean and its interval from the cells ``mean``, ``mean_low`` and ``mean_high``.

    Args:
        row: The row.
        mean: The mean's column.
        low: That of the lower end, where it is called something else.
        high: That of the upper end.
    """
    ends = (number(row, low or f"{mean}_low"), number(row, high or f"{mean}_high"))
    return Estimate(number(row, mean), NAN, *ends, 0)


def _float(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return NAN
