"""``train`` with every system at once, a user's own among them."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.data.prepared import load_prepared
from offset_autoencoder.runs.files import read_history, read_saved_run
from offset_autoencoder.runs.load import load_run

Experiment = Any  # conftest's, which tests cannot import
MODELS: dict[str, Any] = {
    "none": {"offset": "none"},
    "beside": {"system": "concatenate", "offset": "frozen", "rms": 0.1, "stddev": 0.1},
    "second": {"system": "two_encoder", "rms": 0.1},
    "frozen": {"system": "two_encoder", "frozen": True, "second_hidden": []},
    "two": {"system": "ensemble", "encoders": 2},
    "wide": {"system": "wide", "match": "two", "ebn0_db": 6, "bits": 4},
    "vae": {"system": "vae", "warmup": 1},
    "pictures": {"kind": "convolutional", "filters": [2]},
    "mine": {"system": "function", "function": "users_stage:build", "stddev": 0.1},
    "recurrent": {"system": "function", "function": "users_recurrent:build"},
    "rows": {"kind": "recurrent", "hidden": [3, 4], "cell": "lstm", "offset": "frozen"},
    "steps": {"kind": "convolutional_1d", "filters": [2]},
}
USERS_OWN = """
import keras


def build(input_dim, latent_dim, seed):
    x, offset = keras.Input((input_dim,), name="x"), keras.Input((latent_dim,), name="offset")
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(9, "relu")(x))
    code = keras.layers.Dense(latent_dim)(keras.layers.Dropout(0.2)(hidden))
    y = keras.layers.Dense(input_dim, "sigmoid")(keras.layers.Add()([code, offset]))
    return keras.Model({"x": x, "offset": offset}, y)
"""
USERS_RECURRENT = """
import keras


def build(input_dim, latent_dim, seed):
    x, offset = keras.Input((input_dim,), name="x"), keras.Input((latent_dim,), name="offset")
    series = keras.layers.Reshape((-1, 4))(x)
    code = keras.layers.Dense(latent_dim, name="code")(keras.layers.GRU(5)(series))
    y = keras.layers.Dense(input_dim, "sigmoid")(keras.layers.Add()([code, offset]))
    return keras.Model({"x": x, "offset": offset}, y)
"""


@pytest.fixture(scope="module")
def project(
    experiment: Experiment, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, list[str]]]:
    """A project, as the working folder, in which a run of every system was trained."""
    folder = tmp_path_factory.mktemp("systems")
    (folder / "users_stage.py").write_text(USERS_OWN)
    (folder / "users_recurrent.py").write_text(USERS_RECURRENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        patch.syspath_prepend(str(folder))
        experiment.prepare(
            seeds=1,
            models=MODELS,
            network={"latent_dim": 4, "hidden": [16]},
            train={"epochs": 2, "batch_size": 2048},  # one batch an epoch: quick to compile
        )
        yield folder, experiment.train()
    sys.modules.pop("users_stage", None)


def runs() -> dict[str, str]:
    with Path("models/index.csv").open(newline="") as stream:
        return {row["model"]: row["id"] for row in csv.DictReader(stream)}


def test_all_train(project: tuple[Path, list[str]]) -> None:
    assert project[1] == ["training 12 runs", "runs: 12 (12 trained, 0 reused)"]
    assert list(runs()) == list(MODELS)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("name", MODELS)
def test_a_loaded_run_has_the_validation_loss_that_was_recorded(name: str) -> None:
    run = runs()[name]
    model = load_run(run)
    saved = read_saved_run(Path("models/runs") / run)
    x = load_prepared(Path("data/prepared")).validation.x
    offset = np.zeros((len(x), 4), np.float32)
    if MODELS[name].get("offset") == "frozen":
        offset = np.load("data/offsets/frozen/validation.npy")
    model.compile(loss="binary_crossentropy")
    loss = model.evaluate({"x": x, "offset": offset}, x, batch_size=len(x), verbose=0)
    assert saved.best_epoch is not None
    recorded = read_history(Path("models/runs") / run)["val_loss"][saved.best_epoch - 1]
    assert loss == pytest.approx(recorded, rel=1e-5)


@pytest.mark.usefixtures("project")
def test_a_second_time_trains_none(experiment: Experiment) -> None:
    before = experiment.contents("models")
    with experiment.without_training():
        assert experiment.train() == ["runs: 12 (0 trained, 12 reused)"]
    assert experiment.contents("models") == before


def test_a_users_own_model_is_trained_again_alone_and_to_the_same_bytes(
    project: tuple[Path, list[str]], experiment: Experiment
) -> None:
    from offset_autoencoder.paths import run_store

    before = experiment.contents("models", times=False)
    run = runs()["mine"]
    for place in (Path("models/runs"), run_store()):
        (place / run / "weights.npz").write_bytes(b"")
    damaged, *others = experiment.train()
    assert damaged == f"damaged: mine seed=0 ({run[:12]}) is trained anew"
    assert others == ["training 1 run", "runs: 12 (1 trained, 11 reused)"]
    assert experiment.contents("models", times=False) == before


@pytest.mark.usefixtures("quickly")
def test_a_change_of_the_users_code_trains_its_runs_alone(
    project: tuple[Path, list[str]], experiment: Experiment
) -> None:
    before = runs()
    source = project[0] / "users_stage.py"
    source.write_text(source.read_text().replace("Dense(9", "Dense(8"))
    assert experiment.train() == ["training 1 run", "runs: 12 (1 trained, 11 reused)"]
    after = runs()
    assert [name for name in MODELS if after[name] != before[name]] == ["mine"]
