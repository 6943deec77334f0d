from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from offset_autoencoder.config import Params
from offset_autoencoder.evaluation.summary import best_of_each_model, metrics_tree, summarise
from offset_autoencoder.files import read_json, write_json

MakeParams = Callable[..., Params]
MakeRuns = Callable[..., pd.DataFrame]


def test_tree_is_by_model_and_swept_values_and_is_json(
    make_params: MakeParams, make_runs: MakeRuns, tmp_path: Path
) -> None:
    params = make_params()
    runs = make_runs(params, {"frozen rms=0.1": 0.5})
    gone = (runs["rms"] == 0.1) & (runs["seed"] < 2)
    runs.loc[gone, "status"] = "diverged"
    runs.loc[gone, "mse"] = np.nan
    tree = metrics_tree(runs, params.settings, metric="mse", confidence=0.95)
    write_json(tmp_path / "metrics.json", tree)
    assert read_json(tmp_path / "metrics.json") == tree
    assert set(tree) == {"none", "gaussian", "frozen"}
    assert set(tree["gaussian"]) == {"stddev=0.1", "stddev=0.2"}
    leaf = tree["frozen"]["rms=0.1"]
    kept = runs[(runs["rms"] == 0.1) & (runs["seed"] >= 2)]["mse"]
    assert leaf["mse"]["mean"] == pytest.approx(kept.mean())
    assert leaf["mse"]["std"] == pytest.approx(kept.std())
    assert (leaf["mse"]["runs"], leaf["diverged"]) == (8, 2)
    assert tree["none"]["mse"]["runs"] == 10
    assert "diverged" not in tree["none"]
    assert set(tree["none"]) == {"mse", "psnr", "mse_own", "mse_clean"}


def test_one_seed_and_infinite_values_are_null(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    params = make_params(seeds=1)
    runs = make_runs(params, {})
    runs["psnr"] = np.inf
    leaf = metrics_tree(runs, params.settings, metric="mse", confidence=0.95)["none"]
    assert leaf["mse"]["mean"] is not None
    assert [leaf["mse"][name] for name in ("std", "low", "high")] == [None] * 3
    assert leaf["psnr"]["mean"] is None


def test_the_best_setting_of_each_model(make_params: MakeParams, make_runs: MakeRuns) -> None:
    params = make_params()
    runs = make_runs(params, {"gaussian stddev=0.2": -1, "frozen rms=0.2": 1})
    low = best_of_each_model(summarise(runs, params.settings, "mse", 0.95))
    expected = ["none", "gaussian stddev=0.2", "frozen rms=0.1"]
    assert [summary.setting.label for summary in low] == expected
    high = best_of_each_model(summarise(runs, params.settings, "psnr", 0.95))
    assert [summary.setting.label for summary in high] == expected
    runs.loc[runs["model"] == "none", "status"] = "diverged"
    assert len(best_of_each_model(summarise(runs, params.settings, "mse", 0.95))) == 2
