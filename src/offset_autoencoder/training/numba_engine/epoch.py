"""Epoch of one run, and its validation: loops over batches, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.training.numba_engine.compiler import compiled, inlined
from offset_autoencoder.training.numba_engine.forward_backward import (
    backward,
    block,
    forward,
    weight_gradients,
)
from offset_autoencoder.training.numba_engine.kernels import (
    LOSSES,
    MOMENTS,
    OPTIMIZERS,
    loss_and_gradient,
    update,
)
from offset_autoencoder.training.numba_engine.program import (
    DENSE,
    GROUP_ROWS,
    NOISE,
    OFFSET,
    Operation,
    Program,
    Share,
    X,
    first_row,
    groups_of,
    make_program,
    most_parts,
    new_barrier,
    new_scratch,
    wait,
    weight_owners,
)

_f = np.float32


@compiled
def train_batches(
    program: Any,
    share: Any,
    weights: Any,
    moments: Any,
    step: int,
    learning_rates: Any,
    stddev: float,
    x: Any,
    offset: Any,
    offset_factor: Any,
    order: Any,
    noise: Any,
    scratch: Any,
    losses: Any,
) -> bool:
    """Train a run, in place, on samples in a given order: one thread's parts of every batch.

    Args:
        program: A :class:`.program.Program`.
        share: A :class:`.program.Share`.
        weights: Flat, float32.
        moments: (2, trained) float32.
        step: Steps that the run took before.
        learning_rates: float64, that of each step from here on.
        stddev: Factor of the noise.
        x: (n, D) float32.
        offset: (n, L) float32.
        offset_factor: float32, factor of the offset as it is added.
        order: (m,) int, rows of x and offset, batch after batch.
        noise: (m, L) float32 in this order; (0, 0) for none.
        scratch: A :class:`.program.Scratch`.
        losses: (groups,) float64; the losses of each group of a batch, summed over its samples,
            are added.

    Returns:
        Whether all threads stayed to the end.
    """
    samples, parts, waits = order.size, share.parts, 0
    optimizer, gradient = program.optimizer, scratch.gradient
    for start in range(0, samples, program.batch_size):
        rows = min(program.batch_size, samples - start)
        learning_rate = learning_rates[start // program.batch_size]
        step += 1
        kl_weight = program.kl_weight
        if step < program.warmup_steps:
            kl_weight *= step / program.warmup_steps
        for part in range(share.thread, parts, share.threads):
            low = first_row(program.batch_size, parts, part, rows)
            high = first_row(program.batch_size, parts, part + 1, rows)
            if low == high:
                continue
            rows_of_x = order[start + low : start + high]
            _gather(program, scratch, low, x, offset, offset_factor, rows_of_x)
            _add_noise(program, scratch, low, high, noise, start, _f(stddev))
            forward(program, weights, scratch, low, high, True)
            _add_losses(program, scratch, low, high, rows, losses)
            if kl_weight != 0.0:
                _add_divergences(low, high, scratch.divergences, kl_weight, losses)
            backward(program, weights, scratch, low, high, rows, kl_weight, parts == 1)
        waits += 1
        if not wait(share.barrier, share.threads, waits):
            return False
        if parts == 1:
            end = program.trained
            update(optimizer, weights, gradient, moments, 0, end, learning_rate, step)
            continue
        for number in range(program.operations.size):
            if share.owners[number] % share.threads != share.thread:
                continue
            op = program.operations[number]
            kernel, bias = weight_gradients(program, op, scratch, rows)
            for at, size in ((op.kernel, kernel), (op.bias, bias)):
                end = at + size
                update(optimizer, weights, gradient, moments, at, end, learning_rate, step)
        waits += 1
        if not wait(share.barrier, share.threads, waits):
            return False
    if program.steps_at >= 0 and share.thread == 0:
        weights[program.steps_at] = step
    return True


@inlined
def _gather(
    program: Any, scratch: Any, low: int, x: Any, offset: Any, offset_factor: Any, rows: Any
) -> None:
    """Fill in these rows' samples and offsets from row ``low`` of the workspace on."""
    batch = block(scratch.workspace, program, X, low, low + rows.size)
    added = block(scratch.workspace, program, OFFSET, low, low + rows.size)
    for i in range(rows.size):
        row = rows[i]
        for j in range(batch.shape[1]):
            batch[i, j] = x[row, j]
        for j in range(added.shape[1]):
            added[i, j] = offset_factor * offset[row, j]


@inlined
def _add_noise(
    program: Any, scratch: Any, low: int, high: int, noise: Any, start: int, factor: Any
) -> None:
    """Fill in the noise, or add it to the offset where the network reads both as one."""
    weighted = noise.shape[0] > 0 and factor != _f(0)
    added = block(scratch.workspace, program, OFFSET, low, high)
    drawn = block(scratch.workspace, program, NOISE, low, high)
    for i in range(high - low):
        for j in range(drawn.shape[1]):
            drawn[i, j] = factor * noise[start + low + i, j] if weighted else _f(0)
        if weighted and drawn.shape[1] == 0:
            for j in range(added.shape[1]):
                added[i, j] += factor * noise[start + low + i, j]


