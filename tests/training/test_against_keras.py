"""The population trainer against a stock Keras training loop, for every system."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.training import small_runs
from tests.training.small_runs import BATCH, D, L, N, job, samples
from tests.users_module import users_module

from offset_autoencoder.config.schema import Network
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.layers import PowerNorm
from offset_autoencoder.models.nested import named_weights
from offset_autoencoder.runs.files import Checkpoints, TrainedRun
from offset_autoencoder.training.batches import draw_noise, epoch_order, noise_generator
from offset_autoencoder.training.engine import Population
from offset_autoencoder.training.keras_engine import TensorFlowPrograms, runs_per_stack
from offset_autoencoder.training.state import Job

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("compiled_once", "engine")]
OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "adagrad": keras.optimizers.Adagrad,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def train(shared: Population, jobs: list[Job]) -> dict[str, TrainedRun]:
    return small_runs.train(jobs, shared, *samples(shared.architecture.input_dim))


def stock(shared: Population, run: Job) -> Any:
    """The same run by ``train_on_batch`` of a compiled Keras model, batch by batch."""
    architecture, size = shared.architecture, shared.batch_size
    x, x_validation = samples(architecture.input_dim)
    offset, offset_validation = (
        np.float32(run.offset_factor) * table for table in (run.offset, run.offset_validation)
    )
    model = build_model(architecture, run.seed, noise_input=True)
    # XLA draws other numbers than eager TensorFlow does from the same seed.
    compiled = any("dropout" in layer.name for layer in model.layers)
    rate: Any = run.learning_rate
    if run.schedule == "cosine":
        steps = run.epochs * -(-N // size)
        rate = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=run.schedule_end)
    optimizer = OPTIMIZERS[shared.optimizer](rate)
    how = {"jit_compile": compiled, "run_eagerly": not compiled}  # a few steps need no program
    model.compile(optimizer, architecture.network.loss, **how)
    noise_is_input = "noise" in model.input
    losses, val_losses = [], []
    for number in range(1, run.epochs + 1):
        order, total = epoch_order(run.seed, number, N), 0.0
        noise = np.float32(run.stddev) * draw_noise(noise_generator(run.seed, number), N, L)
        for start in range(0, N, size):
            rows, drawn = order[start : start + size], noise[start : start + size]
            inputs = {"x": x[rows], "offset": offset[rows]}
            if noise_is_input:
                inputs["noise"] = drawn
            else:
                inputs["offset"] = inputs["offset"] + drawn
            loss = model.train_on_batch(inputs, x[rows])
            model.reset_metrics()
            total += float(loss) * len(rows)
        losses.append(total / N)
        for layer in model.layers:
            if isinstance(layer, PowerNorm):  # it has that of the last batches
                codes = keras.Model(model.input["x"], layer.input)(x, training=False)
                layer.power.assign(np.mean(np.sum(np.square(codes), axis=1)))
        inputs = {"x": x_validation, "offset": offset_validation}
        if noise_is_input:
            inputs["noise"] = np.zeros_like(offset_validation)
        val_losses.append(float(model.test_on_batch(inputs, x_validation)))
        model.reset_metrics()
    weights = {name: np.asarray(weight) for name, weight in named_weights(model).items()}
    return losses, val_losses, weights


STOCK: dict[str, Any] = {}  # the engines are compared with one run


def check_agrees(shared: Population, results: dict[str, TrainedRun], runs: list[Job]) -> None:
    for run in runs:
        key = f"{shared.architecture.key} {shared.batch_size} {shared.optimizer} {run.id}"
        if key not in STOCK:
            STOCK[key] = stock(shared, run)
        losses, val_losses, weights = STOCK[key]
        result = results[run.id]
        np.testing.assert_allclose(result.loss, losses, rtol=1e-4)
        np.testing.assert_allclose(result.val_loss, val_losses, rtol=1e-4)
        ours = by_name(shared, result)
        assert ours.keys() == weights.keys()
        for name, weight in ours.items():
            np.testing.assert_allclose(weight, weights[name], rtol=2e-3, atol=2e-4, err_msg=name)


def by_name(shared: Population, run: TrainedRun) -> dict[str, Any]:
    return dict(zip(shared.weight_names, run.weights or [], strict=True))


def check_equal(one: TrainedRun, other: TrainedRun) -> None:
    np.testing.assert_array_equal(one.loss, other.loss)
    np.testing.assert_array_equal(one.val_loss, other.val_loss)
    for ours, theirs in zip(one.weights or [], other.weights or [], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("network", "optimizer", "batch_size"),
    [
        ({}, "adam", 200),
        # With a last batch that is not full.
        ({"hidden": [8, 6], "activation": "tanh", "normalize": False}, "rmsprop", 24),
        ({"hidden": [], "output": "linear", "loss": "mean_squared_error"}, "sgd", N),
        ({"output": "softmax", "loss": "categorical_crossentropy"}, "adamw", BATCH),
        ({}, "adagrad", BATCH),  # has no kernel: Keras trains it
        ({"loss": "mean_absolute_error", "output": "linear"}, "sgd", BATCH),
        ({"loss": "poisson", "output": "softplus", "initializer": "lecun_normal"}, "adam", BATCH),
        ({"loss": "huber", "output": "tanh", "activation": "mish"}, "adam", BATCH),
        ({"code_l1": 0.01, "code_l2": 0.1, "normalize": "none", "dropout": 0.1}, "adam", BATCH),
    ],
    ids=str,
)
def test_every_network_agrees(network: dict[str, Any], optimizer: str, batch_size: int) -> None:
    dense = Network.model_validate({"latent_dim": L, "hidden": [8], **network})
    runs = [
        job("noise", seed=3, epochs=3, stddev=0.3),
        job("rate", epochs=3, learning_rate=3e-3),
        job("offset", seed=3, epochs=3),
        job("schedule", seed=3, epochs=3, schedule="cosine", schedule_end=0.1),
    ]
    # A program of one run compiles in a fraction of the time of one of a stack.
    most = None if not network or dense.dropout else 1
    architecture = Architecture(network=dense, input_dim=D)
    shared = Population(architecture, batch_size, optimizer, most_slots=most)
    compared = runs[:1] if dense.dropout else [*runs[:2], runs[3]]  # Keras compiles each anew
    check_agrees(shared, train(shared, runs), compared)


def test_every_system_agrees_and_trains_alone_as_in_company(architecture: Architecture) -> None:
    """Its frozen layers stay as they were; its loss is the reconstruction and the divergence."""
    stddev = 1.0 if architecture.system == "vae" else 0.3
    runs = [job(str(seed), seed, stddev=stddev, epochs=epochs) for seed, epochs in ((3, 3), (5, 2))]
    # The others stack no more than these: noise as an input, frozen weights, losses of layers.
    most = None if architecture.system in ("additive", "vae") or architecture.frozen else 1
    shared = Population(architecture, BATCH, "adam", most_slots=most)
    together = train(shared, runs)
    check_agrees(shared, together, runs[:1])
    run = together["3"]
    check_equal(train(shared, runs[:1])["3"], run)
    weights = by_name(shared, run)
    if architecture.frozen:
        initial = {w.path: np.asarray(w) for w in build_model(architecture, 3).weights}
        for name, weight in weights.items():
            assert np.array_equal(weight, initial[name]) == name.startswith("second_"), name
    assert run.adds_losses == (architecture.system == "vae")
    if run.adds_losses:
        rest = run.val_loss[-1] - run.val_reconstruction[-1]
        entropy, nats = entropy_and_divergence(architecture, weights)
        assert run.val_reconstruction[-1] == pytest.approx(entropy, rel=1e-5)
        assert architecture.beta is not None
        expected = architecture.beta * nats / architecture.input_dim
        assert rest == pytest.approx(expected, rel=1e-3)


def entropy_and_divergence(
    architecture: Architecture, weights: dict[str, Any]
) -> tuple[float, float]:
    """Cross-entropy of the validation samples, and nats per sample from the prior, by hand."""
    model = build_model(architecture)
    for weight in model.weights:
        weight.assign(weights[weight.path])
    x = samples(architecture.input_dim)[1]
    inputs = {"x": x, "offset": small_runs.TABLE_VALIDATION * np.float32(0.1)}
    layers = [model.get_layer(name).output for name in ("code", "code_log_variance")]
    encoded = keras.Model(model.inputs, layers)(inputs)
    mean, log_variance = (np.asarray(each, np.float64) for each in encoded)
    nats = 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1).sum(axis=1).mean()
    out = np.asarray(model(inputs), np.float64)
    return -np.mean(x * np.log(out) + (1 - x) * np.log(1 - out)), nats


def of_function(function: str, batch_size: int = BATCH, optimizer: str = "adam") -> Population:
    network = Network(latent_dim=L)
    users = Architecture(system="function", network=network, input_dim=D, function=function)
    return Population(users, batch_size, optimizer)


USERS_OWN = """
import keras

