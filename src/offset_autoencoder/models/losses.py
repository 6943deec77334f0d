"""Likelihoods of the reconstruction losses, in NumPy and float64.

Each is −log p(x | z) in nats, summed over the features and averaged over the samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Keras clips a probability to this far from 0 and 1.
CLIP = 1e-7


def bernoulli(x: Array, reconstruction: Array) -> float:
    """Of binary cross-entropy: values x in [0, 1] with probabilities ``reconstruction``, (n, D)."""
    x, p = np.asarray(x, np.float64), np.asarray(reconstruction, np.float64)
    p = np.clip(p, CLIP, 1 - CLIP)
    return x.shape[1] * float(-np.mean(x * np.log(p) + (1 - x) * np.log1p(-p)))


def categorical(x: Array, reconstruction: Array) -> float:
    """Of categorical cross-entropy: rows of x and ``reconstruction``, (n, D), are distributions."""
    logarithms = np.log(np.maximum(np.asarray(reconstruction, np.float64), CLIP))
    return float(-np.mean(np.sum(x * logarithms, axis=1)))


def gaussian(x: Array, reconstruction: Array) -> float:
    """Of squared error: a Gaussian of variance ½ around ``reconstruction``, (n, D).

    Its summed squared error is that likelihood but for a constant.
    """
    x, mean = np.asarray(x, np.float64), np.asarray(reconstruction, np.float64)
    return x.shape[1] * (float(np.mean(np.square(mean - x))) + float(np.log(np.pi)) / 2)