@inlined
def _add_losses(program: Any, scratch: Any, low: int, high: int, rows: int, losses: Any) -> None:
    """Add these rows' reconstruction losses to their groups', and write their gradients."""
    last = program.operations[program.operations.size - 1].out
    widest = program.widths.max()
    for start in range(low, high, GROUP_ROWS):
        end = min(start + GROUP_ROWS, high)
        losses[start // GROUP_ROWS] += loss_and_gradient(
            program.loss,
            block(scratch.workspace, program, X, start, end),
            block(scratch.workspace, program, last, start, end),
            block(scratch.upstream, program, last, start, end),
            scratch.spare[start * widest : end * widest],
            rows,
        )


@inlined
def _add_divergences(low: int, high: int, divergences: Any, weight: float, losses: Any) -> None:
    """Add these rows' weighted divergences to their groups'."""
    for start in range(low, high, GROUP_ROWS):
        total = 0.0
        for row in range(start, min(start + GROUP_ROWS, high)):
            total += divergences[row]
        losses[start // GROUP_ROWS] += weight * total


@compiled
def validate(
    program: Any,
    share: Any,
    weights: Any,
    x: Any,
    offset: Any,
    offset_factor: Any,
    scratch: Any,
    losses: Any,
) -> bool:
    """The losses as the run is deployed, without noise, codes not drawn: one thread's parts.

    The arguments are those of :func:`train_batches`; ``x`` (m, D) and ``offset`` (m, L) are
    taken in their order. To ``losses``, (2, groups) float64, the reconstruction losses and the
    divergences of each group of a batch are added, summed over its samples.

    Returns:
        Whether all threads stayed to the end.
    """
    samples, parts, waits = x.shape[0], share.parts, 0
    none, every = np.zeros((0, 0), np.float32), np.arange(samples)
    for start in range(0, samples, program.batch_size):
        rows = min(program.batch_size, samples - start)
        for part in range(share.thread, parts, share.threads):
            low = first_row(program.batch_size, parts, part, rows)
            high = first_row(program.batch_size, parts, part + 1, rows)
            if low == high:
                continue
            rows_of_x = every[start + low : start + high]
            _gather(program, scratch, low, x, offset, offset_factor, rows_of_x)
            _add_noise(program, scratch, low, high, none, start, _f(0))
            forward(program, weights, scratch, low, high, False)
            _add_losses(program, scratch, low, high, rows, losses[0])
            if program.kl_weight != 0.0:
                _add_divergences(low, high, scratch.divergences, 1.0, losses[1])
        waits += 1
        # The first thread may take rows of the next batch that another still works on in this.
        if not wait(share.barrier, share.threads, waits):
            return False
    return True


def most_sharing_threads(program: Program, samples: tuple[int, int]) -> int:
    """Number of threads that may train one run.

    BLAS decides by the size of a product how it is done, and so a product of half the rows may be
    rounded otherwise than half of a product of all. Where a few batches of random numbers, cut
    into parts, do not come out bit by bit as they do uncut, a run is left to one thread.
    ``samples`` are those of an epoch and of its validation: their last batches may be smaller.

    Returns:
        The largest number such that it, and every smaller one, gives the same bytes.
    """
    most, size = most_parts(program), program.batch_size
    if most == 1:
        return 1
    rows, held_out = (size + (count % size or size) for count in samples)
    uncut = train_randomly(program, (rows, held_out), 1)
    for parts in range(2, most + 1):
        cut = train_randomly(program, (rows, held_out), parts)
        if any(a.tobytes() != b.tobytes() for a, b in zip(uncut, cut, strict=True)):
            return parts - 1
    return most


def train_randomly(program: Program, samples: tuple[int, int], parts: int) -> list[NDArray[Any]]:
    """Train on so many random samples, and validate, cut into parts, by a single thread.

    Returns:
        All that it changes: weights, moments, losses, and the values of the last batch.
    """
    rng, (rows, held_out) = np.random.default_rng(0), samples
    x = rng.random((max(samples), int(program.widths[X])), dtype=np.float32)
    offset = rng.standard_normal((len(x), int(program.widths[OFFSET])), dtype=np.float32)
    noise = rng.standard_normal((rows, offset.shape[1]), dtype=np.float32)
    x.flags.writeable = offset.flags.writeable = False
    weights = rng.standard_normal(program.size, dtype=np.float32) / 16
    moments = np.zeros((MOMENTS[program.optimizer], program.trained), np.float32)
    scratch, groups = new_scratch(program), groups_of(program.batch_size)
    losses, validation = np.zeros(groups), np.zeros((2, groups))
    order, factor = np.arange(rows, dtype=np.int32)[::-1].copy(), np.float32(0.1)
    rates = np.full(-(-rows // program.batch_size), 0.01)
    share = Share(parts, weight_owners(program, parts), 0, 1, new_barrier())
    train_batches(
        program, share, weights, moments, 0, rates, 0.1, x, offset, factor, order, noise, scratch,
        losses,
    )  # fmt: skip
    validate(program, share, weights, x[:held_out], offset[:held_out], factor, scratch, validation)
    return [weights, moments, losses, validation, *scratch[:2]]


def compile_all() -> None:
    """Compile all loops by training the smallest network: all others run the same code."""
    layer = Operation(DENSE, out=3, first=X, kernel=0, bias=4, trains=1)
    program = make_program(
        [layer],
        widths=(2, 1, 0, 2),  # of x, offset, noise, and of the only layer
        trained=6,
        size=6,
        loss=LOSSES["mean_squared_error"],
        optimizer=OPTIMIZERS["adam"],
        batch_size=2,
    )
    train_randomly(program, (2, 2), 1)
