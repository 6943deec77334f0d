from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.users_module import users_modules

from offset_autoencoder.config.schema import Network
from offset_autoencoder.errors import InputError
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.nested import layers_named

Write = Callable[[str], str]
HEAD = """
import keras


def inputs(input_dim, latent_dim):
    x = keras.Input((input_dim,), name="x")
    return x, keras.Input((latent_dim,), name="offset")


"""
UNNAMED = """
def build(input_dim, latent_dim, seed):
    x, offset = inputs(input_dim, latent_dim)
    hidden = keras.layers.Dropout(0.5)(keras.layers.Dense(5)(x))
    code = keras.layers.Dense(latent_dim)(hidden)
    y = keras.layers.Dense(input_dim)(keras.layers.Add()([code, offset]))
    return keras.Model({"x": x, "offset": offset}, y)
"""


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Write a module of the user's with a function ``build``; give back what names it."""
    with users_modules(tmp_path, HEAD) as write_module:
        yield lambda source: f"{write_module(source)}:build"


def build(function: str, seed: int = 0, input_dim: int = 6) -> Any:
    architecture = Architecture(
        system="function", network=Network(latent_dim=3), input_dim=input_dim, function=function
    )
    return build_model(architecture, seed)


def weights(model: Any) -> dict[str, Any]:
    return {weight.path: np.asarray(weight) for weight in model.weights}


def test_the_users_function_is_called_with_the_dimensions(write: Write) -> None:
    model = build(write(UNNAMED))
    assert {name: tuple(tensor.shape) for name, tensor in model.input.items()} == {
        "x": (None, 6),
        "offset": (None, 3),
    }
    assert model.output.shape == (None, 6)


def test_the_example_of_the_documentation_is_built(write: Write) -> None:
    text = (Path(__file__).parents[2] / "docs" / "own-network.md").read_text()
    source = text.partition("```python\n")[2].partition("```")[0]
    model = build(write(source), input_dim=64)
    assert [layer.name for layer in layers_named(model, "code")] == ["code"]


def test_unnamed_layers_have_the_same_names_whatever_was_built_before(write: Write) -> None:
    name = write(UNNAMED)
    first = build(name)
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(3)])
    again = build(name)
    assert len(weights(first)) == 6
    assert list(weights(again)) == list(weights(first))


def test_the_seed_decides_the_weights_of_layers_without_one(write: Write) -> None:
    name = write(UNNAMED)
    random.seed(1)
    before = random.getstate()
    first = weights(build(name, 3))
    assert random.getstate() == before
    random.seed(2)
    again, other = weights(build(name, 3)), weights(build(name, 4))
    for path, weight in first.items():
        np.testing.assert_array_equal(again[path], weight)
        assert "bias" in path or not np.array_equal(other[path], weight)
    assert not np.array_equal(
        first["dense/kernel"].ravel()[:9], first["dense_1/kernel"].ravel()[:9]
    )


def test_what_it_raises_is_one_line_that_names_its_place(write: Write) -> None:
    name = write("def build(input_dim, latent_dim, seed):\n    return 1 / 0")
    with pytest.raises(
        InputError, match="raised ZeroDivisionError: division by zero, at"
    ) as caught:
        build(name)
    module = name.partition(":")[0]
    assert str(caught.value).startswith(f"models with function {name}: it raised Zero")
    assert str(caught.value).count(name) == 1
    assert f"{module}.py:{HEAD.count(chr(10)) + 2}" in str(caught.value)


def returning(model: str) -> str:
    return f"""
        def build(input_dim, latent_dim, seed):
            x, offset = inputs(input_dim, latent_dim)
            z = keras.layers.Dense(latent_dim)(x) + offset
            y = keras.layers.Dense(input_dim)(z)
            return {model}
    """


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (returning("None"), "must return a keras.Model, got a NoneType"),
        (returning("keras.Model([x, offset], y)"), "must return a model with the inputs"),
        (returning("keras.Sequential([keras.layers.Dense(6)])"), "got one without inputs"),
        (returning("keras.Sequential([keras.Input((6,)), keras.layers.Dense(6)])"), r"\(None, 6\)"),
        (returning("type('Mine', (keras.Model,), {})()"), "got one without inputs"),
        (
            returning("keras.Model({'x': x, 'offset': offset}, keras.layers.Identity()(x))"),
            "its model has nothing to train",
        ),
        (returning("keras.Model({'x': x}, keras.layers.Dense(6)(x))"), "with the inputs"),
        (
            returning(
                "type('Mine', (keras.Model,), {'train_step': print})({'x': x, 'offset': offset}, y)"
            ),
            "its class has a train_step of its own, which is not called",
        ),
        (returning("keras.Model({'x': x, 'o': offset}, y)"), "with the inputs"),
        (returning("keras.Model({'x': offset, 'offset': x}, y)"), "with the inputs"),
        (returning("keras.Model({'x': x, 'offset': offset}, z)"), "its output must have"),
        (
            returning("keras.Model({'x': x, 'offset': offset}, {'y': y, 'z': z})"),
            r"\(None, 6\), got {'y': \(None, 6\), 'z': \(None, 3\)} \(return the model",
        ),
        ("def build(input_dim): ...", "raised TypeError: "),
        ("nothing = 1", "has no 'build'"),
        (
            """
            def build(input_dim, latent_dim, seed):
                x, offset = inputs(input_dim, latent_dim)
                code = keras.layers.Dense(7, name="code")(x)
                y = keras.layers.Dense(6)(keras.layers.Concatenate()([code, offset]))
                return keras.Model({"x": x, "offset": offset}, y)
            """,
            r"its layer 'code' must have the shape \(None, 3\), got \(None, 7\)",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict")
def test_what_is_no_such_model_is_one_line(write: Write, source: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build(write(source))
    assert "\n" not in str(caught.value)


def test_a_precision_that_would_reach_no_layer_is_refused(write: Write) -> None:
    """Keras keeps the policy by thread, and models are built in threads of their own."""
    name = write(f'keras.config.set_dtype_policy("mixed_float16")\n{UNNAMED}')
    try:
        with pytest.raises(InputError, match=r"'mixed_float16' as it is imported.*in the function"):
            build(name)
    finally:
        keras.config.set_dtype_policy("float32")
    inside = UNNAMED.replace(
        "    x, offset", '    keras.config.set_floatx("float64")\n    x, offset'
    )
    model = build(write(inside))
    assert {weight.dtype for weight in model.weights if "kernel" in weight.path} == {"float64"}
    assert keras.config.floatx() == "float32"
