"""Keras's optimizers as pure functions on stacks of runs, each run with its own learning rate.

Every rule is element-wise, so a stack of R runs is updated exactly as R runs one by one.
Defaults, order of operations and the place of epsilon are those of Keras 3, so that a run
here and a stock ``fit`` agree to float rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from offset_autoencoder.models.backend import tf

Tensor = Any
Update = Callable[[Tensor, Tensor, tuple[Tensor, ...], Tensor, Tensor], tuple[Any, ...]]


@dataclass(frozen=True)
class Optimizer:
    """One update rule.

    Attributes:
        moments: How many arrays of the weights' shape it carries, zero at first.
        update: ``(weight, gradient, moments, learning_rate, step)`` → ``(weight, *moments)``;
            arrays (R, ...), learning_rate and step broadcast against them, step counts from 1.
    """

    moments: int
    update: Update


def _sgd(
    weight: Tensor, gradient: Tensor, moments: tuple[Tensor, ...], rate: Tensor, step: Tensor
) -> tuple[Any, ...]:
    """W ← w − η·g."""
    return (weight - rate * gradient,)


def _adam(
    weight: Tensor, gradient: Tensor, moments: tuple[Tensor, ...], rate: Tensor, step: Tensor
) -> tuple[Any, ...]:
    """Adam (Kingma & Ba 2015, algorithm 1 with the bias corrections folded into η)."""
    first, second = moments
    corrected = rate * tf.sqrt(1 - tf.pow(0.999, step)) / (1 - tf.pow(0.9, step))
    first = first + (gradient - first) * (1 - 0.9)
    second = second + (tf.square(gradient) - second) * (1 - 0.999)
    return weight - first * corrected / (tf.sqrt(second) + 1e-7), first, second


def _adamw(
    weight: Tensor, gradient: Tensor, moments: tuple[Tensor, ...], rate: Tensor, step: Tensor
) -> tuple[Any, ...]:
    """Adam with decoupled weight decay 0.004 (Loshchilov & Hutter 2019), applied first."""
    return _adam(weight - weight * 0.004 * rate, gradient, moments, rate, step)


def _rmsprop(
    weight: Tensor, gradient: Tensor, moments: tuple[Tensor, ...], rate: Tensor, step: Tensor
) -> tuple[Any, ...]:
    """RMSprop with ρ = 0.9: w ← w − η·g / √(v + ε)."""
    second = 0.9 * moments[0] + (1 - 0.9) * tf.square(gradient)
    return weight - rate * gradient * tf.math.rsqrt(second + 1e-7), second


OPTIMIZERS: dict[str, Optimizer] = {
    "adam": Optimizer(2, _adam),
    "adamw": Optimizer(2, _adamw),
    "rmsprop": Optimizer(1, _rmsprop),
    "sgd": Optimizer(0, _sgd),
}
