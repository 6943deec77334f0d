"""The Keras engine: any network, a stack of runs per thread, by Keras's own parts on TensorFlow.

Its programs are compiled for a fixed number of runs per stack, which depends on the network alone:
see :mod:`.stacks`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.backend import tf
from offset_autoencoder.training.engine import Population
from offset_autoencoder.training.programs import (
    Function,
    Programs,
    Tensor,
    all_layers,
    has_layer,
    is_half_precision,
)
from offset_autoencoder.training.stacks import StackedEngine

# Measured on two cores: a stack pays while all its weights stay in the second-level cache.
_STACKED_PARAMETERS = 131_072
_LARGEST_STACK = 16

# Methods of Keras's optimizers that its TensorFlow backend replaces by others, which write to
# variables in place (for tf.distribute). Those of the base class leave that to the variables.
_STATELESS = (
    "_apply_weight_decay",
    "_backend_update_step",
    "_var_key",
    "assign",
    "assign_add",
    "assign_sub",
    "stateless_apply",
)


class TensorFlowPrograms(Programs):
    """Programs of TensorFlow, compiled by XLA where that is faster."""

    def _compile(self, function: Function) -> Function:
        # XLA has slow convolutions only on a CPU, and no gradient of a loop within the loop.
        compiled = not (_has_loop(self.model) or has_layer(self.model, "Conv"))
        return tf.function(function, jit_compile=compiled, autograph=False)

    def _make_optimizer(self, kind: type[Any]) -> Any:
        (base,) = (base for base in kind.__mro__ if base.__name__ == "BaseOptimizer")
        methods = {method: vars(base)[method] for method in _STATELESS}
        return type(kind.__name__, (kind,), methods)()

    def _gradients(self, function: Function, weights: list[Tensor]) -> tuple[Any, list[Any]]:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss, result = function(weights)
        return result, tape.gradient(loss, weights)

    def _map_runs(self, function: Function, stacked: Any, runs: int) -> Any:
        if runs > 1:
            return tf.vectorized_map(function, stacked)
        result = function(tf.nest.map_structure(lambda array: array[0], stacked))
        return tf.nest.map_structure(lambda array: tf.expand_dims(array, 0), result)

    def _loop(self, step: Function, steps: int, carried: Any) -> Any:
        _, carried = tf.while_loop(
            lambda number, _: number < steps,
            lambda number, carried: (number + 1, step(number, carried)),
            (0, carried),
            maximum_iterations=steps,
        )
        return carried

    def _rows(self, x: Tensor, rows: Tensor) -> Tensor:
        return tf.gather(x, rows)

    def _replaced(self, array: Tensor, place: int, value: NDArray[Any]) -> Tensor:
        replaced = np.array(array)
        replaced[place] = value
        return tf.constant(replaced)


class KerasEngine(StackedEngine):
    """Programs of Keras's own layers, losses and optimizers, and the samples that they read."""

    name = "keras"
    programs_kind = TensorFlowPrograms

    def largest_stack(self) -> int:
        """Runs per stack of samples in memory."""
        return runs_per_stack(self.population)


def runs_per_stack(population: Population) -> int:
    """Runs per stack: a power of two, from 16 for small networks down to 1 for large ones."""
    if not is_mapped(population.model):
        return 1
    share = max(1, _STACKED_PARAMETERS // max(1, population.model.count_params()))
    return int(min(_LARGEST_STACK, 2 ** (share.bit_length() - 1)))


def is_mapped(model: Any) -> bool:
    """True if its step can be mapped over runs, and that is faster.

    TensorFlow maps no loop of a recurrent layer, nor steps that are skipped in half precision.
    """
    return not (has_layer(model, "Conv") or _has_loop(model) or is_half_precision(model))


def _has_loop(model: Any) -> bool:
    """True if a layer loops or branches, or may: one of the user's own classes or functions."""
    ours = ("keras.", "offset_autoencoder.")
    return has_layer(model, "RNN", "SpectralNormalization", "Lambda") or not all(
        layer.supports_jit and type(layer).__module__.startswith(ours)
        for layer in all_layers(model)
    )
