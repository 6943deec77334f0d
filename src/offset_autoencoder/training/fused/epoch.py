"""An epoch of one run, and its validation: loops over batches, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from offset_autoencoder.training.fused.compiler import compiled
from offset_autoencoder.training.fused.losses import loss_and_gradient
from offset_autoencoder.training.fused.optimizers import update
from offset_autoencoder.training.fused.passes import backward, block, forward
from offset_autoencoder.training.fused.program import NOISE, OFFSET, X

_f = np.float32


@compiled
def train_batches(
    program: Any,
    optimizer: int,
    batch_size: int,
    learning_rate: float,
    stddev: float,
    weights: Any,
    moments: Any,
    step: int,
    x: Any,
    offset: Any,
    offset_factor: Any,
    order: Any,
    noise: Any,
    scratch: Any,
) -> float:
    """Train a run, in place, on samples in a given order.

    Args:
        program: The network.
        optimizer: Which optimizer.
        batch_size: Samples a step; the last step takes what is left.
        learning_rate: Of the optimizer.
        stddev: What the noise is multiplied by.
        weights: Flat, float32.
        moments: (2, trained) float32.
        step: Steps that the run took before.
        x: (n, D) float32.
        offset: (n, L) float32.
        offset_factor: float32, what it is multiplied by as it is added.
        order: (m,) int, rows of x and offset, batch after batch.
        noise: (m, L) float32 in this order; (0, 0) for none.
        scratch: Four flat float32 arrays: workspace and upstream, of ``batch_size`` rows each;
            one as large as the largest value; and the gradient, (trained,).

    Returns:
        The loss, summed over the samples.
    """
    workspace, upstream, spare, gradient = scratch
    samples, total = order.size, 0.0
    last = program.operations[program.operations.shape[0] - 1, 1]
    weighted = noise.shape[0] > 0 and stddev != 0.0
    factor = _f(stddev)
    apart = program.widths[NOISE] > 0
    for start in range(0, samples, batch_size):
        rows = min(batch_size, samples - start)
        batch = block(workspace, program, X, rows, batch_size)
        added = block(workspace, program, OFFSET, rows, batch_size)
        drawn = block(workspace, program, NOISE, rows, batch_size)
        for i in range(rows):
            row = order[start + i]
            for j in range(batch.shape[1]):
                batch[i, j] = x[row, j]
            for j in range(added.shape[1]):
                added[i, j] = offset_factor * offset[row, j]
            if apart:
                for j in range(drawn.shape[1]):
                    drawn[i, j] = factor * noise[start + i, j] if weighted else _f(0)
            elif weighted:
                for j in range(added.shape[1]):
                    added[i, j] += factor * noise[start + i, j]
        step += 1
        kl_weight = program.kl_weight
        if step < program.warmup_steps:
            kl_weight *= step / program.warmup_steps
        divergence = forward(program, weights, workspace, rows, batch_size, True)
        total += kl_weight * divergence
        total += loss_and_gradient(
            program.loss,
            batch,
            block(workspace, program, last, rows, batch_size),
            block(upstream, program, last, rows, batch_size),
            spare,
        )
        backward(
            program, weights, gradient, workspace, upstream, spare, rows, batch_size, kl_weight
        )
        trained = weights[: program.trained]
        update(optimizer, trained, gradient, moments, learning_rate, step)
    if program.steps_at >= 0:
        weights[program.steps_at] = step
    return total


@compiled
def validate(
    program: Any,
    batch_size: int,
    weights: Any,
    x: Any,
    offset: Any,
    offset_factor: Any,
    scratch: Any,
) -> tuple[float, float]:
    """The losses summed over samples, as the run is deployed: without noise, codes not drawn.

    Args:
        program: The network.
        batch_size: Samples that the workspace is made for.
        weights: Flat, float32.
        x: (m, D) float32.
        offset: (m, L) float32.
        offset_factor: float32.
        scratch: As :func:`train_batches` takes it.

    Returns:
        The whole loss, and the reconstruction's share of it.
    """
    workspace, upstream, spare, _ = scratch
    samples, reconstruction, divergence = x.shape[0], 0.0, 0.0
    last = program.operations[program.operations.shape[0] - 1, 1]
    for start in range(0, samples, batch_size):
        rows = min(batch_size, samples - start)
        batch = block(workspace, program, X, rows, batch_size)
        added = block(workspace, program, OFFSET, rows, batch_size)
        drawn = block(workspace, program, NOISE, rows, batch_size)
        for i in range(rows):
            for j in range(batch.shape[1]):
                batch[i, j] = x[start + i, j]
            for j in range(added.shape[1]):
                added[i, j] = offset_factor * offset[start + i, j]
            for j in range(drawn.shape[1]):
                drawn[i, j] = _f(0)
        divergence += forward(program, weights, workspace, rows, batch_size, False)
        reconstruction += loss_and_gradient(
            program.loss,
            batch,
            block(workspace, program, last, rows, batch_size),
            block(upstream, program, last, rows, batch_size),
            spare,
        )
    return reconstruction + program.kl_weight * divergence, reconstruction
