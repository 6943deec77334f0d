"""Keras models: unit(encoder(x)) + offset + noise → decoder, its kin, and the user's own."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.registries import LOSSES, load
from offset_autoencoder.config.schema import Network
from offset_autoencoder.errors import InputError
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.layers import SampledCode, glorot_uniform
from offset_autoencoder.user_code import blame_user_code, find_attribute


def build_autoencoder(
    input_dim: int,
    latent_dim: int = 16,
    hidden: Sequence[int] = (32,),
    *,
    activation: str = "relu",
    output: str = "sigmoid",
    normalize: bool = True,
    stddev: float = 0.0,
    seed: int = 0,
) -> Any:
    """Build the offset-autoencoder ``x' = decoder(unit(encoder(x)) + offset + stddev · n)``.

    Encoder: a Dense layer with ``activation`` for each of ``hidden``, then a linear one to
    the code. Decoder: the same widths backwards, then a Dense layer with ``output``.
    Kernels are Glorot uniform, biases zero, each layer seeded by ``seed`` and its name: one
    seed, the same initial weights, with or without noise.

    Args:
        input_dim: Features of a sample.
        latent_dim: Dimension of the code.
        hidden: Widths of the encoder's hidden layers, possibly none.
        activation: Keras activation of the hidden layers.
        output: Keras activation of the reconstruction.
        normalize: Whether the code has unit L2 norm.
        stddev: Gaussian noise per coordinate of the code, in training only; 0 adds no layer.
        seed: Seed of the initial weights and of the noise.

    Returns:
        A functional ``keras.Model``, not compiled. Inputs, by name: ``x`` (batch, input_dim)
        and ``offset`` (batch, latent_dim), float32; output ``reconstruction``
        (batch, input_dim).

    Example:
        >>> model = build_autoencoder(64)
        >>> model.compile("adam", "binary_crossentropy")
        >>> model.fit({"x": x, "offset": offsets}, x)
    """
    needs = {loss.output: loss.name for loss in LOSSES.values() if loss.output}
    network = Network.model_validate(
        {
            "latent_dim": latent_dim,
            "hidden": list(hidden),
            "activation": activation,
            "output": output,
            "loss": needs.get(output, "mean_squared_error"),
            "normalize": normalize,
        }
    )
    return build_model(Architecture(network=network, input_dim=input_dim), seed, stddev)


def build_model(
    architecture: Architecture, seed: int = 0, stddev: float = 0.0, *, noise_input: bool = False
) -> Any:
    """The Keras model of an architecture.

    Args:
        architecture: Its layers.
        seed: Seed of the initial weights and of the noise.
        stddev: As in :func:`build_autoencoder`.
        noise_input: Whether noise that cannot be folded into the offset is a third input,
            ``noise`` (batch, latent_dim), instead of drawn by a layer.

    Returns:
        A functional ``keras.Model`` with the inputs ``x`` and ``offset``.

    Raises:
        InputError: where the user's own function does not return such a model.
    """
    system = architecture.system_record
    if system.is_users:
        return load(system.build)(architecture, seed)
    latent_dim = architecture.network.latent_dim
    inputs = {
        "x": keras.Input((architecture.input_dim,), name="x"),
        "offset": keras.Input((latent_dim,), name="offset"),
    }
    if noise_input and system.noise_is_input:
        inputs["noise"] = keras.Input((latent_dim,), name="noise")
    output = load(system.build)(architecture, inputs, seed, stddev)
    return keras.Model(inputs, output, name="offset_autoencoder")


class Variables(NamedTuple):
    """The variables of one run: those that train, and all others."""

    weights: list[NDArray[Any]]
    state: list[NDArray[Any]]


def initial_variables(architecture: Architecture, model: Any, seed: int) -> Variables:
    """The variables from which a run of this seed starts.

    ``model`` is built of the architecture with ``noise_input``, whatever its seed and weights.
    """
    layers = keras.layers
    # The seed of a model decides their kernels and no other of their weights.
    seeds_kernel_alone = (layers.Dense, layers.Conv2D, layers.Conv2DTranspose, SampledCode)
    weighted = [layer for layer in model.layers if layer.weights]
    is_users = architecture.system_record.is_users
    kernels = {}
    if is_users or any(type(layer) not in seeds_kernel_alone for layer in weighted):
        model = build_model(architecture, seed, noise_input=True)
    else:  # kernels are drawn in a tenth of the time that a model is built in
        with_kernel = [layer for layer in weighted if hasattr(layer, "kernel")]
        kernels = {
            layer.kernel.path: glorot_uniform(seed, layer.name)(layer.kernel.shape)
            for layer in with_kernel
        }
    return Variables(
        *(
            [np.asarray(kernels.get(variable.path, variable)) for variable in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        )
    )


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
    expected = {"x": (None, architecture.input_dim), "offset": (None, latent_dim)}
    if not isinstance(model, keras.Model):
        raise InputError(where, f"it must return a keras.Model, got a {type(model).__name__}")
    inputs = _input_shapes(model)
    if inputs != expected:
        raise InputError(
            where,
            f"it must return a model with the inputs {expected}, "
            f"got {inputs or 'one without inputs'}",
            'build it as keras.Model({"x": x, "offset": offset}, reconstruction)',
        )
    output = tuple(getattr(model.output, "shape", ()))
    if output != expected["x"]:
        raise InputError(where, f"its output must have the shape {expected['x']}, got {output}")
    for layer in model.layers:
        shape = tuple(getattr(layer.output, "shape", ()))
        if layer.name == "code" and shape != expected["offset"]:
            raise InputError(
                where,
                f"its layer 'code' must have the shape {expected['offset']}, got {shape}",
                "give the layer another name where it is not the code",
            )
    if not model.trainable_variables:
        raise InputError(where, "its model has nothing to train: no layer has trainable weights")
    return model


def _input_shapes(model: Any) -> Any:
    """The shapes of a model's inputs by name, as list or alone; None where it was never called."""
    try:
        inputs = model.input
    except (AttributeError, ValueError):  # subclassed, or a Sequential without an Input
        return None
    if isinstance(inputs, dict):
        return {key: tuple(tensor.shape) for key, tensor in inputs.items()}
    if isinstance(inputs, list | tuple):
        return [tuple(tensor.shape) for tensor in inputs]
    return tuple(inputs.shape)


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
