"""Whether several threads would train a run to the same bytes as one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.training.fused.epoch import new_scratch, train_batches, validate
from offset_autoencoder.training.fused.meeting import new_meeting
from offset_autoencoder.training.fused.optimizers import MOMENTS
from offset_autoencoder.training.fused.program import OFFSET, Layout, Program, X
from offset_autoencoder.training.fused.shares import groups_of, most_parts, shares_of


def sharing_threads(
    program: Program, layout: Layout, batch_size: int, optimizer: int, samples: tuple[int, int]
) -> int:
    """How many threads may train one run.

    BLAS decides by the size of a product how it is done, and so a product of half the rows may be
    rounded otherwise than half of a product of all. Where a few batches of random numbers, cut
    into parts, do not come out bit by bit as they do uncut, a run is left to one thread.

    Args:
        program: The network.
        layout: Its weights.
        batch_size: Samples a step.
        optimizer: Which optimizer.
        samples: Of an epoch, and of its validation; the last batch of each may be smaller.

    Returns:
        The largest number such that it, and every smaller one, gives the same bytes.
    """
    most = most_parts(program, batch_size)
    if most == 1:
        return 1
    rows = tuple(batch_size + (each % batch_size or batch_size) for each in samples)
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
        batch_size: Samples a step.
        optimizer: Which optimizer.
        samples: Of the epoch, and of its validation.
        parts: How many.

    Returns:
        All that it leaves: weights, moments, losses, and the values of the last batch.
    """
    rng, (rows, held_out) = np.random.default_rng(0), samples
    x = rng.random((max(samples), int(program.widths[X])), dtype=np.float32)
    offset = rng.standard_normal((len(x), int(program.widths[OFFSET])), dtype=np.float32)
    noise = rng.standard_normal((rows, offset.shape[1]), dtype=np.float32)
    x.flags.writeable = offset.flags.writeable = False
    weights = rng.standard_normal(layout.size, dtype=np.float32) / 16
    moments = np.zeros((MOMENTS[optimizer], program.trained), np.float32)
    shares, scratch = shares_of(program, batch_size, parts), new_scratch(program, batch_size)
    losses, validation = np.zeros(groups_of(batch_size)), np.zeros((2, groups_of(batch_size)))
    order, factor = np.arange(rows, dtype=np.int32)[::-1].copy(), np.float32(0.1)
    train_batches(
        program, shares, 0, 1, new_meeting(), optimizer, batch_size, 0.01, 0.1, weights, moments,
        0, x, offset, factor, order, noise, scratch, losses,
    )  # fmt: skip
    validate(
        program, shares, 0, 1, new_meeting(), batch_size, weights, x[:held_out], offset[:held_out],
        factor, scratch, validation,
    )  # fmt: skip
    return [weights, moments, losses, validation, *scratch[:2]]
