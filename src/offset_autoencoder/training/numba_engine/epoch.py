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
    BIAS,
    DENSE,
    GROUP_ROWS,
    KERNEL,
    NOISE,
    OFFSET,
    OUT,
    Layout,
    Operation,
    Program,
    X,
    first_row,
    groups_of,
    most_parts,
    new_barrier,
    partition_batch,
    wait,
)

_f = np.float32


@compiled
def train_batches(
    program: Any,
    partition: Any,
    thread: int,
    threads: int,
    barrier: Any,
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
    losses: Any,
) -> bool:
    """Train a run, in place, on samples in a given order: one thread's parts of every batch.

    Args:
        program: A :class:`.program.Program`.
        partition: A :class:`.program.BatchPartition`.
        thread: Number of this thread among those of the run.
        threads: Number of threads, at most as many as parts.
        barrier: Barrier at which they wait for each other.
        optimizer: A kind of :data:`.kernels.OPTIMIZERS`.
        batch_size: Samples per step; the last step takes what is left.
        learning_rate: η.
        stddev: Factor of the noise.
        weights: Flat, float32.
        moments: (2, trained) float32.
        step: Steps that the run took before.
        x: (n, D) float32.
        offset: (n, L) float32.
        offset_factor: float32, factor of the offset as it is added.
        order: (m,) int, rows of x and offset, batch after batch.
        noise: (m, L) float32 in this order; (0, 0) for none.
        scratch: As :func:`new_scratch` makes it.
        losses: (groups,) float64; the losses of each group of a batch, summed over its samples,
            are added.

    Returns:
        Whether all threads stayed to the end.
    """
    workspace, upstream, spare, gradient, divergences = scratch
    samples, parts, waits = order.size, partition.parts, 0
    for start in range(0, samples, batch_size):
        rows = min(batch_size, samples - start)
        step += 1
        kl_weight = program.kl_weight
        if step < program.warmup_steps:
            kl_weight *= step / program.warmup_steps
        for part in range(thread, parts, threads):
            low, high = first_row(partition, part, rows), first_row(partition, part + 1, rows)
            if low == high:
                continue
            rows_of_x = order[start + low : start + high]
            _gather(program, workspace, low, batch_size, x, offset, offset_factor, rows_of_x)
            _add_noise(program, workspace, low, high, batch_size, noise, start, _f(stddev))
            forward(program, weights, workspace, low, high, batch_size, True, divergences)
            _add_losses(program, low, high, rows, batch_size, scratch, losses)
            if kl_weight != 0.0:
                _add_divergences(low, high, divergences, kl_weight, losses)
            own = spare[low * program.widths.max() : high * program.widths.max()]
            backward(
                program,
                weights,
                gradient,
                workspace,
                upstream,
                own,
                low,
                high,
                rows,
                batch_size,
                kl_weight,
                parts == 1,
            )
        waits += 1
        if not wait(barrier, threads, waits):
            return False
        if parts == 1:
            trained = program.trained
            update(optimizer, weights, gradient, moments, 0, trained, learning_rate, step)
            continue
        for number in range(program.operations.shape[0]):
            if partition.owners[number] % threads != thread:
                continue
            kernel, bias = weight_gradients(
                program, number, gradient, workspace, upstream, rows, batch_size
            )
            op = program.operations[number]
            for at, size in ((op[KERNEL], kernel), (op[BIAS], bias)):
                end = at + size
                update(optimizer, weights, gradient, moments, at, end, learning_rate, step)
        waits += 1
        if not wait(barrier, threads, waits):
            return False
    if program.steps_at >= 0 and thread == 0:
        weights[program.steps_at] = step
    return True


@inlined
def _gather(
    program: Any,
    workspace: Any,
    low: int,
    most: int,
    x: Any,
    offset: Any,
    offset_factor: Any,
    rows: Any,
) -> None:
    """Fill in these rows' samples and offsets from row ``low`` of the workspace on."""
    batch = block(workspace, program, X, low, low + rows.size, most)
    added = block(workspace, program, OFFSET, low, low + rows.size, most)
    for i in range(rows.size):
        row = rows[i]
        for j in range(batch.shape[1]):
            batch[i, j] = x[row, j]
        for j in range(added.shape[1]):
            added[i, j] = offset_factor * offset[row, j]


@inlined
def _add_noise(
    program: Any,
    workspace: Any,
    low: int,
    high: int,
    most: int,
    noise: Any,
    start: int,
    factor: Any,
) -> None:
    """Fill in the noise, or add it to the offset where the network reads both as one."""
    weighted = noise.shape[0] > 0 and factor != _f(0)
    added = block(workspace, program, OFFSET, low, high, most)
    drawn = block(workspace, program, NOISE, low, high, most)
    for i in range(high - low):
        for j in range(drawn.shape[1]):
            drawn[i, j] = factor * noise[start + low + i, j] if weighted else _f(0)
        if weighted and drawn.shape[1] == 0:
            for j in range(added.shape[1]):
                added[i, j] += factor * noise[start + low + i, j]


