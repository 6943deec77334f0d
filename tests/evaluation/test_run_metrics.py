from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.config.schema import Evaluate, Network
from offset_autoencoder.config.systems import NoiseRange
from offset_autoencoder.evaluation.decoding import SplitInference
from offset_autoencoder.evaluation.metrics import Domain
from offset_autoencoder.evaluation.run_metrics import as_trained, domain_of, run_metrics
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.models.inference import Encoded
from offset_autoencoder.runs.load import FinishedRun, open_runs

N, D, L = 40, 6, 3
RNG = np.random.default_rng(0)
X = RNG.random((N, D), dtype=np.float32)
TABLE = RNG.normal(size=(N, L)).astype(np.float32)
NETWORK = Network(latent_dim=L, hidden=[5])
SIGMOID = Architecture(network=NETWORK, input_dim=D)
LINEAR = Architecture(
    network=Network(latent_dim=L, hidden=[5], output="linear", loss="mean_squared_error"),
    input_dim=D,
)
CONCATENATE = Architecture(system="concatenate", network=NETWORK, input_dim=D)
VAE = Architecture(system="vae", network=NETWORK, input_dim=D)
SECOND = Architecture(system="two_encoder", network=NETWORK, input_dim=D, second_rms=0.4)


@dataclasses.dataclass(frozen=True)
class Case:
    architecture: Architecture = SIGMOID
    seed: int = 0
    factor: float = 0.0
    stddev: float = 0.0

    @property
    def run(self) -> FinishedRun:
        model = build_model(self.architecture, self.seed)
        weights = {weight.path: np.asarray(weight) for weight in model.weights}
        return FinishedRun(self.architecture, self.seed, weights, self.stddev)

    @property
    def offset(self) -> Any:
        return TABLE * np.float32(self.factor)


CASES = {
    "none": Case(),
    "offset": Case(factor=0.5),
    "noise": Case(stddev=0.3),
    "both": Case(factor=0.5, stddev=0.3),
    "both 1": Case(seed=1, factor=0.5, stddev=0.3),
    "linear": Case(LINEAR, factor=0.5),
    "concatenate": Case(CONCATENATE, factor=0.5, stddev=0.3),
    "vae": Case(VAE, factor=0.5),
    "second": Case(SECOND, stddev=0.3),
}


def measured_again(
    cases: dict[str, Case], data_range: tuple[float, float] | None = (0.0, 1.0)
) -> dict[str, dict[str, float]]:
    samples = Domain.of(X, data_range)
    found = {}
    runs = {name: case.run for name, case in cases.items()}
    for name, opened in open_runs(runs):
        split = SplitInference(opened, X, cases[name].offset.__getitem__)
        domain = domain_of(runs[name], samples)
        found[name] = run_metrics(runs[name], split, domain, EVALUATE).columns
    return found


EVALUATE = Evaluate(seed=7)


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, float]]:
    return measured_again(CASES)


def draws(seed: int) -> Any:
    rng = np.random.default_rng(np.random.SeedSequence(7, spawn_key=(seed,)))
    return rng.standard_normal((N, L), dtype=np.float32)


def metrics_by_hand(out: Any, *, cross_entropy: bool) -> dict[str, float]:
    """The metrics from their definitions, in plain NumPy."""
    out, x = np.asarray(out, np.float64), X.astype(np.float64)
    error = sum((a - b) ** 2 for a, b in zip(out.ravel(), x.ravel(), strict=True)) / x.size
    found = {
        "mse": error,
        "mae": np.linalg.norm((out - x).ravel(), 1) / x.size,
        "psnr": -10 * np.log10(error),
        "explained_variance": 1 - error / x.var(axis=0).mean(),
    }
    if cross_entropy:
        likelihood = np.where(x > 0, out**x, 1) * np.where(x < 1, (1 - out) ** (1 - x), 1)
        found["binary_crossentropy"] = -np.log(likelihood).mean()
    return found


def outputs(case: Case) -> dict[str, Any]:
    """Metrics of the Keras model's own outputs under each condition."""
    plain = build_model(case.architecture, case.seed)
    noise = np.float32(case.stddev) * draws(case.seed)
    own, nothing = {"x": X, "offset": case.offset}, {"x": X, "offset": 0 * case.offset}
    if case.architecture.system == "vae":
        noisy = build_model(case.architecture, case.seed, noise_input=True)
        trained = noisy({**own, "noise": draws(case.seed)}, training=True)
    elif case.architecture.system == "concatenate":
        noisy = build_model(case.architecture, case.seed, noise_input=True)
        trained = noisy({**own, "noise": noise})
    else:
        trained = plain({"x": X, "offset": case.offset + noise})
    if case.architecture.system == "two_encoder":
        # Without its offset it is the plain model of the same seed.
        plain_twin = build_model(SIGMOID, case.seed)
        return {"": plain(own), "_as_trained": trained, "_clean": plain_twin(nothing)}
    return {"": plain(own), "_as_trained": trained, "_clean": plain(nothing)}


@pytest.mark.parametrize("name", CASES)
def test_every_metric_under_every_condition_is_what_keras_gives(
    name: str, measured: dict[str, dict[str, float]]
) -> None:
    case = CASES[name]
    expected = {
        f"{metric}{suffix}": value
        for suffix, out in outputs(case).items()
        for metric, value in metrics_by_hand(out, cross_entropy=name != "linear").items()
    }
    assert measured[name].keys() == expected.keys()
    for column, value in expected.items():
        assert measured[name][column] == pytest.approx(value, rel=1e-5), column


