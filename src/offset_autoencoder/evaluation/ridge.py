"""Ridge regression in closed form, from sums over the samples alone.

A regression of m targets on k features reads each sample once, for sums that cost n·k·(k + m);
then every strength, and every linear mixture of the features, costs nothing that grows with n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

BLOCK_ROWS = 4096
_ROUNDING = 1e-12  # a feature that varies by less than this share of its mean is constant


@dataclass(frozen=True)
class Moments:
    """Sums over the samples of a split, about their means.

    Attributes:
        count: How many samples, n.
        mean: The features' means, float64 (k,).
        target_mean: The targets' means, float64 (m,).
        squares: Features by features, float64 (k, k).
        cross: Features by targets, float64 (k, m).
    """

    count: int
    mean: Float64
    target_mean: Float64
    squares: Float64
    cross: Float64

    def mixed(self, mixing: Float64) -> Moments:
        """The moments of ``features @ mixing``, (k, j)."""
        return Moments(
            self.count,
            self.mean @ mixing,
            self.target_mean,
            mixing.T @ self.squares @ mixing,
            mixing.T @ self.cross,
        )

    def target(self, columns: slice) -> Moments:
        """The moments with some of the targets."""
        return Moments(
            self.count,
            self.mean,
            self.target_mean[columns],
            self.squares,
            self.cross[:, columns],
        )


@dataclass(frozen=True)
class Linear:
    """A fitted map from features to targets.

    Attributes:
        weights: float64 (k, m).
        mean: The features' means in training, float64 (k,).
        target_mean: The targets' means in training, float64 (m,).
    """

    weights: Float64
    mean: Float64
    target_mean: Float64

    def __call__(self, features: NDArray[Any]) -> Float64:
        """The targets that it predicts, float64 (n, m)."""
        return (features - self.mean) @ self.weights + self.target_mean


def moments(
    features: NDArray[Any], targets: Sequence[NDArray[Any]], target_mean: Float64
) -> Moments:
    """The sums that a ridge regression needs, in float64, a block of samples at a time.

    Args:
        features: (n, k).
        targets: Arrays that side by side are the targets, each (n, ·).
        target_mean: Their means, float64 (m,): computed once where many regressions share them.

    Raises:
        ValueError: where there are not as many samples of each.
    """
    if any(len(target) != len(features) for target in targets):
        raise ValueError(
            f"needs features of {len(targets[0])} samples, got those of {len(features)}"
        )
    mean = features.mean(axis=0, dtype=np.float64)
    squares = np.zeros((len(mean), len(mean)))
    cross = np.zeros((len(mean), len(target_mean)))
    for start in range(0, len(features), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        centred = features[block] - mean
        rows = np.concatenate([target[block] for target in targets], axis=1)
        squares += centred.T @ centred
        cross += centred.T @ (rows - target_mean)
    return Moments(len(features), mean, target_mean, squares, cross)


def fit(train: Moments, strengths: Sequence[float]) -> list[Linear]:
    """A ridge regression of each strength.

    Minimises ``Σ ‖ŷ − y‖² + strength · v · ‖W‖²`` with v the mean over the features of their sum
    of squares about the mean, so that the features' unit does not matter; the intercept is free.

    Args:
        train: Sums over the training samples.
        strengths: The strengths, at least 0. At 0, directions in which the features do not vary
            get no weight.
    """
    values, vectors = np.linalg.eigh(train.squares)
    rounding = len(values) * np.finfo(np.float64).eps * values[-1]
    of_means = train.count * np.sum(np.square(_ROUNDING * train.mean))
    values = np.where(values > max(rounding, of_means), values, 0.0)
    projected = vectors.T @ train.cross
    fitted = []
    for strength in strengths:
        shrunk = values + strength * float(np.mean(values))
        inverse = np.divide(1.0, shrunk, out=np.zeros_like(shrunk), where=shrunk > 0)
        weights = vectors @ (inverse[:, None] * projected)
        fitted.append(Linear(weights, train.mean, train.target_mean))
    return fitted


def squared_error(linear: Linear, split: Moments) -> float:
    """``Σ ‖ŷ − y‖²`` over a split, less its targets' own sum of squares about their mean."""
    off = split.target_mean - linear(split.mean[None, :])[0]
    within = linear.weights * (split.squares @ linear.weights - 2 * split.cross)
    return float(np.sum(within) + split.count * np.sum(np.square(off)))
