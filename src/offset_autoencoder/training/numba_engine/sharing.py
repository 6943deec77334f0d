"""Proof that several threads train a run to the same bytes as one; and compilation ahead of time.

``python -m offset_autoencoder.training.numba_engine.sharing`` compiles all loops and leaves them on
disk.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.training.numba_engine.epoch import new_scratch, train_batches, validate
from offset_autoencoder.training.numba_engine.kernels import LOSSES, MOMENTS, OPTIMIZERS
from offset_autoencoder.training.numba_engine.partition import (
    groups_of,
    most_parts,
    new_barrier,
    partition_batch,
)
from offset_autoencoder.training.numba_engine.program import (
    DENSE,
    OFFSET,
    Layout,
    Operation,
    Program,
    X,
)

_WIDTHS = (2, 1, 0, 2)  # of x, offset, noise, and of the only layer


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
        optimizer: Kind of optimizer.
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
    """Train on random numbers, cut into parts, by a single thread.

    Args:
        program: The network.
        layout: Its weights.
        batch_size: Samples per step.
        optimizer: Kind of optimizer.
        samples: Of the epoch, and of its validation.
        parts: Number of parts.

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


def main() -> None:
    """Train the smallest network that there is: all others run the same code."""
    layer = Operation(DENSE, out=3, first=X, kernel=0, bias=4, trains=1)
    program = Program(
        operations=np.array([layer], np.int64),
        constants=np.zeros(1, np.float32),
        columns=np.concatenate([[0], np.cumsum(_WIDTHS)]).astype(np.int64),
        widths=np.array(_WIDTHS, np.int64),
        trained=6,
        loss=LOSSES["mean_squared_error"],
        kl_weight=0.0,
        warmup_steps=0,
        steps_at=-1,
    )
    layout = Layout(("kernel", "bias"), ((2, 2), (2,)), (0, 4), 6)
    train_randomly(program, layout, 2, OPTIMIZERS["adam"], (2, 2), 1)


if __name__ == "__main__":
    main()