def test_what_a_run_does_not_have_changes_nothing(measured: dict[str, dict[str, float]]) -> None:
    none, offset, noise = (measured[name] for name in ("none", "offset", "noise"))
    assert none["mse"] == none["mse_as_trained"] == none["mse_clean"]
    assert offset["mse"] == offset["mse_as_trained"] != offset["mse_clean"]
    assert noise["mse"] == noise["mse_clean"] != noise["mse_as_trained"]
    assert none["mse"] == offset["mse_clean"] == noise["mse"]  # the same weights


def test_a_run_does_not_depend_on_its_company(measured: dict[str, dict[str, float]]) -> None:
    assert measured_again({"both": CASES["both"]})["both"] == measured["both"]


def encoded(**parts: Any) -> Encoded:
    """Zeros, but for the parts given."""
    zeros = np.zeros((N, L), np.float32)
    return Encoded(**{"code": zeros, "offset": zeros, "log_variance": None, **parts})


def run(
    stddev: float | NoiseRange = 0.3, seed: int = 0, architecture: Architecture = SIGMOID
) -> FinishedRun:
    return FinishedRun(architecture, seed, {}, stddev)


def noise_of(run: FinishedRun, noise_seed: int = 7, parts: Encoded | None = None) -> Any:
    noisy = as_trained(run, noise_seed)
    assert noisy is not None
    return noisy(parts or encoded())[0]


def test_the_noise_is_that_of_the_seed() -> None:
    first = noise_of(run())
    np.testing.assert_array_equal(first, noise_of(run()))
    np.testing.assert_allclose(noise_of(run(stddev=0.6)), 2 * first, rtol=1e-6)
    np.testing.assert_array_equal(noise_of(run(architecture=CONCATENATE)), first)
    assert not np.array_equal(first, noise_of(run(), noise_seed=8))
    assert not np.array_equal(first, noise_of(run(seed=1)))


def test_the_noise_has_the_power_it_was_trained_with() -> None:
    many = np.zeros((20_000, 4), np.float32)
    noise = noise_of(run(), parts=encoded(code=many, offset=many))
    np.testing.assert_allclose([noise.mean(), noise.std()], [0, 0.3], atol=5e-3)
    log_variance = np.broadcast_to(2 * np.log([0.1, 0.2, 0.5, 3]).astype(np.float32), many.shape)
    drawn = encoded(code=many + 1, offset=many, log_variance=log_variance)
    code = noise_of(run(stddev=0, architecture=VAE), parts=drawn)
    np.testing.assert_allclose(code.mean(axis=0), 1, atol=0.1)
    np.testing.assert_allclose(code.std(axis=0), [0.1, 0.2, 0.5, 3], rtol=0.03)


def test_noise_of_a_range_has_a_stddev_per_sample() -> None:
    levels, many = NoiseRange(0.1, 0.4), np.zeros((2_000, 400), np.float32)
    noise = noise_of(run(stddev=levels), parts=encoded(code=many, offset=many))
    stddevs = noise.std(axis=1)
    assert noise.dtype == np.float32
    np.testing.assert_allclose(noise.std(), levels.rms, rtol=0.02)
    np.testing.assert_allclose(np.quantile(stddevs, [0, 0.5, 1]), [0.1, 0.25, 0.4], rtol=0.15)


@pytest.mark.parametrize("code", [None, np.ones((N, L), np.float32)], ids=["unnamed", "named"])
def test_a_users_own_model_has_its_noise_on_the_offset(code: Any) -> None:
    users_own = Architecture(system="function", network=NETWORK, input_dim=D, function="m:f")
    parts = encoded(code=code, offset=TABLE)
    noisy = as_trained(run(architecture=users_own), 7)
    assert noisy is not None
    own_code, offset = noisy(parts)
    assert own_code is code
    np.testing.assert_allclose(offset - TABLE, noise_of(run()), atol=1e-6)


def test_without_noise_nothing_is_drawn() -> None:
    assert as_trained(run(stddev=0.0), 7) is None


@pytest.mark.parametrize("rows", [1, 7, N - 1])
def test_blocks_of_any_size_have_the_same_metrics(
    rows: int, measured: dict[str, dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offset_autoencoder.io.arrays.BLOCK_VALUES", rows * D)
    for name, metrics in measured_again(CASES).items():
        assert metrics == pytest.approx(measured[name], rel=1e-5)


def test_without_a_known_range_there_is_no_psnr() -> None:
    (metrics,) = measured_again({"none": CASES["none"]}, data_range=None).values()
    assert "psnr" not in metrics
    assert "binary_crossentropy" in metrics


def test_beyond_the_unit_range_there_is_no_cross_entropy() -> None:
    ((_, opened),) = open_runs({"none": CASES["none"].run})
    domain = domain_of(run(), Domain.of(X * 2, (0, 2)))
    split = SplitInference(opened, X * 2, (0 * TABLE).__getitem__)
    metrics = run_metrics(run(stddev=0), split, domain, EVALUATE).columns
    assert {name.partition("_")[0] for name in metrics} == {"mse", "mae", "psnr", "explained"}
