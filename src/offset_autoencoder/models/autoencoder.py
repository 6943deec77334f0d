"""Keras models of architectures, those of the user's own functions among them."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from offset_autoencoder.config.registries import load
from offset_autoencoder.errors import InputError
from offset_autoencoder.models import layers
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.backend import float32_policy, keras
from offset_autoencoder.models.graph import Variables as Variables
from offset_autoencoder.models.initializers import draw_kernel, layer_seed
from offset_autoencoder.models.nested import layers_named
from offset_autoencoder.models.systems import OFFSET_FACTOR, Noise, build_graph
from offset_autoencoder.user_code import blame_user_code, find_attribute


def build_model(
    architecture: Architecture,
    seed: int = 0,
    stddev: Noise = 0.0,
    *,
    noise_input: bool = False,
    offset_factor: float = 1.0,
) -> Any:
    """The Keras model of an architecture.

    Args:
        architecture: Its layers.
        seed: Seed of the initial weights and of the noise.
        stddev: As in :func:`.build_autoencoder`, or a range of it.
        noise_input: Whether noise that cannot be folded into the offset is a third input,
            ``noise`` (batch, latent_dim), instead of drawn by a layer.
        offset_factor: What the model itself multiplies its offset by.

    Returns:
        A functional ``keras.Model`` with the inputs ``x`` and ``offset``.

    Raises:
        InputError: where the user's own function does not return such a model.
    """
    system = architecture.system_record
    if system.is_users:
        model = load(system.build)(architecture, seed)
        return model if offset_factor == 1 else _of_scaled_offset(model, offset_factor)
    graph = build_graph(architecture, stddev, noise_input=noise_input, offset_factor=offset_factor)
    with float32_policy():  # whatever policy a module of the user's has set
        return layers.keras_model(graph, seed, "offset_autoencoder")


def _of_scaled_offset(model: Any, factor: float) -> Any:
    inputs = {key: keras.Input(tensor.shape[1:], name=key) for key, tensor in model.input.items()}
    scaled = keras.layers.Rescaling(factor, name=OFFSET_FACTOR)(inputs["offset"])
    return keras.Model(inputs, model({**inputs, "offset": scaled}), name=f"scaled_{model.name}")


def initial_variables(architecture: Architecture, model: Any, seed: int) -> Variables:
    """The variables from which a run of this seed starts.

    ``model`` is built of the architecture with ``noise_input``, whatever its seed and weights.
    """
    # The seed of a model decides their kernels and no other of their weights.
    norms = layers.SampledCode, layers.PowerNorm
    seeds_kernel_alone = (keras.layers.Dense, *layers.CONVOLUTIONS, *norms)
    weighted = [layer for layer in model.layers if layer.weights]
    kernels = {}
    draws = architecture.system_record.is_users or architecture.network.dropout
    if draws or any(type(layer) not in seeds_kernel_alone for layer in weighted):
        model = build_model(architecture, seed, noise_input=True)
    else:  # kernels are drawn in a tenth of the time that a model is built in
        for layer in weighted:
            if hasattr(layer, "kernel"):
                name, drawn = architecture.network.initializer, layer_seed(seed, layer.name)
                kernels[layer.kernel.path] = draw_kernel(name, drawn, layer.kernel.shape)
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
    layer named ``code``, (batch, latent_dim), tells the evaluation where its code is; it may stand
    in a model within the model, or be one.

    Raises:
        InputError: where the function is not found, raises, or returns something else.
    """
    name = str(architecture.function)
    where = f"models with function {name}"
    build = find_attribute(where, name)
    latent_dim = architecture.network.latent_dim
    if (policy := keras.config.dtype_policy().name) != "float32":  # one per thread, in Keras
        what = f"its module sets the dtype policy {policy!r} as it is imported, which has no effect"
        raise InputError(where, what, "set it in the function, or give its layers a dtype")
    with blame_user_code(where, "it"):
        model = _build_reproducibly(build, architecture.input_dim, latent_dim, seed)
    expected = {"x": (None, architecture.input_dim), "offset": (None, latent_dim)}
    if not isinstance(model, keras.Model):
        raise InputError(where, f"it must return a keras.Model, got a {type(model).__name__}")
    try:
        inputs = keras.tree.map_structure(lambda tensor: tuple(tensor.shape), model.input)
    except (AttributeError, ValueError):  # subclassed, or a Sequential without an Input
        inputs = None
    if inputs != expected:
        got = inputs or "one without inputs"
        what = f"it must return a model with the inputs {expected}, got {got}"
        mend = 'build it as keras.Model({"x": x, "offset": offset}, reconstruction)'
        raise InputError(where, what, mend)
    output = keras.tree.map_structure(lambda tensor: tuple(tensor.shape), model.output)
    if output != expected["x"]:
        what = f"its output must have the shape {expected['x']}, got {output}"
        raise InputError(where, what, "return the model to the reconstruction alone, made flat")
    for layer in layers_named(model, "code"):
        shape = tuple(getattr(layer.output, "shape", ()))
        if shape != expected["offset"]:
            what = f"its layer 'code' must have the shape {expected['offset']}, got {shape}"
            raise InputError(where, what, "give the layer another name where it is not the code")
    for name in ("train_step", "compute_loss"):
        if getattr(type(model), name) is not getattr(keras.Model, name):
            what = f"its class has a {name} of its own, which is not called: network.loss is"
            mend = "return a keras.Model, and add other losses by add_loss in the call of a layer"
            raise InputError(where, what, mend)
    if not model.trainable_variables:
        raise InputError(where, "its model has nothing to train: no layer has trainable weights")
    return model


def _build_reproducibly(build: Any, input_dim: int, latent_dim: int, seed: int) -> Any:
    """Call the user's function so that the seed decides all that it leaves open.

    Keras numbers unnamed layers thread by thread: in a new one their names do not depend on
    the models built before. It draws the seeds of unseeded layers from Python's generator.
    """
    before, floatx = random.getstate(), keras.config.floatx()
    random.seed(seed)
    try:
        with layers.drawn_as_on_tensorflow(), ThreadPoolExecutor(1) as pool:
            arguments = {"input_dim": input_dim, "latent_dim": latent_dim, "seed": seed}
            return pool.submit(build, **arguments).result()
    finally:
        random.setstate(before)
        keras.config.set_floatx(floatx)
