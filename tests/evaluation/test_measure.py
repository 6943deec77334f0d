from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.config.schema import Network
from offset_autoencoder.evaluation.measure import (
    RunOnTest,
    added_to_code,
    measure,
    metric_names,
    reconstruct_as_deployed,
    rows_of_runs,
)
from offset_autoencoder.training.population import build_model
from offset_autoencoder.training.run_store import IndexedRun

N, D, L = 40, 6, 3
RNG = np.random.default_rng(0)
X = RNG.random((N, D), dtype=np.float32)
TABLE = RNG.normal(size=(N, L)).astype(np.float32)
SIGMOID = Network(latent_dim=L, hidden=[5])
LINEAR = Network(latent_dim=L, hidden=[5], output="linear", loss="mean_squared_error")


def run(
    network: Network = SIGMOID, seed: int = 0, factor: float = 0.0, stddev: float = 0.0
) -> RunOnTest:
    return RunOnTest(
        network=network,
        seed=seed,
        weights=build_model(network, D, seed).get_weights(),
        offset=TABLE * np.float32(factor),
        stddev=stddev,
    )


RUNS = {
    "none": run(),
    "offset": run(factor=0.5),
    "noise": run(stddev=0.3),
    "both": run(factor=0.5, stddev=0.3),
    "both 1": run(seed=1, factor=0.5, stddev=0.3),
    "linear": run(LINEAR, factor=0.5),
}


def measured_again(runs: dict[str, RunOnTest], **options: Any) -> dict[str, dict[str, float]]:
    return measure(runs, X, **{"data_range": (0.0, 1.0), "noise_seed": 7, **options})


@pytest.fixture(scope="module")
def told() -> list[tuple[int, int]]:
    return []


@pytest.fixture(scope="module")
def measured(told: list[tuple[int, int]]) -> dict[str, dict[str, float]]:
    return measured_again(RUNS, on_reconstruction=lambda done, of: told.append((done, of)))


def by_keras(run: RunOnTest, added: Any) -> dict[str, float]:
    """The metrics from the Keras model's output and their definitions, in plain numpy."""
    model = build_model(run.network, D)
    model.set_weights(run.weights)
    out = np.asarray(model({"x": X, "offset": added}), np.float64)
    x = X.astype(np.float64)
    error = sum((a - b) ** 2 for a, b in zip(out.ravel(), x.ravel(), strict=True)) / x.size
    found = {
        "mse": error,
        "mae": np.linalg.norm((out - x).ravel(), 1) / x.size,
        "psnr": -10 * np.log10(error),
        "explained_variance": 1 - error / x.var(axis=0).mean(),
    }
    if run.network.output == "sigmoid":
        likelihood = np.where(x > 0, out**x, 1) * np.where(x < 1, (1 - out) ** (1 - x), 1)
        found["binary_crossentropy"] = -np.log(likelihood).mean()
    return found


@pytest.mark.parametrize("name", RUNS)
def test_every_metric_under_every_condition_is_what_keras_gives(
    name: str, measured: dict[str, dict[str, float]]
) -> None:
    one = RUNS[name]
    draws = np.random.default_rng(np.random.SeedSequence(7, spawn_key=(one.seed,)))
    noise = draws.standard_normal((N, L), dtype=np.float32) * np.float32(one.stddev)
    expected = {
        f"{metric}{suffix}": value
        for suffix, added in (
            ("", one.offset),
            ("_own", one.offset + noise),
            ("_clean", np.zeros((N, L), np.float32)),
        )
        for metric, value in by_keras(one, added).items()
    }
    assert measured[name].keys() == expected.keys()
    for column, value in expected.items():
        assert measured[name][column] == pytest.approx(value, rel=1e-5), column


def test_what_a_run_does_not_have_changes_nothing(measured: dict[str, dict[str, float]]) -> None:
    none, offset, noise = (measured[name] for name in ("none", "offset", "noise"))
    assert none["mse"] == none["mse_own"] == none["mse_clean"]
    assert offset["mse"] == offset["mse_own"] != offset["mse_clean"]
    assert noise["mse"] == noise["mse_clean"] != noise["mse_own"]
    assert none["mse"] == offset["mse_clean"] == noise["mse"]  # the same weights


