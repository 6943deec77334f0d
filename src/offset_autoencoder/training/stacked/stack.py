"""The runs that one program trains side by side: their weights, stacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.autoencoder import Variables
from offset_autoencoder.models.backend import tf
from offset_autoencoder.training.population import Population
from offset_autoencoder.training.stacked.optimizers import OPTIMIZERS

Tensor = Any


class Stack(NamedTuple):
    """What the programs carry from epoch to epoch; every array leads with the runs, R.

    Attributes:
        weights: The weights that train, each (R, ...).
        state: The model's other variables.
        moments: The optimizer's arrays, for each moment one as each weight.
        step: Steps taken, (R,) float32.
        best_weights: The weights at the lowest validation loss so far.
        best_state: The other variables there.
    """

    weights: list[Tensor]
    state: list[Tensor]
    moments: list[list[Tensor]]
    step: Tensor
    best_weights: list[Tensor]
    best_state: list[Tensor]


def start_stack(population: Population, initial: Sequence[Variables]) -> Stack:
    """A stack at its first epoch, of the initial variables of R runs."""
    runs = [_flat_start(population, variables) for variables in initial]
    arrays = [tf.constant(np.stack(each)) for each in zip(*runs, strict=True)]
    return _packed(population, arrays)


def replace_run(population: Population, stack: Stack, place: int, initial: Variables) -> Stack:
    """The stack with a new run, at its first epoch, in the place of one that ended."""
    return put_run(population, stack, place, _flat_start(population, initial))


def run_arrays(stack: Stack, place: int) -> list[NDArray[Any]]:
    """All that the programs carry of one run, for :func:`put_run`."""
    return [np.array(array[place]) for array in tf.nest.flatten(stack)]


def put_run(
    population: Population, stack: Stack, place: int, arrays: Sequence[NDArray[Any]]
) -> Stack:
    """The stack with another run in a place."""
    stacked = [np.array(array) for array in tf.nest.flatten(stack)]
    for array, value in zip(stacked, arrays, strict=True):
        array[place] = value
    return _packed(population, [tf.constant(array) for array in stacked])


def best_of(stack: Stack, place: int) -> Variables:
    """One run's best variables so far."""
    return Variables(
        [np.array(array[place]) for array in stack.best_weights],
        [np.array(array[place]) for array in stack.best_state],
    )


def _flat_start(population: Population, initial: Variables) -> list[NDArray[Any]]:
    moments = OPTIMIZERS[population.optimizer].moments
    return [
        *initial.weights,
        *initial.state,
        *(np.zeros_like(weight) for _ in range(moments) for weight in initial.weights),
        np.zeros((), np.float32),
        *initial.weights,
        *initial.state,
    ]


def _packed(population: Population, arrays: Sequence[Tensor]) -> Stack:
    model, left = population.model, list(arrays)
    weights, state = len(model.trainable_variables), len(model.non_trainable_variables)

    def take(count: int) -> list[Tensor]:
        taken = left[:count]
        del left[:count]
        return taken

    moments = OPTIMIZERS[population.optimizer].moments
    return Stack(
        weights=take(weights),
        state=take(state),
        moments=[take(weights) for _ in range(moments)],
        step=take(1)[0],
        best_weights=take(weights),
        best_state=take(state),
    )
