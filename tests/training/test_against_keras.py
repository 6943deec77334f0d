"""The population trainer against a stock Keras training loop, for every system."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.config.schema import Network
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.models.backend import keras
from offset_autoencoder.runs.files import TrainedRun
from offset_autoencoder.training.batches import draw_noise, epoch_order, noise_generator
from offset_autoencoder.training.engine import Population
from offset_autoencoder.training.pool import train_population
from offset_autoencoder.training.state import Job

N, M, L, BATCH = 70, 30, 4, 14
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(N, L)).astype(np.float32)
TABLE_VALIDATION = RNG.normal(size=(M, L)).astype(np.float32)
pytestmark = pytest.mark.usefixtures("compiled_once", "engine")
OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "adagrad": keras.optimizers.Adagrad,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def samples(input_dim: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(input_dim)
    x, x_validation = (rng.random((rows, input_dim), dtype=np.float32) for rows in (N, M))
    return x, x_validation


def job(name: str, seed: int = 0, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "offset": TABLE * np.float32(0.1),
        "offset_validation": TABLE_VALIDATION * np.float32(0.1),
        "stddev": 0.0,
        "learning_rate": 1e-2,
        "epochs": 3,
        "patience": None,
        **changes,
    }
    return Job(id=name, seed=seed, **values)


def train(
    architecture: Architecture, jobs: list[Job], optimizer: str = "adam", batch_size: int = BATCH
) -> dict[str, TrainedRun]:
    results: dict[str, TrainedRun] = {}
    train_population(
        Population(architecture, batch_size, optimizer),
        jobs,
        *samples(architecture.input_dim),
        lambda job, result: results.__setitem__(job.id, result),
    )
    return results


def stock(architecture: Architecture, run: Job, optimizer: str = "adam", size: int = BATCH) -> Any:
    """The same run by ``train_on_batch`` of a compiled Keras model, batch by batch."""
    x, x_validation = samples(architecture.input_dim)
    model = build_model(architecture, run.seed, noise_input=True)
    # XLA draws other numbers than eager TensorFlow does from the same seed.
    compiled = any(layer.name == "dropout" for layer in model.layers)
    model.compile(
        OPTIMIZERS[optimizer](run.learning_rate), architecture.network.loss, jit_compile=compiled
    )
    beside = "noise" in model.input
    losses, val_losses = [], []
    for number in range(1, run.epochs + 1):
        order, total = epoch_order(run.seed, number, N), 0.0
        noise = np.float32(run.stddev) * draw_noise(noise_generator(run.seed, number), N, L)
        for start in range(0, N, size):
            rows, drawn = order[start : start + size], noise[start : start + size]
            inputs = {"x": x[rows], "offset": run.offset[rows]}
            if beside:
                inputs["noise"] = drawn
            else:
                inputs["offset"] = inputs["offset"] + drawn
            loss = model.train_on_batch(inputs, x[rows])
            model.reset_metrics()
            total += float(loss) * len(rows)
        losses.append(total / N)
        inputs = {"x": x_validation, "offset": run.offset_validation}
        if beside:
            inputs["noise"] = np.zeros_like(run.offset_validation)
        val_losses.append(model.evaluate(inputs, x_validation, batch_size=M, verbose=0))
    return losses, val_losses, {weight.path: np.asarray(weight) for weight in model.weights}


def check_agrees(
    architecture: Architecture,
    results: dict[str, TrainedRun],
    runs: list[Job],
    optimizer: str = "adam",
    batch_size: int = BATCH,
) -> None:
    names = Population(architecture, batch_size, optimizer).weight_names
    for run in runs:
        losses, val_losses, weights = stock(architecture, run, optimizer, batch_size)
        result = results[run.id]
        np.testing.assert_allclose(result.loss, losses, rtol=1e-4)
        np.testing.assert_allclose(result.val_loss, val_losses, rtol=1e-4)
        assert result.weights is not None
        assert len(names) == len(weights)
        for name, ours in zip(names, result.weights, strict=True):
            np.testing.assert_allclose(ours, weights[name], rtol=2e-3, atol=2e-4, err_msg=name)


def check_equal(one: TrainedRun, other: TrainedRun) -> None:
    np.testing.assert_array_equal(one.loss, other.loss)
    np.testing.assert_array_equal(one.val_loss, other.val_loss)
    for ours, theirs in zip(one.weights or [], other.weights or [], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("network", "optimizer", "batch_size"),
    [
        ({}, "adam", 70),  # a single batch
        ({}, "adam", 200),
        # With a last batch that is not full.
        ({"hidden": [8, 6], "activation": "tanh", "normalize": False}, "rmsprop", 16),
        ({"hidden": [], "output": "linear", "loss": "mean_squared_error"}, "sgd", BATCH),
        ({"output": "softmax", "loss": "categorical_crossentropy"}, "adamw", BATCH),
        ({}, "adagrad", BATCH),  # has no kernel: Keras trains it
    ],
)
def test_every_network_agrees(network: dict[str, Any], optimizer: str, batch_size: int) -> None:
    dense = Network.model_validate({"latent_dim": L, "hidden": [8], **network})
    runs = [
        job("noise", seed=3, stddev=0.3),
        job("rate", learning_rate=3e-3),
        job("offset", seed=3),
    ]
    architecture = Architecture(network=dense, input_dim=12)
    results = train(architecture, runs, optimizer, batch_size)
    check_agrees(architecture, results, runs[:2], optimizer, batch_size)


def test_every_system_agrees_and_trains_alone_as_in_company(architecture: Architecture) -> None:
    stddev = 1.0 if architecture.system == "vae" else 0.3
    runs = [job(str(seed), seed, stddev=stddev, epochs=epochs) for seed, epochs in ((3, 3), (5, 2))]
    together = train(architecture, runs)
    check_agrees(architecture, together, runs[:1])
    check_equal(train(architecture, runs[:1])["3"], together["3"])


def test_a_frozen_encoder_keeps_its_initial_weights() -> None:
    network = Network(latent_dim=L, hidden=[8])
    architecture = Architecture(
        system="two_encoder", network=network, input_dim=12, second_rms=0.3, frozen=True
    )
    result = train(architecture, [job("a", 7)])["a"]
    names = Population(architecture, BATCH, "adam").weight_names
    trained = dict(zip(names, result.weights or [], strict=True))
    initial = {w.path: np.asarray(w) for w in build_model(architecture, 7).weights}
    assert trained.keys() == initial.keys()
    for name, weight in trained.items():
        assert np.array_equal(weight, initial[name]) == name.startswith("second_"), name


def test_the_divergence_is_what_the_loss_is_more_than_the_reconstruction() -> None:
    network = Network(latent_dim=L, hidden=[8])
    architecture = Architecture(system="vae", network=network, input_dim=12, beta=0.5)
    result = train(architecture, [job("a", stddev=1.0)])["a"]
    model = build_model(architecture)
    names = Population(architecture, BATCH, "adam").weight_names
    by_name = dict(zip(names, result.weights or [], strict=True))
    for weight in model.weights:
        weight.assign(by_name[weight.path])
    x = samples(12)[1]
    inputs = {"x": x, "offset": TABLE_VALIDATION * np.float32(0.1)}
    encoder = keras.Model(
        model.inputs, [model.get_layer(name).output for name in ("code", "code_log_variance")]
    )
    mean, log_variance = (np.asarray(each, np.float64) for each in encoder(inputs))
    nats = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1).sum(axis=1).mean()
    out = np.asarray(model(inputs), np.float64)
    entropy = -np.mean(x * np.log(out) + (1 - x) * np.log(1 - out))
    assert result.adds_losses
    assert result.val_reconstruction[-1] == pytest.approx(entropy, rel=1e-5)
    rest = result.val_loss[-1] - result.val_reconstruction[-1]
    assert rest == pytest.approx(0.5 * nats / 12, rel=1e-3)


USERS_OWN = """
    import keras

    def regularised(input_dim, latent_dim, seed):
        x, offset = keras.Input((input_dim,), name="x"), keras.Input((latent_dim,), name="offset")
        start = iter(range(100 * seed, 100 * seed + 9))

        def dense(width, activation=None, **options):
            kernel = keras.initializers.GlorotUniform(seed=next(start))
            return keras.layers.Dense(width, activation, kernel_initializer=kernel, **options)

        hidden = keras.layers.BatchNormalization()(dense(8, "relu")(x))
        hidden = DROPOUT(hidden)
        code = dense(latent_dim, name="code", activity_regularizer=keras.regularizers.L2(0.1))
        z = keras.layers.Add()([code(hidden), offset])
        block = keras.Sequential([dense(7, "tanh", kernel_regularizer="l2"), dense(6)])
        y = dense(input_dim, "sigmoid")(block(z))
        return keras.Model({"x": x, "offset": offset}, y)
"""


@pytest.fixture(scope="module")
def users_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A module of the user's, on the path of imports."""
    folder = tmp_path_factory.mktemp("users")
    plain = dedent(USERS_OWN)
    (folder / "users_still.py").write_text(plain.replace("DROPOUT(hidden)", "hidden"))
    dropout = "keras.layers.Dropout(0.4, seed=seed)(hidden)"
    (folder / "users_dropout.py").write_text(plain.replace("DROPOUT(hidden)", dropout))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield "users"
    for name in ("users_still", "users_dropout"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("kind", ["still", "dropout"])
def test_a_users_own_model_agrees(users_own: str, kind: str) -> None:
    architecture = Architecture(
        system="function",
        network=Network(latent_dim=L),
        input_dim=12,
        function=f"{users_own}_{kind}:regularised",
    )
    runs = [job("a", 3, stddev=0.2, learning_rate=0.1), job("b", 5)]
    # Adam would blow up the rounding of gradients that normalised batches make zero.
    together = train(architecture, runs, "sgd")
    check_agrees(architecture, together, runs[:1], "sgd")
    check_equal(train(architecture, runs[:1], "sgd")["a"], together["a"])
