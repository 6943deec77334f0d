"""Keras's optimizers as one loop over the flat weights.

Defaults and the place of epsilon are those of Keras 3, as in
:mod:`offset_autoencoder.training.stacked.optimizers`, which says the same of stacked weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from offset_autoencoder.training.fused.compiler import compiled

ADAM, ADAMW, RMSPROP, SGD = range(4)
OPTIMIZERS = {"adam": ADAM, "adamw": ADAMW, "rmsprop": RMSPROP, "sgd": SGD}
MOMENTS = {ADAM: 2, ADAMW: 2, RMSPROP: 1, SGD: 0}

_f = np.float32
_BETA_1, _BETA_2, _RHO = _f(1 - 0.9), _f(1 - 0.999), _f(1 - 0.9)
_EPSILON, _DECAY, _ONE = _f(1e-7), _f(0.004), _f(1)


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
        kind: Which optimizer.
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
    else:
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
