from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from tests.evaluation.frames import run_rows

from offset_autoencoder.config import Params
from offset_autoencoder.evaluation.summary import (
    RunRow,
    metric_columns,
    rows_by_setting,
    runs_table,
)

MakeParams = Callable[..., Params]
MakeRuns = Callable[..., pd.DataFrame]


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
    named = ["id", "model", "setting", "stddev", "rms", "seed", "status"]

    def columns(*metrics: dict[str, float]) -> list[str]:
        rows = [RunRow("a", params.runs[0], "finished", item) for item in metrics]
        found, _ = runs_table(rows, params.settings)
        assert found[:7] == named
        return found[7:]

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
    rows = [RunRow("a", runs[0], "finished", {"mse": 0.5}), RunRow("b", runs[1], "diverged")]
    named = {"model": "m", "setting": "m stddev=0.1", "stddev": 0.1}
    assert runs_table(rows, params.settings)[1] == [
        {"id": "a", **named, "seed": 0, "status": "finished", "mse": 0.5},
        {"id": "b", **named, "seed": 1, "status": "diverged"},
    ]
