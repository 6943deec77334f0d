from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.evaluation.frames import run_rows

from offset_autoencoder.config import Params
from offset_autoencoder.evaluation.summary import (
    at_one_rms,
    metrics_tree,
    summarise,
    summarise_bounds,
)
from offset_autoencoder.io.files import read_json, write_json

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
    tree = metrics_tree(run_rows(params, runs), params.settings, metric="mse", confidence=0.95)
    write_json(tmp_path / "metrics.json", tree)
    assert read_json(tmp_path / "metrics.json") == tree
    assert set(tree) == {"none", "gaussian", "frozen"}
    assert set(tree["gaussian"]) == {"stddev=0.1", "stddev=0.2"}
    leaf = tree["frozen"]["rms=0.1"]
    kept = runs[(runs["rms"] == 0.1) & (runs["seed"] >= 2)]["mse"]
    assert leaf["mse"]["mean"] == pytest.approx(kept.mean())
    assert leaf["mse"]["low"] < leaf["mse"]["mean"] < leaf["mse"]["high"]
    assert (leaf["mse"]["runs"], leaf["diverged"]) == (8, 2)
    assert set(tree["none"]["mse"]) == {"mean", "low", "high"}
    assert "diverged" not in tree["none"]
    assert set(tree["none"]) == {"mse", "psnr", "mse_as_trained", "mse_clean"}


def test_one_seed_and_infinite_values_are_null(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    params = make_params(seeds=1)
    runs = make_runs(params, {})
    runs["psnr"] = np.inf
    leaf = metrics_tree(run_rows(params, runs), params.settings, metric="mse", confidence=0.95)[
        "none"
    ]
    assert leaf["mse"]["mean"] is not None
    assert [leaf["mse"][name] for name in ("low", "high")] == [None] * 2
    assert leaf["psnr"]["mean"] is None


def test_a_metric_that_a_setting_does_not_have_is_left_out(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    params = make_params()
    runs = make_runs(params, {})
    runs.loc[runs["model"] == "gaussian", "psnr"] = np.nan
    gone = runs["model"] == "none"
    runs.loc[gone, "status"] = "diverged"
    runs.loc[gone, ["mse", "psnr", "mse_as_trained", "mse_clean"]] = np.nan
    tree = metrics_tree(run_rows(params, runs), params.settings, metric="mse", confidence=0.95)
    assert set(tree["gaussian"]["stddev=0.1"]) == {"mse", "mse_as_trained", "mse_clean"}
    assert tree["none"] == {"diverged": 10}


def test_bounds_are_of_those_who_have_them(make_params: MakeParams, make_runs: MakeRuns) -> None:
    models = {"none": {"offset": "none"}, "vae": {"system": "vae"}}
    params = make_params(models=models)
    runs = make_runs(params, {})
    assert summarise_bounds(run_rows(params, runs), params.settings, 0.95) == []
    of_vae = runs["model"] == "vae"
    for index, name in enumerate(("elbo", "nll", "kl")):
        runs.loc[of_vae, name] = index + np.arange(10.0)
    bounds = summarise_bounds(run_rows(params, runs), params.settings, 0.95)
    found = [(bound.setting.label, bound.metric, bound.estimate.mean) for bound in bounds]
    assert found == [("vae", "elbo", 4.5), ("vae", "nll", 5.5), ("vae", "kl", 6.5)]
    tree = metrics_tree(run_rows(params, runs), params.settings, metric="mse", confidence=0.95)
    assert tree["vae"]["kl"]["mean"] == 6.5
    assert "kl" not in tree["none"]


def test_one_setting_a_model_all_at_the_middle_power(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    """Whatever does best; a model that lacks the power is shown at the nearest."""
    powers = [0.05, 0.1, 0.2]
    params = make_params(
        models={
            "none": {"offset": "none"},
            "gaussian": {"offset": "none", "stddev": powers},
            "frozen": {"offset": "frozen", "rms": [0.2, 0.02]},
            "pca": {"offset": "pca", "rms": 0.7},
            "rates": {"offset": "pca", "rms": powers, "learning_rate": [1e-3, 1e-2]},
        }
    )
    runs = make_runs(params, {"gaussian stddev=0.2": -1, "rates rms=0.05 learning_rate=0.01": -1})
    chosen = at_one_rms(summarise(run_rows(params, runs), params.settings, "mse", 0.95))
    assert [summary.setting.label for summary in chosen] == [
        "none",
        "gaussian stddev=0.1",
        "frozen rms=0.2",
        "pca",
        "rates rms=0.1 learning_rate=0.001",
    ]
    runs.loc[runs["model"] == "none", "status"] = "diverged"
    assert len(at_one_rms(summarise(run_rows(params, runs), params.settings, "mse", 0.95))) == 4
    plain = make_params(models={"none": {"offset": "none", "learning_rate": [1e-3, 1e-2]}})
    summaries = summarise(run_rows(plain, make_runs(plain, {})), plain.settings, "mse", 0.95)
    assert [one.setting.label for one in at_one_rms(summaries)] == ["none learning_rate=0.001"]
