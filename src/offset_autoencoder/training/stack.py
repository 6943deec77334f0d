"""The runs that one program trains side by side: their weights, stacked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from offset_autoencoder.models.backend import tf
from offset_autoencoder.training.optimizers import OPTIMIZERS
from offset_autoencoder.training.population import Population, Variables, Weights

Tensor = Any


class Stack(NamedTuple):
    """What the program carries from epoch to epoch; every array leads with the runs, R.

    Attributes:
        weights: The weights that train, each (R, ...).
        state: The model's other variables.
        moments: The optimizer's arrays, for each moment one as each weight.
        step: Steps taken, (R,) float32.
        best_weights: The weights at the lowest validation loss so far.
        best_state: The other variables there.
        best_loss: That loss, (R,) float32; infinite before the first epoch.
    """

    weights: list[Tensor]
    state: list[Tensor]
    moments: list[list[Tensor]]
    step: Tensor
    best_weights: list[Tensor]
    best_state: list[Tensor]
    best_loss: Tensor


def start_stack(population: Population, initial: list[Variables]) -> Stack:
    """A stack at its first epoch, of the initial variables of R runs."""
    weights, state = (
        [tf.constant(np.stack(each)) for each in zip(*lists, strict=True)]
        for lists in zip(*initial, strict=True)
    )
    count = OPTIMIZERS[population.optimizer].moments
    runs = len(initial)
    return Stack(
        weights=weights,
        state=state,
        moments=[[tf.zeros_like(weight) for weight in weights] for _ in range(count)],
        step=tf.zeros([runs]),
        best_weights=list(weights),
        best_state=list(state),
        best_loss=tf.fill([runs], np.float32(np.inf)),
    )


def replace_run(stack: Stack, place: int, initial: Variables) -> Stack:
    """The stack with a new run, at its first epoch, in the place of one that ended."""

    def put(stacked: Tensor, value: Any) -> Tensor:
        array = np.array(stacked)
        array[place] = value
        return tf.constant(array)

    def put_all(stacked: list[Tensor], values: Weights) -> list[Tensor]:
        return [put(s, value) for s, value in zip(stacked, values, strict=True)]

    return Stack(
        weights=put_all(stack.weights, initial.weights),
        state=put_all(stack.state, initial.state),
        moments=[[put(array, 0.0) for array in moment] for moment in stack.moments],
        step=put(stack.step, 0.0),
        best_weights=put_all(stack.best_weights, initial.weights),
        best_state=put_all(stack.best_state, initial.state),
        best_loss=put(stack.best_loss, np.inf),
    )


def best_weights(population: Population, stack: Stack, place: int) -> Weights:
    """One run's best weights so far, in the order of ``population.weight_names``."""
    model = population.model
    kept = {weight.path for weight in model.non_trainable_weights}
    state = [
        value
        for variable, value in zip(model.non_trainable_variables, stack.best_state, strict=True)
        if variable.path in kept
    ]
    return [np.array(stacked[place]) for stacked in (*stack.best_weights, *state)]
