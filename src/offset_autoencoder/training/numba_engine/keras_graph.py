"""The graph of a Keras model of the user's own, where all its layers are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from offset_autoencoder.models.backend import keras
from offset_autoencoder.models.graph import Graph, Node
from offset_autoencoder.models.layers import SampledCode, UnitNorm
from offset_autoencoder.training.engine import Untrainable
from offset_autoencoder.training.numba_engine.compile_model import ACTIVATIONS, ITS_STRUCTURE

_INPUTS = ("x", "offset", "noise")


def graph_of(model: Any) -> Graph:
    """Graph of a functional Keras model with the inputs ``x``, ``offset`` and maybe ``noise``.

    Raises:
        Untrainable: where it has a layer that is not one of those known here, or uses it in a way
            that is not known.
    """
    if not type(model).__module__.startswith("keras."):
        raise Untrainable(ITS_STRUCTURE)  # a class of the user's may call its layers otherwise
    inputs = model.input
    if not isinstance(inputs, dict) or not {"x", "offset"} <= set(inputs) <= set(_INPUTS):
        raise Untrainable(ITS_STRUCTURE)
    by_name = {key: Node("Input", key, width=inputs[key].shape[-1]) for key in inputs}
    nodes = {id(tensor): by_name[key] for key, tensor in inputs.items()}
    layers = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if any(id(tensor) not in nodes for tensor in _inputs(layer)):
            raise Untrainable(ITS_STRUCTURE)
        nodes[id(layer.output)] = node = _node(layer, nodes)
        layers.append(node)
    if id(model.output) not in nodes:
        raise Untrainable(ITS_STRUCTURE)
    graph = Graph(by_name, nodes[id(model.output)], layers)
    trained = model.trainable_variables
    variables = [*trained, *model.non_trainable_weights]
    shapes = [(tuple(v.shape), number < len(trained)) for number, v in enumerate(variables)]
    is_known = [(weight.shape, weight.trains) for weight in graph.weights] == shapes
    if not is_known or any(v.dtype != "float32" for v in variables):
        raise Untrainable(ITS_STRUCTURE)  # a part of a layer is frozen, say
    return graph


def _node(layer: Any, nodes: dict[int, Node]) -> Node:
    options_of = _OPTIONS.get(type(layer))
    if options_of is None or layer.dtype_policy.name != "float32" or layer.activity_regularizer:
        raise Untrainable(f"layer {layer.name!r}, {type(layer).__name__}")
    shape = tuple(layer.output.shape)
    if len(shape) != 2 or shape[1] is None:
        raise Untrainable(ITS_STRUCTURE)
    inputs = tuple(nodes[id(tensor)] for tensor in _inputs(layer))
    return Node(type(layer).__name__, layer.name, inputs, options_of(layer), int(shape[1]))


def _inputs(layer: Any) -> list[Any]:
    """A layer's inputs; a layer that is used twice has no single ones."""
    try:
        inputs = layer.input
    except AttributeError:
        raise Untrainable(ITS_STRUCTURE) from None
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


def _dense(layer: Any) -> dict[str, Any]:
    config = layer.get_config()
    regularized = (
        key.endswith(("_regularizer", "_constraint")) and value is not None
        for key, value in config.items()
    )
    if any(regularized) or config.get("lora_rank") or config.get("quantization_mode"):
        raise Untrainable(ITS_STRUCTURE)
    options = {"use_bias": layer.use_bias, "trainable": layer.trainable}
    return {"units": layer.units, **_activation(layer), **options}


def _activation(layer: Any) -> dict[str, Any]:
    # Not by its name, which a function of the user's may have too.
    for name in ACTIVATIONS:
        if layer.activation is getattr(keras.activations, name):
            return {"activation": name}
    raise Untrainable(f"activation {getattr(layer.activation, '__name__', layer.activation)}")


def _rescaling(layer: Any) -> dict[str, Any]:
    if np.ndim(layer.scale) or np.any(layer.offset):
        raise Untrainable(ITS_STRUCTURE)
    return {"scale": layer.scale}


def _concatenate(layer: Any) -> dict[str, Any]:
    if layer.axis not in (-1, 1):
        raise Untrainable(ITS_STRUCTURE)
    return {}


def _config(layer: Any) -> dict[str, Any]:
    return dict(layer.get_config())


_OPTIONS: dict[type, Callable[[Any], dict[str, Any]]] = {
    keras.layers.Dense: _dense,
    keras.layers.Activation: _activation,
    keras.layers.Add: _config,
    keras.layers.Average: _config,
    keras.layers.Rescaling: _rescaling,
    keras.layers.Concatenate: _concatenate,
    UnitNorm: _config,
    SampledCode: _config,
}