def test_a_run_does_not_depend_on_its_company(measured: dict[str, dict[str, float]]) -> None:
    assert measured_again({"both": RUNS["both"]})["both"] == measured["both"]


def test_progress_counts_only_what_is_reconstructed(
    measured: dict[str, dict[str, float]], told: list[tuple[int, int]]
) -> None:
    # none once; offset, noise, linear twice; both three times each.
    assert told == [(done, 1 + 3 * 2 + 2 * 3) for done in range(1, 14)]


def test_the_noise_is_that_of_the_seed() -> None:
    one, other = RUNS["both"], RUNS["both 1"]
    first = added_to_code(one, "_own", 7)
    np.testing.assert_array_equal(first, added_to_code(one, "_own", 7))
    stronger = dataclasses.replace(one, stddev=0.6)
    np.testing.assert_allclose(
        added_to_code(stronger, "_own", 7) - one.offset, 2 * (first - one.offset), atol=1e-5
    )
    assert not np.array_equal(first, added_to_code(one, "_own", 8))
    assert not np.array_equal(first, added_to_code(other, "_own", 7))
    np.testing.assert_array_equal(added_to_code(one, "", 7), one.offset)
    np.testing.assert_array_equal(added_to_code(one, "_clean", 7), np.zeros((N, L)))


def test_the_noise_has_the_power_it_was_trained_with() -> None:
    wide = dataclasses.replace(RUNS["noise"], offset=np.zeros((20_000, 4), np.float32))
    noise = added_to_code(wide, "_own", 0)
    np.testing.assert_allclose([noise.mean(), noise.std()], [0, 0.3], atol=5e-3)


def test_without_a_known_range_there_is_no_psnr() -> None:
    (metrics,) = measured_again({"none": RUNS["none"]}, data_range=None).values()
    assert "psnr" not in metrics
    assert "binary_crossentropy" in metrics


def test_beyond_the_unit_range_there_is_no_cross_entropy() -> None:
    (metrics,) = measure({"none": RUNS["none"]}, X * 2, data_range=(0, 2), noise_seed=0).values()
    assert {name.partition("_")[0] for name in metrics} == {"mse", "mae", "psnr", "explained"}


def test_the_columns_are_those_of_all_runs(measured: dict[str, dict[str, float]]) -> None:
    names = metric_names({name: measured[name] for name in ("linear", "none")})
    metrics = ["mse", "mae", "binary_crossentropy", "psnr", "explained_variance"]
    assert names == [f"{name}{suffix}" for name in metrics for suffix in ("", "_own", "_clean")]
    assert "binary_crossentropy" not in metric_names({"linear": measured["linear"]})
    assert metric_names({}) == []


def test_as_deployed_is_the_runs_own_offset() -> None:
    outputs = reconstruct_as_deployed({name: RUNS[name] for name in ("linear", "both")}, X)
    assert outputs.keys() == {"linear", "both"}
    for name, output in outputs.items():
        model = build_model(RUNS[name].network, D)
        model.set_weights(RUNS[name].weights)
        expected = model.predict({"x": X, "offset": RUNS[name].offset}, verbose=0)
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)


def test_a_run_that_diverged_has_no_metrics() -> None:
    index = [
        IndexedRun("m", {"stddev": "0.1"}, 0, "a", "finished"),
        IndexedRun("m", {"stddev": "0.1"}, 1, "b", "diverged"),
    ]
    rows = rows_of_runs(index, {"a": {"mse": 0.5}}, [{"stddev": 0.1}] * 2)
    assert rows == [
        {"id": "a", "model": "m", "stddev": 0.1, "seed": 0, "status": "finished", "mse": 0.5},
        {"id": "b", "model": "m", "stddev": 0.1, "seed": 1, "status": "diverged"},
    ]
    assert measured_again({}) == {}
