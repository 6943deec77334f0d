from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tests.users_module import users_module

from offset_autoencoder.config.schema import Evaluate, Network
from offset_autoencoder.evaluation.decoding import SplitInference
from offset_autoencoder.evaluation.interventions import OMITTED, OWN, PERMUTED, draw, intervene
from offset_autoencoder.evaluation.metrics import Domain
from offset_autoencoder.evaluation.run_metrics import run_metrics
from offset_autoencoder.models import inference
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.runs.load import FinishedRun, open_runs

N, L = 30, 4
RNG = np.random.default_rng(0)
OFFSET = RNG.normal(size=(N, L)).astype(np.float32)
USERS_MODEL = """
import keras


def sees_offset(input_dim, latent_dim, seed):
    x, offset = keras.Input((input_dim,), name="x"), keras.Input((latent_dim,), name="offset")
    both = keras.layers.Concatenate()([x, offset])
    code = keras.layers.Dense(latent_dim, name="code")(both)
    y = keras.layers.Dense(input_dim, "sigmoid")(keras.layers.Add()([code, offset]))
    return keras.Model({"x": x, "offset": offset}, y)
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with users_module(tmp_path_factory.mktemp("users"), "users_opened", USERS_MODEL) as name:
        yield name


def users_own(function: str) -> Architecture:
    return Architecture(
        system="function", network=Network(latent_dim=L), input_dim=12, function=function
    )


def finished(architecture: Architecture, seed: int = 0, stddev: float = 0.0) -> FinishedRun:
    model = build_model(architecture, seed)
    return FinishedRun(architecture, seed, {w.path: np.asarray(w) for w in model.weights}, stddev)


def samples(architecture: Architecture) -> Any:
    return RNG.random((N, architecture.input_dim), dtype=np.float32)


def opened_run(run: FinishedRun) -> inference.RunInference:
    ((_, opened),) = open_runs({"run": run})
    return opened


def test_where_the_code_sees_the_offset_an_exchange_reaches_the_code(module: str) -> None:
    architecture = users_own(f"{module}:sees_offset")
    run, x = finished(architecture, seed=2), samples(architecture)
    opened = opened_run(run)
    encoded, decode = opened.encode(x, OFFSET), opened.decoder(x)
    domain = Domain((0, 1))
    drawn = draw(1, seed=0, run_seed=2, samples=N, latent_dim=L)
    found = intervene(
        x, encoded.code, encoded.offset, decode, drawn, [OWN, OMITTED, PERMUTED], domain=domain
    )
    split = SplitInference(opened, x, OFFSET.__getitem__)
    clean = run_metrics(run, split, domain, Evaluate()).columns["mse_clean"]
    whole = build_model(architecture, 2)

    def error(offset: Any) -> float:
        return float(np.mean((np.asarray(whole({"x": x, "offset": offset})) - x) ** 2))

    assert clean == found[OMITTED]["mse"] == pytest.approx(error(0 * OFFSET), rel=1e-5)
    assert found[PERMUTED]["mse"] == pytest.approx(error(OFFSET[drawn.sources[0]]), rel=1e-5)
