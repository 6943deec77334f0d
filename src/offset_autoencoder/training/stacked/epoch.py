"""Compiled programs that train a stack of runs and validate it.

A Keras model is written once, for one run. Here its weights get a leading axis of runs,
``tf.vectorized_map`` maps forward and backward pass over it, and one program loops over
the batches with weights and moments as loop variables.

The programs are compiled for a fixed number of runs a stack, which depends on the network
alone: XLA may round differently for another stack size, and a run must not depend on how
many others train beside it. Places that no run needs are filled with copies.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from offset_autoencoder.models.autoencoder import Variables
from offset_autoencoder.models.backend import tf
from offset_autoencoder.training.population import Population
from offset_autoencoder.training.stacked.losses import reconstruction_loss
from offset_autoencoder.training.stacked.optimizers import OPTIMIZERS
from offset_autoencoder.training.stacked.stack import Stack

Tensor = Any


class Programs(NamedTuple):
    """What trains a stack; each a ``tf.function``.

    Attributes:
        train: ``(stack, x, order, added, learning_rate)`` → ``(stack, loss)``, with x (n, D);
            order (R, m) int32 rows of x, batch after batch, the last one possibly smaller;
            added: a dict of what the model is fed beside x at those rows, ``offset`` (R, m, L)
            and, where noise is an input, ``noise`` (R, m, L); learning_rate (R,); loss (R,)
            the sum over the m samples.
        validate: ``(stack, x, offset)`` → ``(loss, reconstruction)``, with x (n, D) and offset
            (R, n, L): means over the samples, (R,), of the loss and of the reconstruction's
            share of it.
        keep_best: ``(stack, better)`` → ``stack``, with the weights of the runs for which
            better (R,) holds kept as their best.
    """

    train: Any
    validate: Any
    keep_best: Any


def compile_epoch(population: Population) -> Programs:
    """The programs of a population, compiled when they are first called."""
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

    def validation_losses(batch: tuple[Variables, Tensor], x: Tensor) -> Any:
        run, offset = batch
        inputs = {"x": x, "offset": offset}
        if population.noise_is_input:
            inputs["noise"] = tf.zeros_like(offset)
        reconstruction, loss, _ = losses(run, inputs, training=False)
        return loss, reconstruction

    def train(
        stack: Stack, x: Tensor, order: Tensor, added: dict[str, Tensor], learning_rate: Tensor
    ) -> tuple[Stack, Tensor]:
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
        return Stack(*carried, stack.best_weights, stack.best_state), total

    def validate(stack: Stack, x: Tensor, offset: Tensor) -> Any:
        return _map_runs(
            lambda batch: validation_losses(batch, x),
            (Variables(stack.weights, stack.state), offset),
            int(offset.shape[0]),
        )

    def keep_best(stack: Stack, better: Tensor) -> Stack:
        return stack._replace(
            best_weights=_choose(better, stack.weights, stack.best_weights),
            best_state=_choose(better, stack.state, stack.best_state),
        )

    compiled = not population.convolves
    return Programs(
        tf.function(train, jit_compile=compiled, autograph=False),
        tf.function(validate, jit_compile=compiled, autograph=False),
        tf.function(keep_best, autograph=False),
    )


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
