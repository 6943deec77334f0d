"""Keras models of architectures, those of the user's own functions among them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from offset_autoencoder.config.registries import LOSSES, load
from offset_autoencoder.config.schema import Network
from offset_autoencoder.config.values import validate_section
from offset_autoencoder.errors import InputError
from offset_autoencoder.models import layers
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.backend import float32_policy, keras
from offset_autoencoder.models.graph import Variables as Variables
from offset_autoencoder.models.initializers import draw_kernel, layer_seed
from offset_autoencoder.models.nested import layers_named
from offset_autoencoder.models.systems import Noise, build_graph
from offset_autoencoder.user_code import blame_user_code, find_attribute


def build_autoencoder(
    input_dim: int,
    latent_dim: int = 16,
    hidden: Sequence[int] = (32,),
    *,
    activation: str = "relu",
    output: str = "sigmoid",
    normalize: bool | str = True,
    stddev: float = 0.0,
    seed: int = 0,
    **network: Any,
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
        normalize: ``"unit"`` or True: the code has unit L2 norm; ``"power"``: its mean squared
            norm is 1; ``"none"`` or False: it is as it comes.
        stddev: Gaussian noise per coordinate of the code, in training only; 0 adds no layer.
        seed: Seed of the initial weights and of the noise.
        network: Further keys of ``network:`` in params.yaml: ``initializer``, ``dropout`` ...

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
    keys = {"latent_dim": latent_dim, "hidden": list(hidden), "activation": activation}
    keys |= {"output": output, "loss": needs.get(output, "mean_squared_error")}
    keys |= {"normalize": normalize, **network}
    section = validate_section(Network, "build_autoencoder", keys)
    return build_model(Architecture(network=section, input_dim=input_dim), seed, stddev)


def build_model(
    architecture: Architecture, seed: int = 0, stddev: Noise = 0.0, *, noise_input: bool = False
) -> Any:
    """The Keras model of an architecture.

    Args:
        architecture: Its layers.
        seed: Seed of the initial weights and of the noise.
        stddev: As in :func:`build_autoencoder`, or a range of it.
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
    graph = build_graph(architecture, stddev, noise_input=noise_input)
    with float32_policy():  # whatever policy a module of the user's has set
        return layers.keras_model(graph, seed, "offset_autoencoder")


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