def regularised(input_dim, latent_dim, seed):
    x, offset = keras.Input((input_dim,), name="x"), keras.Input((latent_dim,), name="offset")
    start = iter(range(100 * seed, 100 * seed + 9))

    def dense(width, activation=None, **options):
        kernel = keras.initializers.GlorotUniform(seed=next(start))
        return keras.layers.Dense(width, activation, kernel_initializer=kernel, **options)

    hidden = keras.layers.BatchNormalization()(dense(8, "relu")(x))
    hidden = keras.layers.Dropout(0.4, seed=seed)(hidden)
    code = dense(latent_dim, name="code", activity_regularizer=keras.regularizers.L2(0.1))
    z = keras.layers.Add()([code(hidden), offset])
    block = keras.Sequential([dense(7, "tanh", kernel_regularizer="l2"), dense(6)])
    y = dense(input_dim, "sigmoid")(block(z))
    return keras.Model({"x": x, "offset": offset}, y)
"""


@pytest.mark.parametrize("engine", ["keras"], indirect=True)  # no other trains it
def test_a_users_own_model_agrees_and_trains_in_half_precision(tmp_path: Path) -> None:
    # Adam would blow up the rounding of gradients that normalised batches make zero.
    runs = [job("a", 3, epochs=3, stddev=0.2, learning_rate=0.1), job("b", 5, epochs=3)]
    with users_module(tmp_path, "users_regularised", USERS_OWN) as name:
        shared = of_function(f"{name}:regularised", optimizer="sgd")
        assert {layer.compute_dtype for layer in shared.model.layers} == {"float32"}
        together = train(shared, runs)
        check_agrees(shared, together, runs[:1])
        check_equal(train(shared, runs[:1])["a"], together["a"])
    line = '    keras.config.set_dtype_policy("mixed_float16")\n    start = iter'
    with users_module(tmp_path, "users_half", USERS_OWN.replace("    start = iter", line)) as name:
        shared = of_function(f"{name}:regularised", optimizer="sgd")
        assert "float16" in {layer.compute_dtype for layer in shared.model.layers}
        half = train(shared, runs[1:])["b"]
    np.testing.assert_allclose(half.val_loss, together["b"].val_loss, rtol=0.02)


@pytest.mark.parametrize("engine", ["keras"], indirect=True)
@pytest.mark.parametrize("stacked", [False, True])
def test_what_layers_assign_in_training_agrees(tmp_path: Path, stacked: bool) -> None:
    """To weights that train, too; weights of one name in two models within it are kept apart."""
    runs = [job("a", 3, epochs=3, stddev=0.2), job("b", 5, epochs=3)]
    function = "stacked" if stacked else "stateful"
    shared = of_function(f"tests.training.users_state:{function}", optimizer="sgd")
    assert (runs_per_stack(shared) > 1) == stacked
    together = train(shared, runs)
    check_agrees(shared, together, runs)
    results = goes_on_alone(shared, tmp_path)
    check_equal(results["a"], together["a"])


def goes_on_alone(shared: Population, folder: Path) -> dict[str, TrainedRun]:
    """Run "a" without company, interrupted in its second epoch and gone on with."""
    run = job("a", 3, epochs=3, stddev=0.2, checkpoint_seconds=0.0)
    told = itertools.count(1)

    def interrupt(jobs: Any) -> None:
        if next(told) == 2:
            raise KeyboardInterrupt

    options: dict[str, Any] = {"on_epoch": interrupt, "checkpoints": Checkpoints(folder)}
    with pytest.raises(KeyboardInterrupt):
        small_runs.train([run], shared, *samples(D), **options)
    assert list(folder.glob("a.npz"))
    return small_runs.train([run], shared, *samples(D), **options)


USERS_LOOPS = """
import keras
from keras import layers

