"""Activations, losses and optimizers as compiled loops, by the names that Keras has for them.

Defaults of the optimizers and the place of epsilon are those of Keras 3. What has no kernel here
is trained by another engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from offset_autoencoder.training.numba_engine.compiler import compiled, inlined

# Activations. The derivative of most is told by their output; that of some needs their input,
# which is why a Dense layer with one of these becomes two operations.
LINEAR, RELU, SIGMOID, TANH, ELU, SELU, SOFTPLUS, LEAKY_RELU, SILU, GELU = range(10)
ACTIVATIONS = {
    "linear": LINEAR,
    "relu": RELU,
    "sigmoid": SIGMOID,
    "tanh": TANH,
    "elu": ELU,
    "selu": SELU,
    "softplus": SOFTPLUS,
    "leaky_relu": LEAKY_RELU,
    "silu": SILU,
    "gelu": GELU,
}
NEED_INPUT = frozenset({SILU, GELU})

# Kinds of losses. The crossentropies take the logits of the output activation that they need.
SIGMOID_CROSSENTROPY, SOFTMAX_CROSSENTROPY, SQUARED_ERROR, ABSOLUTE_ERROR, HUBER, POISSON = range(6)
LOSSES = {
    "binary_crossentropy": SIGMOID_CROSSENTROPY,
    "categorical_crossentropy": SOFTMAX_CROSSENTROPY,
    "mean_squared_error": SQUARED_ERROR,
    "mean_absolute_error": ABSOLUTE_ERROR,
    "huber": HUBER,
    "poisson": POISSON,
}
LOGITS_OF = {SIGMOID_CROSSENTROPY: "sigmoid", SOFTMAX_CROSSENTROPY: "softmax"}

# Kinds of optimizers, and how many arrays of the weights' shape each carries from step to step.
ADAM, ADAMW, RMSPROP, SGD = range(4)
OPTIMIZERS = {"adam": ADAM, "adamw": ADAMW, "rmsprop": RMSPROP, "sgd": SGD}
MOMENTS = {ADAM: 2, ADAMW: 2, RMSPROP: 1, SGD: 0}

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
# Factors between 1 and 2: so many neither overflow float32 nor lose more than rounding.
_MOST_FACTORS = 64
_BETA_1, _BETA_2, _RHO = _f(1 - 0.9), _f(1 - 0.999), _f(1 - 0.9)
_EPSILON = _f(1e-7)


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


@compiled
def loss_and_gradient(
    kind: int, x: Any, y: Any, gradient: Any, products: Any, samples: int
) -> float:
    """The loss of some rows of a batch, summed, and the gradient of the batch's mean.

    Categorical cross-entropy (of logits) is a sum over the features, the others (binary
    cross-entropy of logits, too) are means over them, as in Keras.

    Args:
        kind: A kind of :data:`LOSSES`.
        x: (rows, features) float32, the target.
        y: (rows, features) float32, logits or reconstruction.
        gradient: (rows, features) float32, written: of the mean with respect to y.
        products: (features,) float32, scratch.
        samples: Rows of the whole batch.
    """
    if kind == SIGMOID_CROSSENTROPY:
        return _sigmoid_crossentropy(x, y, gradient, products, samples)
    if kind == SQUARED_ERROR:
        return _squared_error(x, y, gradient, samples)
    if kind == SOFTMAX_CROSSENTROPY:
        return _softmax_crossentropy(x, y, gradient, samples)
    if kind in (ABSOLUTE_ERROR, HUBER):
        return _absolute_error(kind == HUBER, x, y, gradient, samples)
    if kind == POISSON:
        return _poisson(x, y, gradient, samples)
    raise ValueError("unknown kind of loss")


@compiled
def _sigmoid_crossentropy(x: Any, y: Any, gradient: Any, products: Any, samples: int) -> float:
    """Sum over rows of mean(max(l, 0) − l·x + log(1 + exp(−|l|))); gradient sigmoid(l) − x.

    The sum of logarithms is taken as the logarithm of products, column by column.
    """
    rows, features = y.shape
    share = _f(1.0 / (samples * features))
    total: Any = 0.0
    factors = 0
    products[:features] = _ONE
    for i in range(rows):
        linear: Any = _ZERO
        for j in range(features):
            logit, target = y[i, j], x[i, j]
            e = exp_of_negative(-abs(logit))
            factor = _ONE + e
            products[j] *= factor
            linear += max(logit, _ZERO) - logit * target
            gradient[i, j] = ((_ONE if logit >= _ZERO else e) / factor - target) * share
        total += linear
        factors += 1
        if factors == _MOST_FACTORS or i == rows - 1:
            for j in range(features):
                total += np.log(products[j])
                products[j] = _ONE
            factors = 0
    return total / features


@compiled
def _squared_error(x: Any, y: Any, gradient: Any, samples: int) -> float:
    rows, features = y.shape
    share = _f(2.0 / (samples * features))
    total: Any = 0.0
    for i in range(rows):
        squares: Any = _ZERO
        for j in range(features):
            difference = y[i, j] - x[i, j]
            squares += difference * difference
            gradient[i, j] = difference * share
        total += squares
    return total / features


@compiled
def _absolute_error(is_huber: bool, x: Any, y: Any, gradient: Any, samples: int) -> float:
    """Sum over rows of mean(|d|), d = y − x, or of Huber's loss: ½ d² where |d| ≤ 1, else |d| − ½.

    The slope of |d| at 0 is 0, and that of NaN must be NaN.
    """
    rows, features = y.shape
    share = _f(1.0 / (samples * features))
    bend = _ONE if is_huber else _ZERO
    total: Any = 0.0
    for i in range(rows):
        losses: Any = _ZERO
        for j in range(features):
            difference = y[i, j] - x[i, j]
            size = abs(difference)
            is_near = size <= bend
            losses += _HALF * difference * difference if is_near else size - _HALF * bend
            gradient[i, j] = share * (difference if is_near else difference / size)
        total += losses
    return total / features


@compiled
def _poisson(x: Any, y: Any, gradient: Any, samples: int) -> float:
    """Sum over rows of mean(y − x·log(y + ε)); gradient 1 − x / (y + ε)."""
    rows, features = y.shape
    share = _f(1.0 / (samples * features))
    total: Any = 0.0
    for i in range(rows):
        losses: Any = _ZERO
        for j in range(features):
            rate = y[i, j] + _EPSILON
            losses += y[i, j] - x[i, j] * np.log(rate)
            gradient[i, j] = share * (_ONE - x[i, j] / rate)
        total += losses
    return total / features


@compiled
def _softmax_crossentropy(x: Any, y: Any, gradient: Any, samples: int) -> float:
    """Sum over rows of Σ x·(log Σ exp(l) − l); gradient softmax(l) − x, as Σx = 1."""
    rows, features = y.shape
    share = _f(1.0 / samples)
    total: Any = 0.0
    for i in range(rows):
        highest = y[i, 0]
        for j in range(features):
            highest = max(highest, y[i, j])
        exponentials: Any = _ZERO
        for j in range(features):
            e = exp_of_negative(y[i, j] - highest)
            gradient[i, j] = e
            exponentials += e
        logarithm = np.log(exponentials) + highest
        linear: Any = _ZERO
        for j in range(features):
            linear += x[i, j] * (logarithm - y[i, j])
        for j in range(features):
            gradient[i, j] = (gradient[i, j] / exponentials - x[i, j]) * share
        total += linear
    return total


@compiled
def update(
    kind: int,
    weights: Any,
    gradient: Any,
    moments: Any,
    start: int,
    end: int,
    learning_rate: float,
    step: int,
) -> None:
    """Take step number ``step``, from 1, with the weights from ``start`` to ``end``, in place.

    ``weights`` are flat, float32, those that train first; ``gradient`` (P,) and ``moments``
    (2, P) float32, of those that train.
    """
    # Slices, as an index that may be negative keeps a loop from becoming vector code.
    rate, w, gradients = _f(learning_rate), weights[start:end], gradient[start:end]
    if kind == SGD:
        for i in range(w.size):
            w[i] -= rate * gradients[i]
    elif kind == RMSPROP:
        second = moments[0][start:end]
        for i in range(w.size):
            g = gradients[i]
            second[i] += _RHO * (g * g - second[i])
            w[i] -= rate * g / np.sqrt(second[i] + _EPSILON)
    elif kind in (ADAM, ADAMW):
        kept = _f(1.0 - 0.004 * learning_rate) if kind == ADAMW else _ONE
        corrected = _f(learning_rate * np.sqrt(1 - 0.999**step) / (1 - 0.9**step))
        first, second = moments[0][start:end], moments[1][start:end]
        for i in range(w.size):
            g = gradients[i]
            m = first[i] + (g - first[i]) * _BETA_1
            v = second[i] + (g * g - second[i]) * _BETA_2
            first[i] = m
            second[i] = v
            w[i] = w[i] * kept - m * corrected / (np.sqrt(v) + _EPSILON)
    else:
        raise ValueError("unknown kind of optimizer")
