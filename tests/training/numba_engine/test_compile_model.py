"""Models that are left to TensorFlow: the compiled loop would train them otherwise than Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.layers import SampledCode, UnitNorm
from offset_autoencoder.models.nested import named_weights
from offset_autoencoder.models.systems import build_graph
from offset_autoencoder.training.engine import Untrainable
from offset_autoencoder.training.numba_engine import compile_model as compilation
from offset_autoencoder.training.numba_engine.keras_graph import graph_of
from offset_autoencoder.training.numba_engine.program import Program

D, L = 6, 3
layers = keras.layers


def compile_model(
    model: Any, loss: str = "binary_crossentropy", optimizer: str = "adam"
) -> Program | None:
    """The program, or None where the compiled loop does not know a part."""
    try:
        return compilation.compile_model(graph_of(model), loss, optimizer, 8)
    except Untrainable:
        return None


def model(
    between: Callable[[Any], Any] = lambda hidden: hidden,
    *,
    first: Any = "relu",
    output: Any = "sigmoid",
    kind: Any = keras.Model,
) -> Any:
    """A plain autoencoder with something between its hidden layer and its code."""
    x, offset = keras.Input((D,), name="x"), keras.Input((L,), name="offset")
    hidden = between(layers.Dense(5, first, name="hidden")(x))
    z = layers.Add()([layers.Dense(L, name="code")(hidden), offset])
    y = layers.Dense(D, output, name="reconstruction")(z)
    return kind({"x": x, "offset": offset}, y)


def elu(x: Any) -> Any:
    """Of the user's own, under a name that Keras has too."""
    return keras.ops.elu(x, 0.5)


class Halved(keras.Model):  # type: ignore[misc]
    def call(self, inputs: Any, **options: Any) -> Any:
        return 0.5 * super().call(inputs, **options)


def shared_layer(hidden: Any) -> Any:
    layer = layers.Dense(5)
    return layer(layer(hidden))


def mixed_precision(hidden: Any) -> Any:
    return layers.Dense(4, dtype="mixed_bfloat16")(hidden)


def regularized_elsewhere(hidden: Any) -> Any:
    return layers.Activation("relu", activity_regularizer="l2")(hidden)


BETWEEN: dict[str, Callable[[Any], Any]] = {
    "batch normalisation": lambda h: layers.BatchNormalization()(h),
    "kernel regulariser": lambda h: layers.Dense(4, kernel_regularizer="l2")(h),
    "bias regulariser": lambda h: layers.Dense(4, bias_regularizer="l1")(h),
    "activity regulariser": lambda h: layers.Dense(4, activity_regularizer="l2")(h),
    "activity regulariser elsewhere": regularized_elsewhere,
    "constraint": lambda h: layers.Dense(4, kernel_constraint="non_neg")(h),
    "dropout": lambda h: layers.Dropout(0.1)(h),
    "nested model": lambda h: keras.Sequential([layers.Dense(4)])(h),
    "layer used twice": shared_layer,
    "rescaling with an offset": lambda h: layers.Rescaling(2.0, offset=0.1)(h),
    "rescaling of each column": lambda h: layers.Rescaling([1.0, 2.0, 3.0, 4.0, 5.0])(h),
    "another activation": lambda h: layers.Dense(4, "mish")(h),
    "an activation layer of another kind": lambda h: layers.LeakyReLU(0.1)(h),
    "a function of the user's": lambda h: layers.Dense(4, elu)(h),
    "an operation of Keras": lambda h: layers.Dense(4, keras.ops.gelu)(h),  # approximate
    "a layer of that": lambda h: layers.Activation(elu)(h),
    "softmax inside": lambda h: layers.Dense(4, "softmax")(h),
    "mixed precision": mixed_precision,
    "double precision": lambda h: layers.Dense(4, dtype="float64")(h),
    "an operation without a layer": lambda h: 2 * h,
    "columns of different width": lambda h: layers.Add()([h, layers.Dense(1)(h)]),
    "noise of its own": lambda h: layers.GaussianNoise(0.1)(h),
    "a code that draws its own noise": lambda h: SampledCode()([h, h]),
}


def test_the_plain_model_is_translated() -> None:
    """Or no refusal below would say anything."""
    assert compile_model(model())
    assert compile_model(model(lambda h: UnitNorm()(layers.Rescaling(2)(h))))
    assert compile_model(model(first=keras.activations.elu))


