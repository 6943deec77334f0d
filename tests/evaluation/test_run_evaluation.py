from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.users_module import users_module

from offset_autoencoder.config import SPLITS, Params, Run, SplitName
from offset_autoencoder.evaluation import interventions, opening
from offset_autoencoder.evaluation.controls import NOISE, NOTHING
from offset_autoencoder.evaluation.encoder_adaptation import donor_shift
from offset_autoencoder.evaluation.interventions import EXCHANGES, MEAN, OMITTED, OWN, draw
from offset_autoencoder.evaluation.metrics import Domain
from offset_autoencoder.evaluation.opening import EvaluationSamples
from offset_autoencoder.evaluation.run_evaluation import evaluate_runs
from offset_autoencoder.evaluation.sample_errors import TestedSamples
from offset_autoencoder.models import dense
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.models.resolve import resolve_architecture
from offset_autoencoder.runs.load import FinishedRun, open_runs

D, L = 9, 3
RNG = np.random.default_rng(0)
X: dict[SplitName, Any] = {
    name: RNG.random((n, D), dtype=np.float32) for name, n in zip(SPLITS, (60, 20, 30), strict=True)
}
TESTED = TestedSamples(np.arange(len(X["test"])))
TABLE: dict[SplitName, Any] = {name: np.tanh(x[:, :L]) for name, x in X.items()}
MODELS: dict[str, Any] = {
    "none": {"offset": "none"},
    "additive": {"offset": "frozen"},
    "concatenate": {"system": "concatenate", "offset": "frozen"},
    "two_encoder": {"system": "two_encoder"},
    "wide": {"system": "wide", "match": "two_encoder", "offset": "frozen"},
    "ensemble": {"system": "ensemble", "offset": "frozen"},
    "vae": {"system": "vae", "offset": "frozen"},
}
USERS_MODEL = """
import keras


def build(input_dim, latent_dim, seed):
    x, offset = keras.Input((input_dim,), name="x"), keras.Input((latent_dim,), name="offset")
    code = keras.layers.Dense(latent_dim, name="code")(x)
    y = keras.layers.Dense(input_dim)(keras.layers.Add()([code, offset]))
    return keras.Model({"x": x, "offset": offset}, y)
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with users_module(tmp_path_factory.mktemp("users"), "users_examined", USERS_MODEL) as name:
        yield name


def finished(run: Run, image_shape: Any = None) -> FinishedRun:
    """The run with the weights that it starts from."""
    wide = [7] if run.setting.spec.system == "wide" else None
    architecture = resolve_architecture(
        run.setting, input_dim=D, image_shape=image_shape, samples=1, encoder_hidden=wide
    )
    model = build_model(architecture, run.seed)
    return FinishedRun(architecture, run.seed, {w.path: np.asarray(w) for w in model.weights}, 0.0)


def offsets(run: Run, factor: float, split: SplitName, rows: Any) -> Any:
    return TABLE[split][rows] * np.float32(run.setting.spec.offset == "frozen")


def test_the_plain_code_is_that_of_the_same_encoder(
    make_params: Callable[..., Params], module: str
) -> None:
    """Only a system whose first encoder is the plain one has a plain slope."""
    own = {"system": "function", "function": f"{module}:build", "offset": "frozen"}
    params = make_params(
        seeds=2,
        network={"latent_dim": L, "hidden": [5]},
        models={**MODELS, "function": own},
        evaluate={"baselines": ["none"]},
    )
    runs = {run.label: (run, finished(run)) for run in params.runs}
    samples = EvaluationSamples(X, Domain.of(X["test"], (0.0, 1.0)), TESTED)
    found = dict(evaluate_runs(runs, offsets, samples, params.evaluate))
    assert found.keys() == runs.keys()
    for label, (run, _) in runs.items():
        measured = found[label].errors
        assert measured is not None
        assert (measured.metric, measured.test.shape) == ("mse", (30,))
        assert measured.compared is measured.test
        assert np.mean(measured.test) == pytest.approx(found[label].metrics["mse"], rel=1e-5)
        response = found[label].encoder_adaptation
        if run.setting.model == "none":
            assert response is None
        elif run.setting.model in ("additive", "concatenate", "two_encoder"):
            # Untrained, the encoder is the plain one of its seed, to the last bit.
            assert response is not None
            assert response.plain_slope == response.slope
        else:
            assert response is not None
            assert response.plain_slope is None


def test_an_offset_is_the_scaled_table_and_zeros_without_one(
    make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {"frozen": {"offset": "frozen"}, "second": {"system": "two_encoder"}}
    frozen, second = make_params(models=models, network={"latent_dim": 3}, seeds=1).runs
    stored = np.arange(12, dtype=np.float32).reshape(4, 3)
    stored.flags.writeable = False
    table = SimpleNamespace(split=lambda _: stored)
    monkeypatch.setattr(opening, "load_table", lambda *_, **__: table)
    offsets = opening.run_offsets(Path(), {"train": 9, "validation": 5, "test": 4})
    scaled = offsets(frozen, 0.1, "test", slice(0, 9))
    zeros = offsets(second, 1.0, "validation", slice(0, 9))
    assert scaled.dtype == zeros.dtype == np.float32
    np.testing.assert_array_equal(scaled, stored * np.float32(0.1))
    np.testing.assert_array_equal(zeros, np.zeros((5, 3)))
    np.testing.assert_array_equal(offsets(frozen, 0.1, "test", np.array([3, 1])), scaled[[3, 1]])
    assert offsets(second, 1.0, "validation", np.array([3, 1])).shape == (2, 3)


def test_controls_are_handed_the_same_vectors(
    make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each figure of a control is that of its network, with the offset of the other's run."""
    models = {
        "none": {"offset": "none"},
        "noisy": {"offset": "none", "stddev": 0.1},
        "frozen": {"offset": "frozen", "rms": 0.1},
        "two_encoder": {"system": "two_encoder", "rms": 0.1},
    }
    params = make_params(
        seeds=2,
        network={"latent_dim": L, "hidden": [5]},
        models=models,
        evaluate={"baselines": ["none"]},
    )
    monkeypatch.setattr(interventions, "ENOUGH_ROWS", 40)
    runs = {run.label: (run, finished(run)) for run in params.runs}
    # Untrained, the control is the guest's own network: another seed's weights tell them apart.
    for name in ("none", "noisy"):
        runs[f"{name} seed=0"] = (runs[f"{name} seed=0"][0], runs[f"{name} seed=1"][1])
    samples = EvaluationSamples(X, Domain.of(X["test"], (0.0, 1.0)), TESTED)
    found = dict(evaluate_runs(runs, offsets, samples, params.evaluate))
    for name in ("none", "noisy"):
        assert list(found[f"{name} seed=0"].guests) == ["frozen seed=0", "two_encoder seed=0"]
    rows = interventions.some_rows(60)
    opened = dict(open_runs({name: trained for name, (_, trained) in runs.items()}))
    for guest in ("frozen seed=0", "two_encoder seed=0"):
        assert found[guest].references == {NOTHING: "none seed=0", NOISE: "noisy seed=0"}
        handed = found["none seed=0"].guests[guest]
        assert set(handed.metrics) == {"test", "train"}
        splits: dict[SplitName, Any] = {"test": slice(None), "train": rows}
        for split, kept in splits.items():
            x, table = X[split][kept], TABLE[split][kept]
            given = table * np.float32(guest.startswith("frozen"))
            added = opened[guest].encode(x, given).offset
            control = opened["none seed=0"]
            code = control.encode(x, np.zeros_like(added)).code
            for one, offset in (
                (OWN, added),
                (OMITTED, 0 * added),
                (MEAN, added * 0 + added.mean(0)),
            ):
                error = np.mean((control.decoder(x)(code, offset) - x) ** 2)
                assert handed.metrics[split][one]["mse"] == pytest.approx(error, rel=1e-5)
            assert list(handed.metrics[split]) == list(EXCHANGES)
        draws = draw(8, seed=params.evaluate.seed, run_seed=0, samples=30, latent_dim=L)
        added = opened[guest].encode(X["test"], TABLE["test"] * np.float32(guest[0] == "f")).offset
        code = opened["none seed=0"].encode(X["test"], np.zeros_like(added)).code
        decode = opened["none seed=0"].decoder(X["test"])
        shift = donor_shift(X["test"], code, added, decode, draws.sources)
        assert handed.donor_shift == pytest.approx(shift)
    own = found["frozen seed=0"].exchanges
    assert list(own.metrics["train"]) == list(EXCHANGES)
    assert set(own.metrics["test"]) > set(EXCHANGES)
    assert found["none seed=0"].exchanges.donor_shift is None


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_a_control_gives_the_same_in_every_order_and_by_keras(
    kind: str, make_params: Callable[..., Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks that do not stay open take their guests while they are."""
    kinds: dict[str, dict[str, Any]] = {
        "dense": {"hidden": [5], "activation": "tanh"},
        "convolutional": {"kind": "convolutional", "filters": [2]},
    }
    models = {
        "two_encoder": {"system": "two_encoder", "rms": 0.1},
        "frozen": {"offset": "frozen", "rms": 0.1},
        "none": {"offset": "none"},
    }
    network = {"latent_dim": L, **kinds[kind]}
    params = make_params(
        seeds=1, network=network, models=models, evaluate={"baselines": ["none"], "draws": 1}
    )
    shape = (3, 3, 1) if kind == "convolutional" else None
    runs = {run.label: (run, finished(run, shape)) for run in params.runs}
    domain = Domain.of(X["test"], (0.0, 1.0), shape)
    samples = EvaluationSamples(X, domain, TESTED)
    forwards = dict(evaluate_runs(runs, offsets, samples, params.evaluate))
    if kind == "dense":
        monkeypatch.setattr(dense, "runs_in_numpy", lambda _: False)
    backwards = dict(evaluate_runs(dict(reversed(runs.items())), offsets, samples, params.evaluate))
    for guest in ("two_encoder seed=0", "frozen seed=0"):
        for split in ("test", "train"):
            first, second = (
                each["none seed=0"].guests[guest].metrics[split] for each in (forwards, backwards)
            )
            assert list(first) == list(second) == list(EXCHANGES)
            for one, metrics in first.items():
                assert second[one]["mse"] == pytest.approx(metrics["mse"], rel=1e-4)
