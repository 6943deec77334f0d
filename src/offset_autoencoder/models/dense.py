"""Dense networks in NumPy: the forward pass of Dense layers, and inference by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.architecture import Architecture, DenseLayer
from offset_autoencoder.models.inference import Array, Decode, Encoded, RunInference, Weights

Floats = NDArray[Any]  # float32 or float64

# Klambauer et al. 2017, equation 14.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
_SHORTEST, _LEAST_POWER = 1e-6, 1e-12  # as in the models' own layers
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
    return np.divide(x, length, out=np.zeros_like(x), where=length > _SHORTEST)


def runs_in_numpy(architecture: Architecture) -> bool:
    """True for Dense layers alone, with activations that NumPy has."""
    return architecture.is_dense and all(
        layer.activation in ACTIVATIONS for layer in architecture.dense_layers
    )


class DenseNetwork(RunInference):
    """A network that :func:`runs_in_numpy`; its weights are named as in the Keras model."""

    stays_open = True

    def __init__(self, architecture: Architecture, weights: Weights) -> None:
        self.trainable_parameters = architecture.trainable_parameters
        self._architecture = architecture
        self._weights = weights
        units = (layer.units for layer in architecture.dense_layers)
        self._widest = max(architecture.input_dim, *units)

    def encode(self, x: Array, offset: Array) -> Encoded:
        """See :meth:`.RunInference.encode`."""
        parts = [self._encode(x[rows], offset[rows]) for rows in self._blocks(len(x))]
        values: Iterator[Any] = zip(*parts, strict=True)
        joined: list[Any] = [None if v[0] is None else np.concatenate(v) for v in values]
        return Encoded(*joined)

    def _encode(self, x: Array, offset: Array) -> Encoded:
        architecture, system = self._architecture, self._architecture.system_record
        if system.log_variance_layer:
            *hidden, last = architecture.encoder_layers()
            features = self._forward(x, hidden)
            log_variance = self._forward(features, [architecture.log_variance_layer])
            return Encoded(self._forward(features, [last]), offset, log_variance)
        codes = [self._code(x, prefix) for prefix in architecture.encoder_prefixes]
        code = codes[0]
        if len(codes) > 1:
            code = np.sum(codes, axis=0)
            if architecture.combine != "sum":
                code /= np.float32(len(codes))
        if system.learns_offset:
            second = self._forward(x, architecture.second_encoder_layers)
            if architecture.second_rms is not None:
                norm = architecture.second_rms * math.sqrt(architecture.network.latent_dim)
                second = unit_norm(second) * np.float32(norm)
            offset = offset + second
        return Encoded(code, offset, None)

    def _code(self, x: Array, prefix: str) -> Array:
        """The code of one encoder, of the norm that it should have."""
        code = self._forward(x, self._architecture.encoder_layers(prefix))
        normalize = self._architecture.network.normalize
        if normalize == "power":
            power = float(self._weights[f"{prefix}power_code/power"])
            return code / np.float32(math.sqrt(max(power, _LEAST_POWER)))
        return unit_norm(code) if normalize == "unit" else code

    def decoder(self, x: Array) -> Decode:
        """See :meth:`.RunInference.decoder`; there is always a code."""
        return self._decode

    def _decode(self, code: Array | None, offset: Array) -> Array:
        assert code is not None
        output = np.empty((len(code), self._architecture.input_dim), np.float32)
        layers = self._architecture.decoder_layers
        for rows in self._blocks(len(code)):
            if self._architecture.system_record.concatenates:
                z = np.concatenate([code[rows], offset[rows]], axis=1)
            else:
                z = code[rows] + offset[rows]
            output[rows] = self._forward(z, layers)
        return output

    def _blocks(self, samples: int) -> Iterator[slice]:
        size = max(1, _BLOCK_VALUES // self._widest)
        yield from (slice(start, start + size) for start in range(0, samples, size))

    def _forward(self, x: Array, layers: Iterable[DenseLayer]) -> Array:
        weights = self._weights
        return forward(
            x,
            (
                (weights[f"{layer.name}/kernel"], weights[f"{layer.name}/bias"], layer.activation)
                for layer in layers
            ),
        )
