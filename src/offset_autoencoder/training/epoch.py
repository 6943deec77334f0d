"""One compiled program that trains a stack of runs for an epoch.

A Keras model is written once, for one run. Here its weights get a leading axis of runs,
``tf.vectorized_map`` maps forward and backward pass over it, and one program loops over
the batches of an epoch with weights and moments as loop variables.

The program is compiled for a fixed number of runs a stack, which depends on the network
alone: XLA may round differently for another stack size, and a run must not depend on how
many others train beside it. Places that no run needs are filled with copies.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from offset_autoencoder.models.backend import tf
from offset_autoencoder.training.losses import reconstruction_loss
from offset_autoencoder.training.optimizers import OPTIMIZERS
from offset_autoencoder.training.population import Population, Variables
from offset_autoencoder.training.stack import Stack

Tensor = Any


class Validation(NamedTuple):
    """The validation loss of each run, (R,), and the share of the reconstruction in it."""

    loss: Tensor
    reconstruction: Tensor


def compile_epoch(population: Population) -> Any:
    """The program that trains a stack for one epoch.

    Returns:
        A ``tf.function`` of
        ``(stack, x, x_validation, order, added, validation_offset, learning_rate, keep_last)``
        → ``(stack, loss, validation)``, with x (n, D); x_validation (m, D); order (R, n) int32
        rows of x, batch after batch, the last one possibly smaller; added: a dict of what the
        model is fed beside x at those rows, ``offset`` (R, n, L) and, where noise is an input,
        ``noise`` (R, n, L); validation_offset (R, m, L); learning_rate (R,);
        keep_last (R,) bool, whether the last weights count as the best.
        loss (R,) is the mean over the epoch's samples, as Keras reports it, and validation a
        :class:`Validation` of the means over the validation samples after the epoch.
    """
    model, optimizer = population.model, OPTIMIZERS[population.optimizer]
    loss_name, batch_size = population.architecture.network.loss, population.batch_size

    def losses(run: Variables, inputs: dict[str, Tensor], *, training: bool) -> Any:
        """The reconstruction loss, the losses that layers add, and the variables moved."""
        output, state, added = model.stateless_call(
            run.weights, run.state, inputs, training=training, return_losses=True
        )
        reconstruction = reconstruction_loss(loss_name, inputs["x"], output)
        return reconstruction, reconstruction + sum(added), state

    def batch_gradient(batch: tuple[Variables, dict[str, Tensor]]) -> Any:
        run, inputs = batch
        with tf.GradientTape() as tape:
            tape.watch(run.weights)
            _, loss, state = losses(run, inputs, training=True)
        return loss, tape.gradient(loss, run.weights), list(state)

    def validation_losses(batch: tuple[Variables, Tensor], x_validation: Tensor) -> Any:
        run, offset = batch
        inputs = {"x": x_validation, "offset": offset}
        if population.noise_is_input:
            inputs["noise"] = tf.zeros_like(offset)
        reconstruction, loss, _ = losses(run, inputs, training=False)
        return loss, reconstruction

    def epoch(
        stack: Stack,
        x: Tensor,
        x_validation: Tensor,
        order: Tensor,
        added: dict[str, Tensor],
        validation_offset: Tensor,
        learning_rate: Tensor,
        keep_last: Tensor,
    ) -> tuple[Stack, Tensor, Validation]:
        runs, samples = order.shape
        steps, rest = divmod(samples, batch_size)

        def one_step(
            start: Tensor, size: int, weights: Any, state: Any, moments: Any, step: Tensor
        ) -> Any:
            inputs = {
                name: tf.slice(array, [0, start, 0], [runs, size, array.shape[2]])
                for name, array in added.items()
            }
            inputs["x"] = tf.gather(x, tf.slice(order, [0, start], [runs, size]))
            loss, gradients, state = _map_runs(
                batch_gradient, (Variables(weights, state), inputs), runs
            )
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
            return loss, updated, state, moments, step

        def full_step(number: Tensor, total: Tensor, *carried: Any) -> Any:
            loss, *carried = one_step(number * batch_size, batch_size, *carried)
            return number + 1, total + loss * float(batch_size), *carried

        total = tf.zeros([runs])
        carried = (stack.weights, stack.state, stack.moments, stack.step)
        if steps:
            _, total, *carried = tf.while_loop(
                lambda number, *_: number < steps,
                full_step,
                (0, total, *carried),
                maximum_iterations=steps,
            )
        if rest:
            loss, *carried = one_step(tf.constant(steps * batch_size), rest, *carried)
            total = total + loss * float(rest)
        weights, state, moments, step = carried
        validation = Validation(
            *_map_runs(
                lambda batch: validation_losses(batch, x_validation),
                (Variables(weights, state), validation_offset),
                runs,
            )
        )
        better = tf.math.is_finite(validation.loss) & (
            keep_last | (validation.loss < stack.best_loss)
        )
        return (
            Stack(
                weights,
                state,
                moments,
                step,
                _choose(better, weights, stack.best_weights),
                _choose(better, state, stack.best_state),
                tf.where(better, validation.loss, stack.best_loss),
            ),
            total / float(samples),
            validation,
        )

    return tf.function(epoch, jit_compile=not population.convolves, autograph=False)


def _map_runs(function: Any, stacked: Any, runs: int) -> Any:
    """A function of one run, mapped over the leading axis; for a single run just called."""
    if runs > 1:
        return tf.vectorized_map(function, stacked)
    result = function(tf.nest.map_structure(lambda array: array[0], stacked))
    return tf.nest.map_structure(lambda array: tf.expand_dims(array, 0), result)


def _choose(better: Tensor, new: list[Tensor], old: list[Tensor]) -> list[Tensor]:
    """For each run the new arrays where it is better, else the old ones."""
    return [
        tf.where(tf.reshape(better, [-1] + [1] * (len(n.shape) - 1)), n, o)
        for n, o in zip(new, old, strict=True)
    ]