@inlined
def _add_losses(
    program: Any,
    low: int,
    high: int,
    rows: int,
    most: int,
    scratch: Any,
    losses: Any,
) -> None:
    """Add these rows' reconstruction losses to their groups', and write their gradients."""
    workspace, upstream, spare, _, _ = scratch
    last = program.operations[program.operations.shape[0] - 1, OUT]
    widest = program.widths.max()
    for start in range(low, high, GROUP_ROWS):
        end = min(start + GROUP_ROWS, high)
        losses[start // GROUP_ROWS] += loss_and_gradient(
            program.loss,
            block(workspace, program, X, start, end, most),
            block(workspace, program, last, start, end, most),
            block(upstream, program, last, start, end, most),
            spare[start * widest : end * widest],
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
    partition: Any,
    thread: int,
    threads: int,
    barrier: Any,
    batch_size: int,
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
    workspace, divergences = scratch[0], scratch[4]
    samples, waits = x.shape[0], 0
    none, every = np.zeros((0, 0), np.float32), np.arange(samples)
    for start in range(0, samples, batch_size):
        rows = min(batch_size, samples - start)
        for part in range(thread, partition.parts, threads):
            low, high = first_row(partition, part, rows), first_row(partition, part + 1, rows)
            if low == high:
                continue
            rows_of_x = every[start + low : start + high]
            _gather(program, workspace, low, batch_size, x, offset, offset_factor, rows_of_x)
            _add_noise(program, workspace, low, high, batch_size, none, start, _f(0))
            forward(program, weights, workspace, low, high, batch_size, False, divergences)
            _add_losses(program, low, high, rows, batch_size, scratch, losses[0])
            if program.kl_weight != 0.0:
                _add_divergences(low, high, divergences, 1.0, losses[1])
        waits += 1
        # The first thread may take rows of the next batch that another still works on in this.
        if not wait(barrier, threads, waits):
            return False
    return True


def new_scratch(program: Program, batch_size: int) -> tuple[NDArray[Any], ...]:
    """Arrays that a run's threads write between reading a batch and changing the weights.

    Returns:
        Flat arrays: workspace and upstream, float32, of ``batch_size`` rows each; one of as many
        rows of the widest value; the gradient, float32 (trained,); divergences, float64
        (batch_size,).
    """
    sizes = (
        batch_size * int(program.columns[-1]),
        batch_size * int(program.columns[-1]),
        batch_size * int(program.widths.max()),
        program.trained,
    )
    return (*(np.zeros(size, np.float32) for size in sizes), np.zeros(batch_size))


def most_sharing_threads(
    program: Program, layout: Layout, batch_size: int, optimizer: int, samples: tuple[int, int]
) -> int:
    """Number of threads that may train one run.

    BLAS decides by the size of a product how it is done, and so a product of half the rows may be
    rounded otherwise than half of a product of all. Where a few batches of random numbers, cut
    into parts, do not come out bit by bit as they do uncut, a run is left to one thread.

    Args:
        program: The network.
        layout: Its weights.
        batch_size: Samples per step.
        optimizer: A kind of :data:`.kernels.OPTIMIZERS`.
        samples: Of an epoch, and of its validation; the last batch of each may be smaller.

    Returns:
        The largest number such that it, and every smaller one, gives the same bytes.
    """
    most = most_parts(program, batch_size)
    if most == 1:
        return 1
    rows = tuple(batch_size + (size % batch_size or batch_size) for size in samples)
    uncut = train_randomly(program, layout, batch_size, optimizer, rows, 1)
    for parts in range(2, most + 1):
        cut = train_randomly(program, layout, batch_size, optimizer, rows, parts)
        if any(a.tobytes() != b.tobytes() for a, b in zip(uncut, cut, strict=True)):
            return parts - 1
    return most


def train_randomly(
    program: Program,
    layout: Layout,
    batch_size: int,
    optimizer: int,
    samples: tuple[int, ...],
    parts: int,
) -> list[NDArray[Any]]:
    """Train on so many random samples, and validate, cut into parts, by a single thread.

    Returns:
        All that it changes: weights, moments, losses, and the values of the last batch.
    """
    rng, (rows, held_out) = np.random.default_rng(0), samples
    x = rng.random((max(samples), int(program.widths[X])), dtype=np.float32)
    offset = rng.standard_normal((len(x), int(program.widths[OFFSET])), dtype=np.float32)
    noise = rng.standard_normal((rows, offset.shape[1]), dtype=np.float32)
    x.flags.writeable = offset.flags.writeable = False
    weights = rng.standard_normal(layout.size, dtype=np.float32) / 16
    moments = np.zeros((MOMENTS[optimizer], program.trained), np.float32)
    partition, scratch = (
        partition_batch(program, batch_size, parts),
        new_scratch(program, batch_size),
    )
    losses, validation = np.zeros(groups_of(batch_size)), np.zeros((2, groups_of(batch_size)))
    order, factor = np.arange(rows, dtype=np.int32)[::-1].copy(), np.float32(0.1)
    train_batches(
        program, partition, 0, 1, new_barrier(), optimizer, batch_size, 0.01, 0.1, weights, moments,
        0, x, offset, factor, order, noise, scratch, losses,
    )  # fmt: skip
    validate(
        program, partition, 0, 1, new_barrier(), batch_size, weights, x[:held_out],
        offset[:held_out], factor, scratch, validation,
    )  # fmt: skip
    return [weights, moments, losses, validation, *scratch[:2]]


def compile_all() -> None:
    """Compile all loops by training the smallest network: all others run the same code."""
    widths = (2, 1, 0, 2)  # of x, offset, noise, and of the only layer
    layer = Operation(DENSE, out=3, first=X, kernel=0, bias=4, trains=1)
    program = Program(
        operations=np.array([layer], np.int64),
        constants=np.zeros(1, np.float32),
        columns=np.concatenate([[0], np.cumsum(widths)]).astype(np.int64),
        widths=np.array(widths, np.int64),
        trained=6,
        loss=LOSSES["mean_squared_error"],
        kl_weight=0.0,
        warmup_steps=0,
        steps_at=-1,
    )
    layout = Layout(("kernel", "bias"), ((2, 2), (2,)), (0, 4), 6)
    train_randomly(program, layout, 2, OPTIMIZERS["adam"], (2, 2), 1)
