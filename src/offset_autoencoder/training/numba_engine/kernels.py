"""Losses and optimizers as compiled loops, by the names that Keras has for them.

Defaults of the optimizers and the place of epsilon are those of Keras 3. What has no kernel here
is trained by another engine.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from offset_autoencoder.training.numba_engine.compiler import compiled
from offset_autoencoder.training.numba_engine.elementwise import exp_of_negative

# Kinds of losses. The crossentropies take the logits of the output activation that they need.
SIGMOID_CROSSENTROPY, SOFTMAX_CROSSENTROPY, SQUARED_ERROR = range(3)
LOSSES = {
    "binary_crossentropy": SIGMOID_CROSSENTROPY,
    "categorical_crossentropy": SOFTMAX_CROSSENTROPY,
    "mean_squared_error": SQUARED_ERROR,
}
LOGITS_OF = {SIGMOID_CROSSENTROPY: "sigmoid", SOFTMAX_CROSSENTROPY: "softmax"}

# Kinds of optimizers, and how many arrays of the weights' shape each carries from step to step.
ADAM, ADAMW, RMSPROP, SGD = range(4)
OPTIMIZERS = {"adam": ADAM, "adamw": ADAMW, "rmsprop": RMSPROP, "sgd": SGD}
MOMENTS = {ADAM: 2, ADAMW: 2, RMSPROP: 1, SGD: 0}

_f = np.float32
_ZERO, _ONE = _f(0), _f(1)
# Factors between 1 and 2: so many neither overflow float32 nor lose more than rounding.
_MOST_FACTORS = 64
_BETA_1, _BETA_2, _RHO = _f(1 - 0.9), _f(1 - 0.999), _f(1 - 0.9)
_EPSILON = _f(1e-7)


@compiled
def loss_and_gradient(
    kind: int, x: Any, y: Any, gradient: Any, products: Any, samples: int
) -> float:
    """The loss of some rows of a batch, summed, and the gradient of the batch's mean.

    Binary cross-entropy (of logits) and squared error are means over the features, categorical
    cross-entropy (of logits) is a sum over them, as in Keras.

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
    """Take one step with some of the weights, in place.

    Args:
        kind: A kind of :data:`OPTIMIZERS`.
        weights: Flat, float32, those that train first.
        gradient: (P,) float32, of those that train.
        moments: (2, P) float32.
        start: The first of the weights.
        end: The one after the last.
        learning_rate: η.
        step: Of the run, from 1.
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
