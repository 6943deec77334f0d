"""Dense layers in NumPy, so that a fitted encoder is applied without TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Layer = tuple[NDArray[Any], NDArray[Any]]

# Klambauer et al. 2017, equation 14.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
_SHORTEST = 1e-6


def _sigmoid(x: Float64) -> Float64:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def _elu(x: Float64) -> Float64:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _gelu(x: Float64) -> Float64:
    from scipy.special import ndtr

    return x * ndtr(x)


def _selu(x: Float64) -> Float64:
    return _SELU_SCALE * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0)))


ACTIVATIONS: dict[str, Callable[[Float64], Float64]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "elu": _elu,
    "gelu": _gelu,
    "selu": _selu,
    "silu": lambda x: x * _sigmoid(x),
    "linear": lambda x: x,
}


def dense_layers(x: Float64, layers: Sequence[Layer], activation: str) -> Float64:
    """Dense layers with Keras's activations, the last one linear.

    Args:
        x: (n, inputs).
        layers: Kernel (inputs, outputs) and bias (outputs,) of each.
        activation: A key of :data:`ACTIVATIONS`, of all layers but the last.

    Returns:
        (n, outputs of the last layer).
    """
    *hidden, (kernel, bias) = layers
    for weights, shift in hidden:
        x = ACTIVATIONS[activation](x @ weights.astype(np.float64) + shift)
    return x @ kernel.astype(np.float64) + bias


def unit_norm(x: Float64) -> Float64:
    """Rows at unit L2 norm; those without a direction are zeros, as in the models' own layer."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, length, out=np.zeros_like(x), where=length > _SHORTEST)
