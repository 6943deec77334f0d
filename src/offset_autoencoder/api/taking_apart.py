"""Trained Keras models of one's own, cloned and taken apart into an encoder and a decoder.

A model needs two inputs, for the sample and for the offset; or, of a model with one input, a
layer at whose output the offset is added, by default that of its Gaussian noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from offset_autoencoder.errors import InputError, did_you_mean, first_names, message_of
from offset_autoencoder.models.inference import KerasNetwork

_ENCODER = "encoder_of_x"


def take_apart(
    where: str,
    model: Any,
    shape: tuple[int, ...],
    latent_dim: int,
    inputs: Sequence[str],
    code: str | None,
) -> KerasNetwork:
    """A clone of a model as a network of flat samples and offsets.

    ``shape`` is that of a sample as it is given. ``inputs`` and ``code`` are as in
    :func:`.examine`; ``where`` names the model in errors.

    Raises:
        InputError: where it is no such model, or samples and offsets do not suit it.
    """
    from offset_autoencoder.models.backend import keras

    if keras.backend.backend() != "tensorflow":
        what = f"runs on Keras's backend {keras.backend.backend()}"
        raise InputError(where, what, "set KERAS_BACKEND=tensorflow before Keras is imported")
    clone = _clone(where, model, keras)
    x = keras.Input((math.prod(shape),), name="x")
    offset = keras.Input((latent_dim,), name="offset")
    width = (latent_dim,)
    what = f"has vectors of {latent_dim} numbers, "
    if len(clone.inputs) == 1:
        of_x, of_offset = clone.inputs[0], None
        code = code or _noise_layer(where, clone, keras)
    else:
        of_x, of_offset = _two_inputs(where, clone, inputs)
        code = code or _code_of(clone, of_offset)
        if (own := tuple(of_offset.shape[1:])) != width:
            raise InputError("offset", f"{what}{where} takes {own}")
    shaped = _shaped(where, of_x, x, shape, keras)
    if code is None:
        read = {id(of_x): shaped, id(of_offset): offset}
        output = clone(keras.tree.map_structure(lambda tensor: read[id(tensor)], clone.input))
    else:
        encoder, decoder = _cut(clone, code, of_x, of_offset, keras)
        if (own := tuple(encoder.output.shape[1:])) != width and of_offset is None:
            raise InputError("offset", f"{what}the output of the layer {code!r} has {own}")
        output = decoder([encoder(shaped), offset])
    size = int(np.prod([side or 0 for side in output.shape[1:]]))
    if size != x.shape[1]:
        what = f"gives {tuple(output.shape[1:])} per sample, x has {shape}"
        raise InputError(where, what, "give the model to the reconstruction alone")
    flat = keras.layers.Reshape((size,), name="flat_reconstruction")(output)
    whole = keras.Model({"x": x, "offset": offset}, flat)
    code = None if code is None else _ENCODER
    return KerasNetwork(whole, "function", where, compiled=True, code=code)


def _clone(where: str, model: Any, keras: Any) -> Any:
    """A copy with weights of its own: what takes a model apart leaves it unfit to be saved."""
    if not isinstance(model, keras.Model):
        what = f"must be a Keras model, or a list of them, got a {type(model).__name__}"
        raise InputError(where, what)
    if getattr(model, "inputs", None) is None:
        known = "call it on samples once, or begin it with keras.Input"
        subclassed = "build it by the functional interface, so that its layers are known"
        is_sequential = isinstance(model, keras.Sequential)
        raise InputError(where, "its inputs are not known", known if is_sequential else subclassed)
    if len(model.outputs) != 1:
        raise InputError(where, f"has {len(model.outputs)} outputs, expected the reconstruction")
    try:
        clone = keras.models.clone_model(model)
        clone.set_weights(model.get_weights())
    except Exception as error:  # whatever its layers raise
        raise InputError(where, f"cannot be copied: {message_of(error):.300}") from error
    return clone


def _shaped(where: str, tensor: Any, x: Any, shape: tuple[int, ...], keras: Any) -> Any:
    """Flat samples as the model reads them."""
    expected = tuple(tensor.shape[1:])
    sides = tuple(own or given for own, given in zip(expected, shape, strict=False))
    if len(sides) != len(expected) or int(np.prod(sides)) != x.shape[1]:
        raise InputError("x", f"has samples of shape {shape}, {where} takes {expected}")
    return x if len(sides) == 1 else keras.layers.Reshape(sides, name="shaped_x")(x)


def _two_inputs(where: str, model: Any, names: Sequence[str]) -> tuple[Any, Any]:
    tensors = {tensor.name: tensor for tensor in model.inputs}
    if isinstance(model.input, dict):
        tensors |= model.input
    for name in names:
        if name not in tensors:
            own = first_names(map(repr, tensors))
            mend = f"tell which is which, inputs=(X, OFFSET): its inputs are {own}"
            raise InputError("inputs", f"{where} has no input {name!r}", mend)
    if len(model.inputs) != 2:
        own = first_names(repr(tensor.name) for tensor in model.inputs)
        raise InputError(where, f"has {len(model.inputs)} inputs ({own}), expected two")
    x, offset = (tensors[name] for name in names)
    return x, offset


def _code_of(model: Any, offset: Any) -> str | None:
    """Name of the layer to whose output the offset is added, if that is clear."""
    from offset_autoencoder.models.backend import keras

    tensor = offset
    for _ in model.operations:
        inputs = [(one, keras.tree.flatten(_input_of(one))) for one in model.operations]
        read = [(one, tensors) for one, tensors in inputs if any(t is tensor for t in tensors)]
        if len(read) != 1:
            return None
        operation, tensors = read[0]
        others = [one for one in tensors if one is not tensor]
        if len(others) == 1:
            source = others[0]._keras_history.operation
            return source.name if isinstance(source, keras.layers.Layer) else None
        if others or len(outputs := keras.tree.flatten(operation.output)) != 1:
            return None
        tensor = outputs[0]  # what scales the offset, say
    return None


def _input_of(operation: Any) -> Any:
    try:
        return operation.input
    except (AttributeError, ValueError):  # called several times
        return []


def _noise_layer(where: str, model: Any, keras: Any) -> str:
    """Name of the only layer of Gaussian noise, in whose place an offset is put."""
    from offset_autoencoder.models.layers import CodeNoise
    from offset_autoencoder.models.nested import all_layers

    kinds = (keras.layers.GaussianNoise, CodeNoise)
    layers = list(all_layers(model))
    noise = [layer.name for layer in layers if isinstance(layer, kinds)]
    if len(noise) == 1:
        return str(noise[0])
    what = f"has one input and {len(noise) or 'no'} layers of Gaussian noise"
    names = first_names((repr(layer.name) for layer in layers), 20)
    mend = (
        f"name the layer at whose output the offset is added, code='NAME': its layers are {names}"
    )
    raise InputError(where, what, mend)


def _cut(model: Any, code: str, of_x: Any, of_offset: Any, keras: Any) -> tuple[Any, Any]:
    """A model cut after a layer: encoder, from x, and decoder, from [code, offset].

    ``of_offset`` None: the model has no such input, and the offset is added to the code.
    """
    from offset_autoencoder.models.nested import all_layers, with_output_of

    names = [layer.name for layer in all_layers(model)]
    if code not in names:
        raise InputError("code", f"there is no layer {code!r}", did_you_mean(code, names))
    if (found := with_output_of(model, code)) is None:
        raise InputError("code", f"the layer {code!r} has several outputs")
    graph, tensor = found
    places = {id(own): one for own, one in zip(model.inputs, graph.inputs, strict=True)}
    try:
        encoder = keras.Model(places[id(of_x)], tensor, name=_ENCODER)
        if of_offset is not None:
            return encoder, keras.Model([tensor, places[id(of_offset)]], graph.output)
        rest = keras.Model(tensor, graph.output)
    except ValueError:
        what = f"the layer {code!r} sees more than x, or what follows it reads x as well"
        mend = "name the layer that x alone decides and that x reaches the output by, code='NAME'"
        raise InputError("code", what, mend) from None
    both = [keras.Input(tensor.shape[1:]) for _ in range(2)]
    return encoder, keras.Model(both, rest(keras.layers.Add()(both)))
