from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.users_module import users_module

from offset_autoencoder.config import SPLITS, Params, Run, SplitName
from offset_autoencoder.evaluation import run_evaluation
from offset_autoencoder.evaluation.metrics import Domain
from offset_autoencoder.evaluation.probes import Splits, prepare_targets
from offset_autoencoder.evaluation.run_evaluation import EvaluationSamples, evaluate_runs
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.models.resolve import resolve_architecture
from offset_autoencoder.runs.load import FinishedRun

D, L = 9, 3
RNG = np.random.default_rng(0)
X: dict[SplitName, Any] = {
    name: RNG.random((n, D), dtype=np.float32) for name, n in zip(SPLITS, (60, 20, 30), strict=True)
}
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


def finished(run: Run) -> FinishedRun:
    """The run with the weights that it starts from."""
    wide = [7] if run.setting.spec.system == "wide" else None
    architecture = resolve_architecture(
        run.setting, input_dim=D, image_shape=None, samples=1, encoder_hidden=wide
    )
    model = build_model(architecture, run.seed)
    return FinishedRun(architecture, run.seed, {w.path: np.asarray(w) for w in model.weights}, 0.0)


def offsets(run: Run, factor: float, split: SplitName) -> Any:
    return TABLE[split] * np.float32(run.setting.spec.offset == "frozen")


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
    samples = EvaluationSamples(
        X, prepare_targets(Splits(**X), None), Domain.of(X["test"], (0.0, 1.0))
    )
    found = dict(evaluate_runs(runs, offsets, samples, params.evaluate))
    assert found.keys() == runs.keys()
    for label, (run, _) in runs.items():
        errors = found[label].sample_errors
        assert errors is not None
        assert errors.shape == (30,)
        assert np.mean(errors) == pytest.approx(found[label].metrics["mse"], rel=1e-5)
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
    monkeypatch.setattr(run_evaluation, "load_table", lambda *_: table)
    offsets = run_evaluation.run_offsets(Path(), {"train": 9, "validation": 5, "test": 4})
    scaled, zeros = offsets(frozen, 0.1, "test"), offsets(second, 1.0, "validation")
    assert scaled.dtype == zeros.dtype == np.float32
    np.testing.assert_array_equal(scaled, stored * np.float32(0.1))
    np.testing.assert_array_equal(zeros, np.zeros((5, 3)))
