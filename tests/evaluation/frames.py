"""Runs of made-up experiments as data frames, which tests can cut and change, and as rows."""

from __future__ import annotations

import math

import pandas as pd

from offset_autoencoder.config import Params
from offset_autoencoder.evaluation.summary import RunRow

_OTHERS = frozenset({"id", "model", "setting", "seed", "status"})


def run_rows(params: Params, frame: pd.DataFrame) -> list[RunRow]:
    """The rows of a frame with a column ``setting``; what is not a number is no metric."""
    runs = {(run.setting.label, run.seed): run for run in params.runs}
    swept = {key for setting in params.settings for key, _ in setting.sweep}
    metrics = [column for column in frame.columns if column not in swept | _OTHERS]
    return [
        RunRow(
            str(row["id"]),
            runs[row["setting"], row["seed"]],
            row["status"],
            {name: row[name] for name in metrics if not math.isnan(row[name])},
        )
        for row in frame.to_dict("records")
    ]
