"""Loss and gradient of a program against TensorFlow's, of the same Keras model and batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.models.backend import keras, tf
from offset_autoencoder.models.layers import SampledCode, UnitNorm
from offset_autoencoder.training.engine import Untrainable
from offset_autoencoder.training.numba_engine.compile_model import compile_model
from offset_autoencoder.training.numba_engine.epoch import train_batches, validate
from offset_autoencoder.training.numba_engine.keras_graph import graph_of
from offset_autoencoder.training.numba_engine.program import (
    Program,
    Share,
    new_barrier,
    new_scratch,
    weight_owners,
)

D, L, ROWS, MOST, SAMPLES = 12, 4, 9, 16, 40
Feed = dict[str, Any]
layers = keras.layers


def feed(noise: bool, loss: str) -> Feed:
    rng = np.random.default_rng(1)
    x = rng.random((SAMPLES, D), dtype=np.float32)
    if loss == "categorical_crossentropy":
        x /= x.sum(axis=1, keepdims=True)
    given = {"x": x, "offset": rng.normal(size=(SAMPLES, L)).astype(np.float32)}
    if noise:
        given["noise"] = rng.normal(size=(SAMPLES, L)).astype(np.float32)
    return given


def compiled(model: Any, loss: str) -> Program:
    return compile_model(graph_of(model), loss, "sgd", MOST)


def variables_of(model: Any) -> list[Any]:
    return [*model.trainable_variables, *model.non_trainable_weights]


def whole(program: Program) -> Share:
    """All of a batch, by one thread."""
    return Share(1, weight_owners(program, 1), 0, 1, new_barrier())


def scratch(program: Program) -> Any:
    """As a run has it, but full of what an earlier batch may have left."""
    rng, arrays = np.random.default_rng(2), new_scratch(program)
    for array in arrays:
        array[:] = rng.normal(size=array.shape)
    return arrays


def by_tensorflow(model: Any, loss: str, given: Feed, *, training: bool) -> tuple[float, Any]:
    inputs = {name: tf.constant(array) for name, array in given.items()}
    with tf.GradientTape() as tape:
        output = model(inputs, training=training)
        total = tf.reduce_mean(keras.losses.get(loss)(inputs["x"], output)) + sum(model.losses)
    gradients = tape.gradient(total, model.trainable_variables)
    return float(total), [np.asarray(gradient) for gradient in gradients]


def check(model: Any, loss: str, step: int = 0) -> None:
    """One batch by both: loss, gradient of every weight, and loss of a validation."""
    program, rng = compiled(model, loss), np.random.default_rng(3)
    for variable in variables_of(model):
        if variable.path.endswith("step"):
            variable.assign(step)
        else:
            variable.assign(0.4 * rng.normal(size=variable.shape))
    weights = np.concatenate([np.ravel(np.asarray(v)) for v in variables_of(model)])
    assert weights.size == program.size
    given = feed("noise" in model.input, loss)
    order = rng.permutation(SAMPLES)[:ROWS].astype(np.int32)
    batch = {name: array[order] for name, array in given.items()}
    # What the loops are given: a read-only table and its factor, noise in the batch's order.
    offset = 2 * given["offset"]
    offset.flags.writeable = given["x"].flags.writeable = False
    noise = 4 * batch["noise"] if "noise" in batch else np.zeros((0, 0), np.float32)
    half, arrays, before = np.float32(0.5), scratch(program), weights.copy()
    rates = np.array([0.25])

    in_validation, in_training = np.zeros((2, 1)), np.zeros(1)
    validate(program, whole(program), weights, given["x"], offset, half, arrays, in_validation)
    moments = np.zeros((0, program.trained), np.float32)
    train_batches(
        program, whole(program), weights, moments, step, rates, 0.25, given["x"], offset, half,
        order, noise, arrays, in_training,
    )  # fmt: skip
    reconstruction, divergence = in_validation.sum(axis=1)
    validation, total = reconstruction + program.kl_weight * divergence, in_training.sum()

    if "noise" in given:
        given["noise"] = np.zeros_like(given["noise"])
    expected, _ = by_tensorflow(model, loss, given, training=False)
    np.testing.assert_allclose(validation / SAMPLES, expected, rtol=1e-5)
    expected, gradients = by_tensorflow(model, loss, batch, training=True)
    np.testing.assert_allclose(total / ROWS, expected, rtol=1e-5)
    flat = np.concatenate([gradient.ravel() for gradient in gradients])
    np.testing.assert_allclose(arrays.gradient, flat, rtol=1e-4, atol=1e-6)
    assert np.abs(flat).max() > 1e-3
    np.testing.assert_allclose(weights[: flat.size], before[: flat.size] - 0.25 * flat, atol=1e-5)
    kept = [p for p in range(flat.size, program.size) if p != program.steps_at]
    np.testing.assert_array_equal(weights[kept], before[kept])
    assert program.steps_at < 0 or weights[program.steps_at] == step + 1


@pytest.mark.parametrize("step", [0, 4, 20])
def test_gradients_of_every_system_are_those_of_tensorflow(
    architecture: Architecture, step: int
) -> None:
    """A variational autoencoder's warm-up lasts seven steps."""
    model, loss = build_model(architecture, noise_input=True), architecture.network.loss
    if not architecture.is_dense or architecture.network.dropout:
        with pytest.raises(Untrainable):
            compile_model(graph_of(model), loss, "sgd", MOST)
    else:
        check(model, loss, step)


