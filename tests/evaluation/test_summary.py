from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.frames import run_rows

from offset_autoencoder.config import Params
from offset_autoencoder.evaluation.statistics import Design, mean_and_interval, two_way_interval
from offset_autoencoder.evaluation.summary import (
    RunRow,
    at_one_rms,
    best_so_far,
    learning_curves,
    metric_columns,
    metrics_tree,
    rows_by_setting,
    runs_table,
    setting_cells,
    shown_epochs,
    summarise,
    summarise_bounds,
    summarise_generalization_gaps,
    sweep_keys,
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
    tree = metrics_tree(run_rows(params, runs), params.settings, metric="mse")
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


def test_where_one_split_is_used_the_metric_has_an_interval_over_samples_too(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    params = make_params(seeds=3)
    spread = np.linspace(-0.04, 0.04, 25, dtype=np.float32)
    rows = [
        dataclasses.replace(row, sample_errors=np.float32(row.metrics["mse"]) + spread)
        for row in run_rows(params, make_runs(params, {}))
    ]
    common: dict[str, Any] = {"metric": "mse"}
    leaf = metrics_tree(rows, params.settings, **common)["none"]
    expected = two_way_interval(np.array([row.sample_errors for row in rows[:3]]), 0.95)
    assert leaf["mse"]["two_way_low"] == pytest.approx(expected.low)
    assert leaf["mse"]["two_way_high"] == pytest.approx(expected.high)
    assert leaf["mse"]["two_way_low"] < leaf["mse"]["low"]
    assert set(leaf["psnr"]) == {"mean", "low", "high"}
    varies = metrics_tree(rows, params.settings, **common, design=Design(varies=True, overlap=1.0))
    assert set(varies["none"]["mse"]) == {"mean", "low", "high"}
    half = [tree["mse"]["high"] - tree["mse"]["mean"] for tree in (leaf, varies["none"])]
    assert half[1] == pytest.approx(2 * half[0])  # √(1/3 + 1) is twice √(1/3)
    one = metrics_tree(rows[:1], params.settings, **common)["none"]["mse"]
    assert (one["two_way_low"], one["low"]) == (None, None)


def test_one_seed_and_infinite_values_are_null(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    params = make_params(seeds=1)
    runs = make_runs(params, {})
    runs["psnr"] = np.inf
    leaf = metrics_tree(run_rows(params, runs), params.settings, metric="mse")["none"]
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
    tree = metrics_tree(run_rows(params, runs), params.settings, metric="mse")
    assert set(tree["gaussian"]["stddev=0.1"]) == {"mse", "mse_as_trained", "mse_clean"}
    assert tree["none"] == {"diverged": 10}


def test_bounds_are_of_those_who_have_them(make_params: MakeParams, make_runs: MakeRuns) -> None:
    models = {"none": {"offset": "none"}, "vae": {"system": "vae"}}
    params = make_params(models=models)
    runs = make_runs(params, {})
    assert summarise_bounds(run_rows(params, runs), params.settings) == []
    of_vae = runs["model"] == "vae"
    for index, name in enumerate(("elbo", "nll", "kl")):
        runs.loc[of_vae, name] = index + np.arange(10.0)
    bounds = summarise_bounds(run_rows(params, runs), params.settings)
    found = [(bound.setting.label, bound.metric, bound.estimate.mean) for bound in bounds]
    assert found == [("vae", "elbo", 4.5), ("vae", "nll", 5.5), ("vae", "kl", 6.5)]
    tree = metrics_tree(run_rows(params, runs), params.settings, metric="mse")
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
    chosen = at_one_rms(summarise(run_rows(params, runs), params.settings, "mse"))
    assert [summary.setting.label for summary in chosen] == [
        "none",
        "gaussian stddev=0.1",
        "frozen rms=0.2",
        "pca",
        "rates rms=0.1 learning_rate=0.001",
    ]
    runs.loc[runs["model"] == "none", "status"] = "diverged"
    assert len(at_one_rms(summarise(run_rows(params, runs), params.settings, "mse"))) == 4
    plain = make_params(models={"none": {"offset": "none", "learning_rate": [1e-3, 1e-2]}})
    summaries = summarise(run_rows(plain, make_runs(plain, {})), plain.settings, "mse")
    assert [one.setting.label for one in at_one_rms(summaries)] == ["none learning_rate=0.001"]


@pytest.mark.parametrize(
    "swept",
    [
        {"stddev": [0.1, 0.1234567, 0.12345678]},
        {"latent_dim": [8, 16]},
        {"hidden": [[64], [64, 32], []]},
        {"patience": [None, 5]},
        {"normalize": [True, False]},
        {"optimizer": ["adam", "sgd"], "batch_size": [16, 32]},
    ],
)
def test_every_kind_of_swept_value_has_its_rows_by_ascending_seed(
    make_params: MakeParams, make_runs: MakeRuns, swept: dict[str, Any]
) -> None:
    models = {"none": {"offset": "none"}, "own": {"offset": "none", **swept}}
    params = make_params(models=models, seeds=[4, 2])
    groups = rows_by_setting(run_rows(params, make_runs(params, {})), params.settings)
    assert [setting for setting, _ in groups] == list(params.settings)
    for setting, rows in groups:
        assert [row.id for row in rows] == [f"{setting.label}-{seed}" for seed in (2, 4)]


def test_columns_of_metrics_are_those_with_values(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    params = make_params()
    runs = make_runs(params, {})
    rows = run_rows(params, runs)
    assert metric_columns(rows, "mse") == ("mse", "psnr", "mse_as_trained", "mse_clean")
    assert metric_columns(rows, "psnr") == ("mse", "psnr")
    runs["psnr"] = float("nan")
    assert "psnr" not in metric_columns(run_rows(params, runs), "mse")


def test_the_columns_are_those_of_all_runs(make_params: MakeParams) -> None:
    params = make_params()
    named = ["id", "model", "setting", "stddev", "rms", "seed", "engine", "status"]

    def columns(*metrics: dict[str, float]) -> list[str]:
        rows = [RunRow("a", params.runs[0], "finished", item) for item in metrics]
        found, _ = runs_table(rows, params.settings)
        assert found[:8] == named
        return found[8:]

    linear = {"mse_clean": 1.0, "mse": 0.1, "trainable_parameters": 5}
    assert columns(linear) == ["mse", "mse_clean", "trainable_parameters"]
    assert columns(linear, {"binary_crossentropy": 0.2, "mse": 0.1, "elbo": -1.0}) == [
        "mse",
        "mse_clean",
        "binary_crossentropy",
        "trainable_parameters",
        "elbo",
    ]
    assert columns({}) == columns() == []


def test_a_run_that_diverged_has_no_metrics(make_params: MakeParams) -> None:
    params = make_params(models={"none": {"offset": "none"}, "m": {"stddev": [0.1, 0.2]}}, seeds=2)
    runs = [run for run in params.runs if run.setting.label == "m stddev=0.1"]
    rows = [
        RunRow("a", runs[0], "finished", {"mse": 0.5}),
        RunRow("b", runs[1], "diverged", engine="keras"),
    ]
    named = {"model": "m", "setting": "m stddev=0.1", "stddev": 0.1}
    assert runs_table(rows, params.settings)[1] == [
        {"id": "a", **named, "seed": 0, "status": "finished", "engine": None, "mse": 0.5},
        {"id": "b", **named, "seed": 1, "status": "diverged", "engine": "keras"},
    ]


@given(st.lists(st.floats(0, 9), min_size=1, max_size=20), st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_best_so_far_is_the_loss_of_the_weights_that_are_kept(
    losses: list[float], epochs: int
) -> None:
    best = best_so_far(np.array(losses), epochs)
    assert best.tolist() == [min(losses[: epoch + 1]) for epoch in range(epochs)]


def test_a_run_without_an_epoch_is_refused() -> None:
    with pytest.raises(ValueError, match="epoch"):
        best_so_far(np.array([]), 3)


@given(st.integers(1, 100_000))
@settings(max_examples=40, deadline=None)
def test_shown_epochs_are_few_and_reach_both_ends(last: int) -> None:
    epochs = shown_epochs(last)
    assert (epochs[0], epochs[-1]) == (1, last)
    assert len(epochs) <= 100
    assert np.all(np.diff(epochs) > 0)
    if last <= 100:
        assert len(epochs) == last


def test_stopped_runs_stay_in_the_mean(make_params: MakeParams) -> None:
    losses = [np.array([3.0, 1.0, 2.0]), np.array([4.0, 3.0, 3.0, 2.0, 1.0])]
    (curve,) = learning_curves(zip(make_params().runs, losses, strict=False))
    assert curve.epochs.tolist() == [1, 2, 3, 4, 5]
    assert curve.mean.tolist() == [3.5, 2.0, 2.0, 1.5, 1.0]
    assert curve.runs == 2
    assert np.all(curve.low[:4] < curve.mean[:4])
    assert curve.low[4] == curve.high[4] == 1.0


@pytest.mark.parametrize(("metric", "sign"), [("mse", 1), ("explained_variance", -1)])
def test_gaps_are_paired_by_seed_and_above_zero_where_training_is_better(
    metric: str, sign: int, make_params: MakeParams
) -> None:
    params = make_params()
    pairs = [
        (run, (0.01 * (1 + run.seed), 0.015 * (1 + run.seed)))
        for run in params.runs
        if run.seed != 4
    ]
    summaries = summarise_generalization_gaps(pairs, metric=metric)
    assert [item.setting for item in summaries] == list(params.settings)
    train = np.array([0.01 * (1 + seed) for seed in range(10) if seed != 4])
    for item in summaries:
        assert item.train == mean_and_interval(train, 0.95)
        assert item.gap.mean == pytest.approx(sign * train.mean() / 2)
        assert item.gap.half == pytest.approx(item.train.half / 2)
        if metric == "mse":
            assert item.relative.mean == pytest.approx(0.5)
            assert item.relative.half == pytest.approx(0, abs=1e-12)


def test_rms_and_stddev_are_there_where_they_are_not_swept(
    make_params: Callable[..., Params],
) -> None:
    models = {
        "none": {"offset": "none"},
        "gaussian": {"offset": "none", "stddev": 0.2},
        "frozen": {"offset": "frozen", "rms": 0.1, "stddev": 0.05},
        "pca": {"offset": "pca", "rms": [0.1, 0.2], "latent_dim": [4, 8]},
    }
    every = make_params(models=models).settings
    keys = sweep_keys(every)
    assert keys == ("rms", "latent_dim", "stddev")
    cells = [tuple(setting_cells(setting, keys)[key] for key in keys) for setting in every]
    dim = every[0].network.latent_dim
    assert cells[:3] == [(None, dim, None), (None, dim, 0.2), (0.1, dim, 0.05)]
    assert cells[3:] == [(0.1, 4, None), (0.1, 8, None), (0.2, 4, None), (0.2, 8, None)]
    scalars = make_params(models={name: models[name] for name in ("none", "gaussian", "frozen")})
    assert sweep_keys(scalars.settings) == ("rms", "stddev")