CODES = {
    "Bidirectional": lambda series, seed: layers.Bidirectional(layers.LSTM(3, seed=seed))(
        layers.Masking(0.5)(series)
    ),
    "TimeDistributed": lambda series, seed: layers.Flatten()(
        layers.TimeDistributed(layers.SimpleRNN(2))(layers.Reshape((1, 6, 2))(series))
    ),
    "RNN of cells": lambda series, seed: layers.RNN(
        [layers.GRUCell(3, seed=seed), layers.SimpleRNNCell(4)]
    )(series),
    "Lambda": lambda series, seed: layers.Lambda(lambda s: keras.ops.map(keras.ops.tanh, s)[:, -1])(
        layers.Dense(3)(series)
    ),
}


def build(names, decodes, input_dim, latent_dim, seed):
    x, offset = keras.Input((input_dim,), name="x"), keras.Input((latent_dim,), name="offset")
    codes = [CODES[name](layers.Reshape((-1, 2))(x), seed) for name in names]
    hidden = layers.Concatenate()([*codes, layers.Dense(2)(x)])
    z = layers.Add()([layers.Dense(latent_dim, name="code")(hidden), offset])
    steps = layers.RepeatVector(input_dim // 2)(z)
    if decodes:
        steps = layers.GRU(4, return_sequences=True)(steps)
    y = layers.Flatten()(layers.TimeDistributed(layers.Dense(2, "sigmoid"))(steps))
    return keras.Model({"x": x, "offset": offset}, y)


def every(**options):
    return build(CODES, True, **options)


def one(**options):
    return build([], True, **options)
"""
LOOPS = ["Bidirectional", "TimeDistributed", "RNN of cells", "Lambda", "GRU"]


@pytest.mark.parametrize("engine", ["keras"], indirect=True)
@pytest.mark.parametrize(("loops", "batch_size"), [("every", BATCH), ("one", 24)])
def test_a_users_own_model_with_loops_agrees(tmp_path: Path, loops: str, batch_size: int) -> None:
    """Every kind of loop in one model, as compiling takes long; a last batch that is smaller."""
    with users_module(tmp_path, f"users_loops_{loops}", USERS_LOOPS) as module:
        runs = [job("a", 3, epochs=2, stddev=0.2), job("b", 5, epochs=2)]
        shared = of_function(f"{module}:{loops}", batch_size)
        together = train(shared, runs)
        check_agrees(shared, together, runs[:1])
        check_equal(train(shared, runs[:1])["a"], together["a"])


@pytest.mark.parametrize("engine", ["keras"], indirect=True)
@pytest.mark.parametrize("name", LOOPS)
def test_each_kind_of_loop_is_trained_one_run_at_a_time(tmp_path: Path, name: str) -> None:
    """TensorFlow can neither map a loop over runs nor compile its gradient within a loop."""
    of_code = [] if name == "GRU" else [name]
    source = f"def own(**options):\n    return build({of_code}, {name == 'GRU'}, **options)\n"
    source = f"{USERS_LOOPS}\n\n{source}"
    with users_module(tmp_path, f"users_loop_{LOOPS.index(name)}", source) as module:
        shared = of_function(f"{module}:own")
        assert runs_per_stack(shared) == 1
        program: Any = TensorFlowPrograms(shared).train
        assert program._jit_compile is False


FAINT = """
import keras

def build(input_dim, latent_dim, seed):
    keras.config.set_dtype_policy("POLICY")
    x, offset = keras.Input((input_dim,), name="x"), keras.Input((latent_dim,), name="offset")
    start = iter(range(100 * seed, 100 * seed + 9))

    def dense(width, **options):
        kernel = keras.initializers.GlorotUniform(seed=next(start))
        return keras.layers.Dense(width, kernel_initializer=kernel, **options)

    z = dense(latent_dim, name="code")(x)
    for _ in range(2):  # gradients of 1e-3 come back as 1e-9, which half precision does not have
        z = dense(8)(keras.layers.Rescaling(1e-3)(z))
    return keras.Model({"x": x, "offset": offset}, dense(input_dim, activation="sigmoid")(z))
"""


@pytest.mark.parametrize("engine", ["keras"], indirect=True)
def test_the_loss_of_half_precision_is_scaled(tmp_path: Path) -> None:
    """Gradients that float16 has no number for train the first layer as in single precision."""
    steps, run = [], job("a", 3, epochs=2)
    for name in ("mixed_float16", "float32"):
        with users_module(tmp_path, f"users_{name}", FAINT.replace("POLICY", name)) as module:
            shared = of_function(f"{module}:build")
            place = shared.weight_names.index("code/kernel")
            is_half = name == "mixed_float16"
            weights = (
                by_name(shared, train(shared, [run])["a"]) if is_half else stock(shared, run)[2]
            )
            steps.append(weights["code/kernel"] - shared.initial(3).weights[place])
    half, single = steps
    assert np.abs(single).mean() > 1e-5
    np.testing.assert_allclose(half, single, atol=0.2 * np.abs(single).mean())
