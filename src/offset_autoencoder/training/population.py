"""One compiled program that trains a stack of runs for an epoch.

A Keras model is written once, for one run. Here its weights get a leading axis of runs,
``tf.vectorized_map`` maps forward and backward pass over it, and one XLA program loops over
the batches of an epoch with weights and moments as loop variables.

The program is compiled for a fixed number of runs a stack, which depends on the network
alone: XLA may round differently for another stack size, and a run must not depend on how
many others train beside it. Places that no run needs are filled with copies.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.schema import Network
from offset_autoencoder.models.autoencoder import build_autoencoder
from offset_autoencoder.models.backend import keras, tf
from offset_autoencoder.training.optimizers import OPTIMIZERS

Weights = list[NDArray[np.float32]]
Tensor = Any

# Measured on two cores: a stack pays while all its weights stay in the second-level cache.
_STACKED_PARAMETERS = 131_072
_LARGEST_STACK = 16


@dataclass(frozen=True)
class Population:
    """What runs must share to train in one program.

    Attributes:
        network: The network, the same for every run.
        input_dim: Features of a sample.
        batch_size: Samples a step.
        optimizer: A key of :data:`~offset_autoencoder.training.optimizers.OPTIMIZERS`.
    """

    network: Network
    input_dim: int
    batch_size: int
    optimizer: str

    @functools.cached_property
    def model(self) -> Any:
        """The Keras model that the program maps over the runs; its weights are not used."""
        return build_model(self.network, self.input_dim)

    @functools.cached_property
    def stack(self) -> int:
        """Runs a stack: a power of two, from 16 for small networks down to 1 for large ones."""
        share = max(1, _STACKED_PARAMETERS // max(1, self.model.count_params()))
        return int(min(_LARGEST_STACK, 2 ** (share.bit_length() - 1)))

    def initial_weights(self, seed: int) -> Weights:
        """The weights that a stock Keras model of this seed starts from."""
        return [
            np.asarray(weight)
            for weight in build_model(self.network, self.input_dim, seed).get_weights()
        ]


def build_model(network: Network, input_dim: int, seed: int = 0, stddev: float = 0.0) -> Any:
    """The Keras model of a ``network:`` section."""
    return build_autoencoder(
        input_dim,
        network.latent_dim,
        network.hidden,
        activation=network.activation,
        output=network.output,
        normalize=network.normalize,
        stddev=stddev,
        seed=seed,
    )


def sample_losses(loss: str, x: Tensor, reconstruction: Tensor) -> Tensor:
    """The loss of each sample, (batch,): see :class:`~offset_autoencoder.config.schema.Network`."""
    return keras.losses.get(loss)(x, reconstruction)


class Stack(NamedTuple):
    """What the program carries from epoch to epoch; every array leads with the runs, R.

    Attributes:
        weights: The weights, each (R, ...).
        moments: The optimizer's arrays, for each moment one as each weight.
        step: Steps taken, (R,) float32.
        best_weights: The weights at the lowest validation loss so far.
        best_loss: That loss, (R,) float32; infinite before the first epoch.
    """

    weights: list[Tensor]
    moments: list[list[Tensor]]
    step: Tensor
    best_weights: list[Tensor]
    best_loss: Tensor


def start_stack(population: Population, initial: list[Weights]) -> Stack:
    """A stack at its first epoch, of R lists of initial weights."""
    weights = [tf.constant(np.stack(each)) for each in zip(*initial, strict=True)]
    count = OPTIMIZERS[population.optimizer].moments
    runs = len(initial)
    return Stack(
        weights=weights,
        moments=[[tf.zeros_like(weight) for weight in weights] for _ in range(count)],
        step=tf.zeros([runs]),
        best_weights=list(weights),
        best_loss=tf.fill([runs], np.float32(np.inf)),
    )


def replace_run(stack: Stack, place: int, initial: Weights) -> Stack:
    """The stack with a new run, at its first epoch, in the place of one that ended."""

    def put(stacked: Tensor, value: Any) -> Tensor:
        array = np.array(stacked)
        array[place] = value
        return tf.constant(array)

    fresh = [put(s, w) for s, w in zip(stack.weights, initial, strict=True)]
    return Stack(
        weights=fresh,
        moments=[[put(array, 0.0) for array in moment] for moment in stack.moments],
        step=put(stack.step, 0.0),
        best_weights=[put(s, w) for s, w in zip(stack.best_weights, initial, strict=True)],
        best_loss=put(stack.best_loss, np.inf),
    )


def best_weights(stack: Stack, place: int) -> Weights:
    """One run's best weights so far, as arrays of their own."""
    return [np.array(stacked[place]) for stacked in stack.best_weights]


