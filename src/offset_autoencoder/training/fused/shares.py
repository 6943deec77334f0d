"""How a batch is cut, so that several threads can train one run.

The rows of a batch fall into *groups* of 64. Losses are summed group by group, however many
threads there are, and each thread takes whole groups that follow one another; a smaller last batch
is left to the first. The gradients of the weights are summed over all rows, each by one thread.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.training.fused.compiler import inlined
from offset_autoencoder.training.fused.program import DENSE, Program

# Multiplications a batch from which threads gain more by sharing it than they lose by waiting.
_WORTH_SHARING = 2_000_000
# Fewer rows make a product slow, and BLAS treats small products otherwise, which rounds otherwise.
GROUP_ROWS = 64


class Shares(NamedTuple):
    """What each thread does of a batch.

    Attributes:
        batch_size: Rows of a whole batch.
        parts: How many parts its groups fall into, at least as many as threads.
        owners: (operations,) int64, the part that sums and applies the gradient of an
            operation's weights.
    """

    batch_size: int
    parts: int
    owners: NDArray[np.int64]


def groups_of(batch_size: int) -> int:
    """Groups of a whole batch; the last may be smaller."""
    return -(-batch_size // GROUP_ROWS)


def most_parts(program: Program, batch_size: int) -> int:
    """Into how many parts it is worth cutting a batch: small ones into one."""
    is_worth_it = batch_size * sum(_sizes(program)) >= _WORTH_SHARING
    return max(1, batch_size // GROUP_ROWS) if is_worth_it else 1


def shares_of(program: Program, batch_size: int, parts: int) -> Shares:
    """Cut the batches of a network into parts; the weights go to them as evenly as they can."""
    sizes = _sizes(program)
    owners, loads = np.zeros(len(sizes), np.int64), np.zeros(parts)
    for number in sorted(range(len(sizes)), key=lambda each: -sizes[each]):
        owners[number] = np.argmin(loads)
        loads[owners[number]] += sizes[number]
    return Shares(batch_size, parts, owners)


def _sizes(program: Program) -> list[int]:
    """Weights of each operation's kernel."""
    return [
        int(program.widths[op[2]] * program.widths[op[1]]) if op[0] == DENSE else 0
        for op in program.operations
    ]


@inlined
def first_row(shares: Any, part: int, rows: int) -> Any:
    """The first of a batch's rows that belong to a part; of the part after the last, ``rows``."""
    if part == 0:
        return 0
    if part == shares.parts or rows < shares.batch_size:
        return rows
    return (rows // GROUP_ROWS * part // shares.parts) * GROUP_ROWS
