"""The user's own architecture: a function that returns a Keras model."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from offset_autoencoder.errors import InputError
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.backend import keras
from offset_autoencoder.user_code import blame_user_code, find_attribute


def build_user_model(architecture: Architecture, seed: int) -> Any:
    """Call the user's ``f(input_dim, latent_dim, seed)`` and check what it returns.

    The model has the inputs ``x`` (batch, input_dim) and ``offset`` (batch, latent_dim) and one
    output (batch, input_dim). Layers without a seed of their own get one that ``seed`` decides. A
    layer named ``code``, (batch, latent_dim), tells the evaluation where its code is.

    Raises:
        InputError: where the function is not found, raises, or returns something else.
    """
    name = str(architecture.function)
    where = f"models with function {name}"
    build = find_attribute(where, name)
    latent_dim = architecture.network.latent_dim
    with blame_user_code(where, "it"):
        model = _build_reproducibly(build, architecture.input_dim, latent_dim, seed)
    wanted = {"x": (None, architecture.input_dim), "offset": (None, latent_dim)}
    if not isinstance(model, keras.Model):
        raise InputError(where, f"it must return a keras.Model, got a {type(model).__name__}")
    given = _input_shapes(model)
    if given != wanted:
        raise InputError(
            where,
            f"it must return a model with the inputs {wanted}, got {given or 'one without inputs'}",
            'build it as keras.Model({"x": x, "offset": offset}, reconstruction)',
        )
    output = tuple(getattr(model.output, "shape", ()))
    if output != wanted["x"]:
        raise InputError(where, f"its output must have the shape {wanted['x']}, got {output}")
    for layer in model.layers:
        shape = tuple(getattr(layer.output, "shape", ()))
        if layer.name == "code" and shape != wanted["offset"]:
            raise InputError(
                where,
                f"its layer 'code' must have the shape {wanted['offset']}, got {shape}",
                "give the layer another name where it is not the code",
            )
    if not model.trainable_variables:
        raise InputError(where, "its model has nothing to train: no layer has trainable weights")
    return model


def _input_shapes(model: Any) -> Any:
    """The shapes of a model's inputs by name, as list or alone; None where it was never called."""
    try:
        given = model.input
    except (AttributeError, ValueError):  # subclassed, or a Sequential without an Input
        return None
    if isinstance(given, dict):
        return {key: tuple(tensor.shape) for key, tensor in given.items()}
    if isinstance(given, list | tuple):
        return [tuple(tensor.shape) for tensor in given]
    return tuple(given.shape)


def _build_reproducibly(build: Any, input_dim: int, latent_dim: int, seed: int) -> Any:
    """Call the user's function so that the seed decides all that it leaves open.

    Keras numbers unnamed layers thread by thread: in a new one their names do not depend on
    the models built before. It draws the seeds of unseeded layers from Python's generator.
    """
    before = random.getstate()
    random.seed(seed)
    try:
        with ThreadPoolExecutor(1) as pool:
            arguments = {"input_dim": input_dim, "latent_dim": latent_dim, "seed": seed}
            return pool.submit(build, **arguments).result()
    finally:
        random.setstate(before)
