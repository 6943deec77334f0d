"""Forward pass of Dense layers in NumPy, in the dtype of its input; it starts no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]  # float32 or float64

# Klambauer et al. 2017, equation 14.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
_SHORTEST = 1e-6


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
}
"""By Keras's name; a network with another activation is run by Keras."""


def forward(x: Floats, layers: Iterable[tuple[Floats, Floats, str]]) -> Floats:
    """The output of Dense layers.

    Args:
        x: (n, inputs); its dtype is that of all products.
        layers: Kernel (inputs, units), bias (units,) and activation, a key of
            :data:`ACTIVATIONS`, of each.

    Returns:
        (n, units of the last layer), in the dtype of x.
    """
    for kernel, bias, activation in layers:
        y: Floats = x @ kernel.astype(x.dtype, copy=False)
        y += bias
        x = ACTIVATIONS[activation](y)
    return x


def unit_norm(x: Floats) -> Floats:
    """Rows at unit L2 norm; those without a direction are zeros, as in the models' own layer."""
    if x.dtype == np.float64:
        length = np.linalg.norm(x, axis=1, keepdims=True)
    else:  # without an array of squares
        length = np.sqrt(np.einsum("ij,ij->i", x, x))[:, None]
    return np.divide(x, length, out=np.zeros_like(x), where=length > _SHORTEST)
