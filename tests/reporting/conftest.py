from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from offset_autoencoder.config import Params, Setting, parse_params
from offset_autoencoder.evaluation.comparison import Comparison, compare
from offset_autoencoder.evaluation.runs_table import sweep_cells, sweep_keys
from offset_autoencoder.evaluation.summary import SettingSummary, summarise

EFFECTS = {"gaussian": 0.02, "frozen": 0.0, "pca": -0.02, "class_code": -0.01}


@dataclass(frozen=True)
class Report:
    params: Params
    runs: pd.DataFrame
    summaries: list[SettingSummary]
    comparisons: list[Comparison]
    histories: list[tuple[Setting, list[NDArray[np.float64]]]]


def _make_report(
    seeds: int = 10, scale: float = 1.0, diverged: bool = False, **sections: Any
) -> Report:
    """An experiment of the default shape with made-up values: a report's whole input."""
    powers = [0.05, 0.1, 0.2]
    offset = {"frozen": "hash", "pca": "pca", "class_code": "class_code"}
    document: dict[str, Any] = {
        "seeds": seeds,
        "data": {},
        "split": {},
        "offsets": {"none": {"kind": "zero"}, **{k: {"kind": v} for k, v in offset.items()}},
        "network": {},
        "train": {},
        "models": {
            "none": {"offset": "none"},
            "gaussian": {"offset": "none", "stddev": powers},
            **{name: {"offset": name, "rms": powers} for name in offset},
        },
        "evaluate": {},
        "tracking": {},
    }
    params = parse_params({**document, **sections})
    keys = sweep_keys(params.settings)
    rows, histories = [], []
    for index, setting in enumerate(params.settings):
        losses = []
        for seed in params.seeds:
            rng = np.random.default_rng([seed, index])
            power = setting.spec.rms or setting.spec.stddev
            mse = 0.02 + np.random.default_rng(seed).normal(0, 1e-3) + rng.normal(0, 2e-4)
            mse += EFFECTS.get(setting.model, 0.0) * power
            cells = {"model": setting.model, **sweep_cells(setting, keys), "seed": seed}
            rows.append({**cells, "status": "finished", "mse": mse * scale})
            epochs = np.arange(1, rng.integers(60, 150))
            losses.append(0.3 + np.exp(-epochs / 9) + rng.normal(0, 0.01, size=len(epochs)))
        histories.append((setting, losses))
    runs = pd.DataFrame(rows)
    gone = (runs["model"] == "pca") & (runs.get("rms") == 0.2) & (runs["seed"] == 3)
    runs.loc[gone, "status"] = "diverged"
    runs.loc[gone, "mse"] = np.nan
    if diverged:
        runs = runs.drop(columns="mse").assign(status="diverged")
    comparisons = compare(
        runs,
        params.settings,
        baselines=params.evaluate.baselines,
        metric="mse",
        confidence=0.95,
    )
    summaries = summarise(runs, params.settings, "mse", 0.95)
    return Report(params, runs, summaries, comparisons, histories)


@pytest.fixture(scope="session")
def make_report() -> Callable[..., Report]:
    """Reports of so many seeds, values of so much size, with sections of params given anew."""
    return _make_report


@pytest.fixture(scope="session")
def report() -> Report:
    """A report of ten seeds in which one run diverged."""
    return _make_report()
