from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from offset_autoencoder.config import Params
from offset_autoencoder.evaluation import runs_table

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
def test_every_kind_of_swept_value_finds_its_rows_also_from_csv(
    make_params: MakeParams, make_runs: MakeRuns, swept: dict[str, Any]
) -> None:
    models = {"none": {"offset": "none"}, "own": {"offset": "none", **swept}}
    params = make_params(models=models, seeds=[4, 2])
    runs = make_runs(params, {})
    read = pd.read_csv(io.StringIO(runs.to_csv(index=False)))
    for table in (runs, read):
        for setting in params.settings:
            rows = runs_table.rows_of(table, setting)
            assert list(rows["seed"]) == [2, 4]
            if len(params.settings) < 4:
                assert set(rows["id"]) == {f"{setting.label}-{seed}" for seed in (2, 4)}


def test_columns_of_metrics_are_those_with_values(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    runs = make_runs(make_params(), {})
    assert runs_table.metric_columns(runs, "mse") == ("mse", "psnr", "mse_own", "mse_clean")
    assert runs_table.metric_columns(runs, "psnr") == ("mse", "psnr")
    runs["psnr"] = float("nan")
    assert "psnr" not in runs_table.metric_columns(runs, "mse")