def shared_values(x: Any, offset: Any) -> Any:
    """Values that several layers use, one of them as its only input twice over."""
    hidden = layers.Dense(8, "gelu", use_bias=False)(x)
    other = layers.Dense(8, "silu")(hidden)
    both = layers.Average()([hidden, other, layers.Activation("elu")(hidden)])
    twice = layers.Add()([both, both, hidden])
    code = layers.Rescaling(0.7)(UnitNorm()(layers.Dense(L)(twice)))
    wide = layers.Concatenate()([code, offset, code, layers.Dense(3, "softplus")(x)])
    decoded = layers.Activation("gelu")(layers.Dense(6, use_bias=False)(wide))
    return layers.Concatenate(axis=1)([decoded, layers.Activation("linear")(decoded), x])


def frozen_between(x: Any, offset: Any) -> Any:
    """A frozen layer that a gradient passes through, and one that none needs to."""
    still = layers.Dense(5, "tanh", trainable=False)(x)
    hidden = layers.Dense(5, "selu")(layers.Add()([still, layers.Dense(5)(x)]))
    code = layers.Dense(L, "leaky_relu", trainable=False)(hidden)
    return layers.Dense(6, "silu", trainable=False)(layers.Add()([offset, code]))


OUTPUTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "sigmoid": ("binary_crossentropy", lambda z: layers.Dense(D, "sigmoid")(z)),
    "sigmoid, of its own": (
        "binary_crossentropy",
        lambda z: layers.Activation("sigmoid")(layers.Dense(D, use_bias=False)(z)),
    ),
    "softmax": ("categorical_crossentropy", lambda z: layers.Dense(D, "softmax")(z)),
    "linear": ("mean_squared_error", lambda z: layers.Dense(D)(z)),
    "gelu": ("mean_squared_error", lambda z: layers.Dense(D, "gelu")(z)),
    "absolute error": ("mean_absolute_error", lambda z: layers.Dense(D)(z)),
    "huber": ("huber", lambda z: layers.Dense(D)(layers.Rescaling(3.0)(z))),
    "poisson": ("poisson", lambda z: layers.Dense(D, "softplus")(z)),
}


@pytest.mark.parametrize("body", [shared_values, frozen_between])
@pytest.mark.parametrize("output", OUTPUTS)
def test_gradients_of_a_users_own_model(body: Callable[[Any, Any], Any], output: str) -> None:
    x, offset = keras.Input((D,), name="x"), keras.Input((L,), name="offset")
    loss, last = OUTPUTS[output]
    model = keras.Model({"x": x, "offset": offset}, last(body(x, offset)))
    check(model, loss)


@pytest.mark.parametrize("trains", ["code", "log_variance", "both"])
def test_a_drawn_code_of_which_a_part_is_frozen(trains: str) -> None:
    x, offset, noise = (
        keras.Input((width,), name=name) for name, width in (("x", D), ("offset", L), ("noise", L))
    )
    mean, log_variance = (
        layers.Dense(L, name=name, trainable=trains in (name, "both"))(x)
        for name in ("code", "log_variance")
    )
    code = SampledCode(beta=0.3)([mean, log_variance, noise])
    y = layers.Dense(D, "sigmoid")(layers.Add()([code, offset]))
    model = keras.Model({"x": x, "offset": offset, "noise": noise}, y)
    check(model, "binary_crossentropy")


def test_a_code_without_direction_passes_no_gradient_and_no_nan() -> None:
    x, offset = keras.Input((D,), name="x"), keras.Input((L,), name="offset")
    unit = UnitNorm()(layers.Dense(L, "relu", name="dead")(x))
    y = layers.Dense(D)(layers.Add()([unit, offset]))
    model = keras.Model({"x": x, "offset": offset}, y)
    program = compiled(model, "mean_squared_error")
    # The first layer's: its kernel, then its bias.
    of_kernel, of_bias = slice(D * L), slice(D * L, D * L + L)
    assert [v.path for v in model.variables[:2]] == ["dead/kernel", "dead/bias"]
    flat, arrays, given = np.ones(program.size, np.float32), scratch(program), feed(False, "")
    flat[of_bias] = -180
    for name in ("x", "offset"):
        given[name].flags.writeable = False
    no_moments, no_noise = np.zeros((0, program.trained), np.float32), np.zeros((0, 0), np.float32)
    losses, order = np.zeros(1), np.arange(ROWS, dtype=np.int32)
    train_batches(
        program, whole(program), flat, no_moments, 0, np.array([0.1]), 0.0, given["x"],
        given["offset"], np.float32(1), order, no_noise, arrays, losses,
    )  # fmt: skip
    assert np.isfinite(losses).all()
    assert not arrays.gradient[of_kernel].any()
    assert not arrays.gradient[of_bias].any()
    assert np.isfinite(arrays.gradient).all()
