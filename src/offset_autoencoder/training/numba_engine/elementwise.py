"""Exponential, activations and their derivatives, as loops that compile to vector code."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from offset_autoencoder.training.numba_engine.compiler import compiled, inlined
from offset_autoencoder.training.numba_engine.program import (
    ELU,
    GELU,
    LEAKY_RELU,
    RELU,
    SELU,
    SIGMOID,
    SILU,
    SOFTPLUS,
    TANH,
)

_f = np.float32
_LOG2_E = _f(1.44269504)
# ln 2 in two parts, so that n · ln 2 is exact to more digits than float32 has.
_LN_2_HIGH, _LN_2_LOW = _f(0.693359375), _f(-2.12194440e-4)
_ZERO, _HALF, _ONE, _TWO = _f(0), _f(0.5), _f(1), _f(2)
_LOWEST = _f(-87.0)
_C2, _C3, _C4, _C5, _C6 = _f(1 / 2), _f(1 / 6), _f(1 / 24), _f(1 / 120), _f(1 / 720)
_LEAK = _f(0.2)
# Klambauer et al. 2017, as Keras rounds them.
_SELU_SCALE, _SELU_ALPHA = _f(1.05070098735548), _f(1.67326324235438)
_ROOT_HALF, _DENSITY_AT_0 = _f(0.70710678), _f(0.39894228)


@intrinsic
def _float_of_bits(context: Any, bits: Any) -> Any:
    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), build


# Numba fills in the first argument itself, which type checkers cannot know.
_bits_as_float: Callable[[Any], Any] = cast(Any, _float_of_bits)


@inlined
def exp_of_negative(x: Any) -> Any:
    """exp(x) for x ≤ 0, float32, to within four units in the last place; e⁻⁸⁷ below −87.

    With n = round(x / ln 2), exp(x) = 2ⁿ · exp(x − n ln 2); the second factor by its series,
    the first by writing n into the exponent's bits. Unlike the C library's it has no branch,
    so that a loop over it compiles to vector code.
    """
    x = max(x, _LOWEST)
    n = np.int32(x * _LOG2_E - _HALF)
    whole = _f(n)
    r = (x - whole * _LN_2_HIGH) - whole * _LN_2_LOW
    series = _C6
    series = series * r + _C5
    series = series * r + _C4
    series = series * r + _C3
    series = series * r + _C2
    series = series * r * r + r + _ONE
    return series * _bits_as_float(np.int32((n + np.int32(127)) << np.int32(23)))


@inlined
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(−x)), float32."""
    e = exp_of_negative(-abs(x))
    return (_ONE if x >= _ZERO else e) / (_ONE + e)


@compiled
def activate(kind: int, y: Any) -> None:
    """Apply an activation in place to (rows, width) float32."""
    flat = y.reshape(-1)
    if kind == RELU:
        for i in range(flat.size):
            flat[i] = max(flat[i], _ZERO)
    elif kind == SIGMOID:
        for i in range(flat.size):
            flat[i] = sigmoid(flat[i])
    elif kind == TANH:
        for i in range(flat.size):
            e = exp_of_negative(-_TWO * abs(flat[i]))
            size = (_ONE - e) / (_ONE + e)
            flat[i] = size if flat[i] >= _ZERO else -size
    elif kind == ELU:
        for i in range(flat.size):
            low = exp_of_negative(min(flat[i], _ZERO)) - _ONE
            flat[i] = flat[i] if flat[i] > _ZERO else low
    elif kind == SELU:
        for i in range(flat.size):
            low = _SELU_ALPHA * (exp_of_negative(min(flat[i], _ZERO)) - _ONE)
            flat[i] = _SELU_SCALE * (flat[i] if flat[i] > _ZERO else low)
    elif kind == SILU:
        for i in range(flat.size):
            flat[i] *= sigmoid(flat[i])
    elif kind == GELU:
        for i in range(flat.size):
            flat[i] *= _normal_below(flat[i])
    elif kind == SOFTPLUS:
        for i in range(flat.size):
            flat[i] = max(flat[i], _ZERO) + np.log1p(exp_of_negative(-abs(flat[i])))
    elif kind == LEAKY_RELU:
        for i in range(flat.size):
            flat[i] = max(flat[i], _LEAK * flat[i])


@inlined
def _normal_below(x: Any) -> Any:
    """The share of a standard normal distribution below x."""
    return _HALF * (_ONE + _f(math.erf(x * _ROOT_HALF)))


@compiled
def times_derivative(kind: int, x: Any, y: Any, gradient: Any) -> None:
    """Multiply a gradient, in place, by an activation's derivative at x, where it is y."""
    given, out, g = x.reshape(-1), y.reshape(-1), gradient.reshape(-1)
    if kind == RELU:
        for i in range(out.size):
            g[i] = g[i] if out[i] > _ZERO else _ZERO
    elif kind == SIGMOID:
        for i in range(out.size):
            g[i] *= out[i] * (_ONE - out[i])
    elif kind == TANH:
        for i in range(out.size):
            g[i] *= _ONE - out[i] * out[i]
    elif kind == ELU:
        for i in range(out.size):
            g[i] *= _ONE if out[i] > _ZERO else out[i] + _ONE
    elif kind == SELU:
        for i in range(out.size):
            low = out[i] + _SELU_SCALE * _SELU_ALPHA
            g[i] *= _SELU_SCALE if out[i] >= _ZERO else low
    elif kind == SILU:
        for i in range(out.size):
            s = sigmoid(given[i])
            g[i] *= s * (_ONE + given[i] * (_ONE - s))
    elif kind == GELU:
        for i in range(out.size):
            density = _DENSITY_AT_0 * exp_of_negative(-_HALF * given[i] * given[i])
            g[i] *= _normal_below(given[i]) + given[i] * density
    elif kind == SOFTPLUS:
        for i in range(out.size):
            g[i] *= _ONE - exp_of_negative(-out[i])
    elif kind == LEAKY_RELU:
        for i in range(out.size):
            g[i] *= _ONE if out[i] > _ZERO else _LEAK