def test_a_system_is_compiled_as_its_keras_model_is(architecture: Architecture) -> None:
    """Layers, weights and operations in the same order: a run has the same bytes by either way."""
    graph = build_graph(architecture, noise_input=True)
    stock = build_model(architecture, noise_input=True)
    named = [layer.name for layer in stock.layers if not isinstance(layer, layers.InputLayer)]
    assert [node.name for node in graph.layers] == named
    if not architecture.is_dense:
        with pytest.raises(Untrainable):
            compilation.compile_model(graph, architecture.network.loss, "adam", 8)
        return
    variables = [*stock.trainable_variables, *stock.non_trainable_weights]
    assert [weight.name for weight in graph.weights] == [*named_weights(stock)]
    assert [weight.trains for weight in graph.weights] == [v.trainable for v in variables]
    for value, variable in zip(graph.initial_weights(0), variables, strict=True):
        np.testing.assert_array_equal(value, np.asarray(variable), err_msg=variable.path)
    if architecture.network.normalize != "power":
        loss = architecture.network.loss
        ours = compilation.compile_model(graph, loss, "adam", 8)
        expected = compile_model(stock, loss)
        assert expected is not None
        for field, value in expected._asdict().items():
            np.testing.assert_array_equal(getattr(ours, field), value, err_msg=field)


@pytest.mark.parametrize("what", BETWEEN)
def test_what_the_loop_does_not_know_is_left_to_tensorflow(what: str) -> None:
    assert compile_model(model(BETWEEN[what])) is None


@pytest.mark.parametrize(
    ("loss", "output"),
    [
        ("binary_crossentropy", "linear"),
        ("binary_crossentropy", "tanh"),
        ("categorical_crossentropy", "sigmoid"),
        ("mean_squared_error", "softmax"),
    ],
)
def test_a_loss_of_something_that_is_no_probability(loss: str, output: str) -> None:
    assert compile_model(model(output=output), loss) is None


def test_a_model_that_calls_its_layers_otherwise() -> None:
    assert compile_model(model(kind=Halved)) is None


def test_an_output_that_is_used_again() -> None:
    plain = model()
    y = plain.output
    for outputs in ([y, layers.Dense(2)(y)], {"y": y}):
        assert compile_model(keras.Model(plain.input, outputs), "mean_squared_error") is None
    last = layers.Concatenate()([layers.Activation("linear")(y), y])
    assert compile_model(keras.Model(plain.input, last), "mean_squared_error") is None


def test_inputs_of_other_names() -> None:
    x, offset = keras.Input((D,), name="x"), keras.Input((L,), name="offset")
    y = layers.Dense(D)(layers.Concatenate()([x, offset]))
    assert compile_model(keras.Model([x, offset], y), "mean_squared_error") is None
    assert compile_model(keras.Model({"x": x}, layers.Dense(D)(x)), "mean_squared_error") is None


@pytest.mark.parametrize("part", ["kernel", "bias"])
def test_a_layer_of_which_a_part_is_frozen(part: str) -> None:
    """Else its bias would be looked for among the gradients of what trains."""
    plain = model()
    getattr(plain.get_layer("code"), part).trainable = False
    assert compile_model(plain) is None


def test_an_optimizer_without_a_kernel() -> None:
    assert compile_model(model(), optimizer="adagrad") is None


@pytest.mark.parametrize(
    ("between", "loss", "unknown"),
    [
        (lambda h: layers.Dropout(0.1, name="left_out")(h), "huber", "layer 'left_out', Dropout"),
        (lambda h: layers.Dense(4, "mish")(h), "huber", "activation mish"),
        (lambda h: layers.Dense(4)(h), "log_cosh", "loss log_cosh"),
    ],
)
def test_what_it_does_not_know_is_named(between: Any, loss: str, unknown: str) -> None:
    with pytest.raises(Untrainable, match=f"^{unknown}$"):
        compilation.compile_model(graph_of(model(between, output="linear")), loss, "adam", 8)


def test_the_weights_that_train_come_first() -> None:
    plain = model()
    plain.get_layer("hidden").trainable = False
    program = compile_model(plain)
    assert program is not None
    assert program.size == plain.count_params()
    assert program.trained == program.size - 5 * (D + 1)
    frozen, *others = program.operations[program.operations["kernel"] >= 0]
    assert (frozen["kernel"], frozen["trains"]) == (program.trained, 0)
    assert [op["kernel"] for op in others] == [0, L * 6]
