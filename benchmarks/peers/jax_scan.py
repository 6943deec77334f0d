"""JAX: one jitted program per epoch, ``lax.scan`` over the batches, ``vmap`` over the runs.

Adam is written out, as JAX has none. Noise is drawn for an epoch at a time, the orders of the
samples by NumPy: on a CPU its permutations take a tenth of the time of JAX's or less.
"""

from __future__ import annotations

import time
from itertools import count, pairwise
from typing import Any

import numpy as np
from benchmarks.peers.clock import epoch_by_epoch
from benchmarks.peers.task import Array, Task, Turn

Tree = Any


def start(task: Task) -> Turn:
    """A turn of epochs of all runs at once."""
    import jax
    import jax.numpy as jnp

    started = time.perf_counter()
    x, validation = task.x, task.validation
    offset = jnp.asarray(task.offset(len(x)))
    offset_validation = jnp.asarray(task.offset(len(validation)))
    rng = np.random.default_rng(0)
    weights = jax.tree.map(jnp.asarray, initial_weights(rng, task, x.shape[1]))
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = (weights, zeros, jax.tree.map(jnp.copy, zeros), jnp.zeros(task.runs))
    program = jax.jit(
        jax.vmap(epoch_program(task), in_axes=(0, None, None, None, None, 0, 0)),
        donate_argnums=0,
    )
    x, validation = jnp.asarray(x), jnp.asarray(validation)
    keys = map(jax.random.key, count())

    def epoch() -> float:
        nonlocal state
        order = np.stack([rng.permutation(task.samples) for _ in range(task.runs)])
        arrays = (x, offset, validation, offset_validation, order.astype(np.int32))
        state, _, losses = program(state, *arrays, jax.random.split(next(keys), task.runs))
        return float(losses.mean())

    return epoch_by_epoch(task, started, epoch, task.runs)


def initial_weights(
    rng: np.random.Generator, task: Task, features: int
) -> list[tuple[Array, Array]]:
    """Glorot uniform kernels (R, i, o) and zero biases (R, o), layer by layer."""
    weights = []
    for inputs, outputs in pairwise(task.widths(features)):
        limit = np.sqrt(6 / (inputs + outputs))
        kernel = rng.uniform(-limit, limit, (task.runs, inputs, outputs)).astype(np.float32)
        weights.append((kernel, np.zeros((task.runs, outputs), np.float32)))
    return weights


def epoch_program(task: Task) -> Any:
    """An epoch of one run.

    Returns:
        A function of ``(state, x, offset, validation, offset_validation, order, key)`` →
        ``(state, loss, validation loss)``.
    """
    import jax
    import jax.numpy as jnp

    code_layer = len(task.hidden)
    steps, rest = divmod(task.samples, task.batch_size)

    def loss_of(weights: Tree, batch: Any, added: Any) -> Any:
        values = batch
        for layer, (kernel, bias) in enumerate(weights):
            values = values @ kernel + bias
            if layer == code_layer:
                squared_norm = jnp.sum(values**2, axis=1, keepdims=True)
                values = values * jax.lax.rsqrt(jnp.maximum(squared_norm, 1e-12)) + added
            elif layer < len(weights) - 1:
                values = jax.nn.relu(values)
        losses = jnp.maximum(values, 0) - values * batch + jnp.log1p(jnp.exp(-jnp.abs(values)))
        return losses.mean()

    def step(state: Tree, batch: Any, added: Any) -> tuple[Tree, Any]:
        weights, means, squares, steps_done = state
        loss, gradients = jax.value_and_grad(loss_of)(weights, batch, added)
        steps_done = steps_done + 1
        rate = 1e-3 * jnp.sqrt(1 - 0.999**steps_done) / (1 - 0.9**steps_done)
        means = jax.tree.map(lambda m, g: m + 0.1 * (g - m), means, gradients)
        squares = jax.tree.map(lambda s, g: s + 0.001 * (g * g - s), squares, gradients)
        weights = jax.tree.map(
            lambda w, m, s: w - rate * m / (jnp.sqrt(s) + 1e-7), weights, means, squares
        )
        return (weights, means, squares, steps_done), loss

    def epoch(
        state: Tree,
        x: Any,
        offset: Any,
        validation: Any,
        offset_validation: Any,
        order: Any,
        key: Any,
    ) -> tuple[Tree, Any, Any]:
        def on_rows(state: Tree, inputs: tuple[Any, Any]) -> tuple[Tree, Any]:
            rows, noise = inputs
            return step(state, x[rows], task.stddev * noise if task.stddev else offset[rows])

        width = task.latent_dim if task.stddev else 0
        noise = jax.random.normal(key, (task.samples, width))
        full = steps * task.batch_size
        batches = (
            order[:full].reshape(steps, task.batch_size),
            noise[:full].reshape(steps, task.batch_size, width),
        )
        state, losses = jax.lax.scan(on_rows, state, batches)
        total = losses.sum() * task.batch_size
        if rest:
            state, loss = on_rows(state, (order[full:], noise[full:]))
            total = total + loss * rest
        return state, total / task.samples, loss_of(state[0], validation, offset_validation)

    return epoch