def compile_epoch(population: Population) -> Any:
    """The program that trains a stack for one epoch.

    Returns:
        A ``tf.function`` of
        ``(stack, x, x_validation, order, added, added_validation, batch_weights,
        learning_rate, keep_last)`` → ``(stack, loss, validation_loss)``, with
        x (n, D); x_validation (m, D); order (R, steps, batch) int32 rows of x;
        added (R, steps, batch, L), what is added to the codes of those rows;
        added_validation (R, m, L); batch_weights (steps, batch);
        learning_rate (R,); keep_last (R,) bool, whether the last weights count as the best.
        loss (R,) is the mean over the epoch's samples, as Keras reports it, and
        validation_loss (R,) the mean over the validation samples after the epoch.
    """
    model, optimizer = population.model, OPTIMIZERS[population.optimizer]
    loss_name = population.network.loss

    def losses(weights: list[Tensor], x: Tensor, added: Tensor) -> Tensor:
        reconstruction, _ = model.stateless_call(weights, [], {"x": x, "offset": added})
        return sample_losses(loss_name, x, reconstruction)

    def batch_gradient(run: tuple[list[Tensor], Tensor, Tensor, Tensor]) -> tuple[Any, Any]:
        weights, x, added, weight = run
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = tf.reduce_sum(losses(weights, x, added) * weight)
        return loss, tape.gradient(loss, weights)

    def epoch(
        stack: Stack,
        x: Tensor,
        x_validation: Tensor,
        order: Tensor,
        added: Tensor,
        added_validation: Tensor,
        batch_weights: Tensor,
        learning_rate: Tensor,
        keep_last: Tensor,
    ) -> tuple[Stack, Tensor, Tensor]:
        runs, steps = order.shape[0], order.shape[1]
        rows = tf.reduce_sum(tf.cast(batch_weights > 0, tf.float32), axis=1)

        def one_step(
            number: Tensor, weights: Any, moments: Any, step: Tensor, total: Tensor
        ) -> Any:
            weight = tf.broadcast_to(batch_weights[number], [runs, population.batch_size])
            batch = (weights, tf.gather(x, order[:, number]), added[:, number], weight)
            loss, gradients = tf.vectorized_map(batch_gradient, batch)
            step = step + 1.0
            updated, new_moments = [], []
            for index, (value, gradient) in enumerate(zip(weights, gradients, strict=True)):
                broadcast = [runs] + [1] * (len(value.shape) - 1)
                new, *moved = optimizer.update(
                    value,
                    gradient,
                    tuple(moment[index] for moment in moments),
                    tf.reshape(learning_rate, broadcast),
                    tf.reshape(step, broadcast),
                )
                updated.append(new)
                new_moments.append(moved)
            moments = [list(moment) for moment in zip(*new_moments, strict=True)]
            return number + 1, updated, moments, step, total + loss * rows[number]

        _, weights, moments, step, total = tf.while_loop(
            lambda number, *_: number < steps,
            one_step,
            (0, stack.weights, stack.moments, stack.step, tf.zeros([runs])),
            maximum_iterations=steps,
        )
        validation = tf.vectorized_map(
            lambda run: tf.reduce_mean(losses(run[0], x_validation, run[1])),
            (weights, added_validation),
        )
        better = tf.math.is_finite(validation) & (keep_last | (validation < stack.best_loss))
        best = [
            tf.where(tf.reshape(better, [runs] + [1] * (len(new.shape) - 1)), new, old)
            for new, old in zip(weights, stack.best_weights, strict=True)
        ]
        best_loss = tf.where(better, validation, stack.best_loss)
        return (
            Stack(weights, moments, step, best, best_loss),
            total / tf.reduce_sum(rows),
            validation,
        )

    return tf.function(epoch, jit_compile=True, autograph=False)
