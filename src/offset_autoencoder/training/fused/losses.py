"""Losses of a batch and their gradients, in one pass over it."""

from __future__ import annotations

from typing import Any

import numpy as np

from offset_autoencoder.training.fused.compiler import compiled
from offset_autoencoder.training.fused.elementwise import exp_of_negative
from offset_autoencoder.training.fused.program import SIGMOID_CROSSENTROPY, SQUARED_ERROR

_f = np.float32
_ZERO, _ONE, _TWO = _f(0), _f(1), _f(2)
# Factors between 1 and 2: so many neither overflow float32 nor lose more than rounding.
_MOST_FACTORS = 64


@compiled
def loss_and_gradient(
    kind: int, x: Any, y: Any, gradient: Any, products: Any, samples: int
) -> float:
    """The loss of some rows of a batch, summed, and the gradient of the batch's mean.

    Binary cross-entropy (of logits) and squared error are means over the features, categorical
    cross-entropy (of logits) is a sum over them, as in Keras.

    Args:
        kind: Which loss.
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
    return _softmax_crossentropy(x, y, gradient, samples)


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
