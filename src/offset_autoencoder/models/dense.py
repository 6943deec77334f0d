"""Dense networks in NumPy: the forward pass of their graph, and inference by it."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.graph import SHORTEST, Node
from offset_autoencoder.models.inference import Array, Decode, Encoded, RunInference, Weights
from offset_autoencoder.models.systems import build_graph

Floats = NDArray[Any]  # float32 or float64

# Klambauer et al. 2017, equation 14.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
_LEAST_POWER = 1e-12  # as in the models' own layer
_BLOCK_VALUES = 2**18  # of the widest layer at a time: 1 MB, which stays in the cache


def sigmoid(x: Floats) -> Floats:
    """``1 / (1 + exp(−x))``, small values to their full relative precision."""
    with np.errstate(over="ignore"):  # the reciprocal of infinity is the 0 that is meant
        y = np.exp(-x)
    y += np.float32(1)
    return np.reciprocal(y, out=y)


def softmax(x: Floats) -> Floats:
    """``exp(x) / Σ exp(x)``, row by row."""
    y = np.exp(x - x.max(axis=1, keepdims=True))
    y /= y.sum(axis=1, keepdims=True)
    return y


def _gelu(x: Floats) -> Floats:
    from scipy.special import ndtr

    return x * ndtr(x)


def _elu(x: Floats, alpha: float = 1.0) -> Floats:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "elu": _elu,
    "gelu": _gelu,
    "selu": lambda x: _SELU_SCALE * _elu(x, _SELU_ALPHA),
    "silu": lambda x: x * sigmoid(x),
    "linear": lambda x: x,
    "softmax": softmax,
    "softplus": lambda x: np.logaddexp(x, 0, dtype=x.dtype),
    "leaky_relu": lambda x: np.maximum(x, x.dtype.type(0.2) * x),
    "relu6": lambda x: np.clip(x, 0, 6),
    "exponential": np.exp,
}
"""By Keras's name; a network with another activation is run by Keras."""


def activate(x: Floats, name: str) -> Floats:
    """An activation by Keras's name of x (n, units), in its dtype; by Keras where not by NumPy."""
    if name in ACTIVATIONS:
        return ACTIVATIONS[name](x)
    from offset_autoencoder.models.backend import keras, tf

    return np.asarray(keras.activations.get(name)(tf.constant(x)))


def forward(x: Floats, layers: Iterable[tuple[Floats, Floats, str]]) -> Floats:
    """The output (n, units) of Dense layers for x (n, inputs), all in the dtype of x.

    ``layers`` are the kernel (inputs, units), bias (units,) and Keras's name of the activation
    of each.
    """
    for kernel, bias, activation in layers:
        y: Floats = x @ kernel.astype(x.dtype, copy=False)
        y += bias
        x = activate(y, activation)
    return x


def unit_norm(x: Floats) -> Floats:
    """Rows at unit L2 norm; those without a direction are zeros, as in the models' own layer."""
    if x.dtype == np.float64:
        length = np.linalg.norm(x, axis=1, keepdims=True)
    else:  # without an array of squares
        length = np.sqrt(np.einsum("ij,ij->i", x, x))[:, None]
    return np.divide(x, length, out=np.zeros_like(x), where=length > SHORTEST)


def runs_in_numpy(architecture: Architecture) -> bool:
    """True for Dense layers alone, with activations that NumPy has."""
    return architecture.is_dense and all(
        layer.activation in ACTIVATIONS for layer in architecture.dense_layers
    )


def _dense(node: Node, weights: Weights, x: Array) -> Array:
    kernel, bias = weights[f"{node.name}/kernel"], weights[f"{node.name}/bias"]
    return forward(x, [(kernel, bias, node.options["activation"])])


def _power_norm(node: Node, weights: Weights, x: Array) -> Array:
    power = float(weights[f"{node.name}/power"])
    return x / np.float32(math.sqrt(max(power, _LEAST_POWER)))


def _add(node: Node, weights: Weights, *terms: Array) -> Array:
    return functools.reduce(operator.add, terms)


def _average(node: Node, weights: Weights, *terms: Array) -> Array:
    return _add(node, weights, *terms) / np.float32(len(terms))


def _as_it_comes(node: Node, weights: Weights, x: Array, *_: Array) -> Array:
    return x


# Layers as they are when nothing trains: noise is off, and a drawn code is its mean.
_LAYERS: dict[str, Callable[..., Array]] = {
    "Dense": _dense,
    "UnitNorm": lambda node, weights, x: unit_norm(x),
    "PowerNorm": _power_norm,
    "Add": _add,
    "Average": _average,
    "Rescaling": lambda node, weights, x: x * np.float32(node.options["scale"]),
    "Concatenate": lambda node, weights, *parts: np.concatenate(parts, axis=1),
    "SampledCode": _as_it_comes,
    "Dropout": _as_it_comes,
    "CodePenalty": _as_it_comes,
}


class DenseNetwork(RunInference):
    """A network that :func:`runs_in_numpy`; its weights are named as in the Keras model."""

    stays_open = True

    def __init__(self, architecture: Architecture, weights: Weights) -> None:
        self.trainable_parameters = architecture.trainable_parameters
        self._weights = weights
        system, graph = architecture.system_record, build_graph(architecture)
        self._x, self._output = graph.inputs["x"], graph.output
        code, offset, log_variance = (
            graph.find(*filter(None, names))
            for names in (system.code_layers, [system.offset_layer], [system.log_variance_layer])
        )
        assert code is not None
        self._offset_input = graph.inputs["offset"]
        self._encoded = code, offset or self._offset_input, log_variance
        inputs = self._x, self._offset_input
        self._encoder = graph.between(inputs, filter(None, self._encoded))
        self._decoder = graph.between(self._encoded[:2], [self._output])
        self._widest = max(node.width or 0 for node in (self._x, *graph.layers))

    def encode(self, x: Array, offset: Array) -> Encoded:
        """See :meth:`.RunInference.encode`."""
        parts = []
        for rows in self._blocks(len(x)):
            given = {self._x: x[rows], self._offset_input: offset[rows]}
            outputs = self._forward(self._encoder, given)
            parts.append([node and outputs[node] for node in self._encoded])
        values: Iterator[Any] = zip(*parts, strict=True)
        joined: list[Any] = [None if v[0] is None else np.concatenate(v) for v in values]
        return Encoded(*joined)

    def decoder(self, x: Array) -> Decode:
        """See :meth:`.RunInference.decoder`; there is always a code."""
        return self._decode

    def _decode(self, code: Array | None, offset: Array) -> Array:
        assert code is not None
        output = np.empty((len(code), self._output.width or 0), np.float32)
        of_code, of_offset, _ = self._encoded
        for rows in self._blocks(len(code)):
            given = {of_code: code[rows], of_offset: offset[rows]}
            output[rows] = self._forward(self._decoder, given)[self._output]
        return output

    def _forward(self, nodes: Iterable[Node], outputs: dict[Node, Array]) -> dict[Node, Array]:
        """The outputs given and those of layers, which stand in order."""
        for node in nodes:
            read = [outputs[read] for read in node.inputs]
            outputs[node] = _LAYERS[node.kind](node, self._weights, *read)
        return outputs

    def _blocks(self, samples: int) -> Iterator[slice]:
        size = max(1, _BLOCK_VALUES // self._widest)
        yield from (slice(start, start + size) for start in range(0, samples, size))
