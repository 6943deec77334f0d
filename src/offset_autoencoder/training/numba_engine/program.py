"""Programs: dense networks as lists of operations, and the division of batches among threads.

Every intermediate of a batch is a *value*: (rows, width) float32, a block of one workspace.
An operation reads one to three values and writes one. All weights lie in one flat array,
those that train first, so that an optimizer's step is one loop over it.

The rows of a batch fall into *groups* of 64. Losses are summed group by group, however many
threads there are, and each thread takes whole groups that follow one another; a smaller last batch
is left to the first. The gradients of the weights are summed over all rows, each by one thread.

A barrier is two int64: how many threads have arrived so far, over all batches, and whether one of
them gave up. Two waits per batch are too many for Python's own barriers, which take its lock.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from offset_autoencoder.training.numba_engine.compiler import compiled, inlined
from offset_autoencoder.training.numba_engine.kernels import LINEAR

# The first values of every program: what a model is fed.
X, OFFSET, NOISE = 0, 1, 2

# Kinds of operations.
DENSE = 0  # out = activation(first @ kernel + bias)
ACTIVATE = 1  # out = activation(first)
UNIT_NORM = 2  # out = first / ‖first‖, zeros where it is shorter than constant
COMBINE = 3  # out[:, column : column + width of first] (+)= constant · first
SAMPLE = 4  # out = first + exp(second / 2) · third in training, first otherwise

# Multiplications per batch from which threads gain more by sharing it than they lose by waiting.
_WORTH_SHARING = 2_000_000
# Fewer rows make a product slow, and BLAS treats small products otherwise, which rounds otherwise.
GROUP_ROWS = 64


class Operation(NamedTuple):
    """One operation; what a kind does not use is -1, or 0 for flags.

    Attributes:
        out: The value that it writes.
        first: The value that it reads; so are ``second`` and ``third``.
        kernel: Where its kernel starts among the weights, and ``bias`` its bias.
        trains: Whether kernel and bias train.
        activation: Of DENSE and ACTIVATE.
        column: Of COMBINE, the first column of ``out`` that it writes.
        adds: Of COMBINE, whether it adds to what is there.
        constant: Which of the program's constants it uses.
        gradient: Whether ``first`` (and ``second``) need a gradient.
        overwrites: Whether the gradient of ``first`` is written, not added to: backward, this
            operation comes to it first.
        overwrites_second: The same of ``second``.
    """

    kind: int
    out: int
    first: int
    second: int = -1
    third: int = -1
    kernel: int = -1
    bias: int = -1
    trains: int = 0
    activation: int = LINEAR
    column: int = 0
    adds: int = 0
    constant: int = -1
    gradient: int = 0
    overwrites: int = 0
    overwrites_second: int = 0


_RECORD = np.dtype([(field, np.int64) for field in Operation._fields])


class Program(NamedTuple):
    """A network and its training as the compiled loop takes them: numbers and arrays.

    Attributes:
        operations: (n,) records of int64, the fields of each :class:`Operation`, in the order of
            the forward pass.
        constants: float32, what operations refer to.
        columns: (values + 1,) int64, where each value starts in a workspace of one row; the
            last is a row's total width.
        widths: (values,) int64.
        trained: Number of the flat weights that train; they come first.
        size: Number of all flat weights.
        loss: Kind of loss; it reads the last operation's ``out``.
        optimizer: Kind of optimizer.
        batch_size: Samples per step; the last step of an epoch takes what is left.
        kl_weight: Of a variational autoencoder's divergence, after the warm-up.
        warmup_steps: Steps over which that weight rises.
        steps_at: Where the weights keep the number of steps taken; -1 where none does.
    """

    operations: NDArray[np.void]
    constants: NDArray[np.float32]
    columns: NDArray[np.int64]
    widths: NDArray[np.int64]
    trained: int
    size: int
    loss: int
    optimizer: int
    batch_size: int
    kl_weight: float = 0.0
    warmup_steps: int = 0
    steps_at: int = -1


def make_program(
    operations: Sequence[Operation],
    widths: Sequence[int],
    constants: Sequence[float] = (),
    **numbers: Any,
) -> Program:
    """A program of operations on values of these widths; ``numbers`` are its other fields."""
    return Program(
        operations=np.array(operations, _RECORD),
        constants=np.array(constants or [0.0], np.float32),
        columns=np.concatenate([[0], np.cumsum(widths)]).astype(np.int64),
        widths=np.array(widths, np.int64),
        **numbers,
    )


class Scratch(NamedTuple):
    """Arrays that a run's threads write between reading a batch and changing the weights.

    Attributes:
        workspace: Every value of a batch, flat, float32.
        upstream: The gradient of every value, of the same size.
        spare: Float32, as many rows of the widest value.
        gradient: Of the weights that train, float32 (trained,).
        divergences: Each row's KL divergence from the prior, nats, float64 (batch_size,).
    """

    workspace: NDArray[np.float32]
    upstream: NDArray[np.float32]
    spare: NDArray[np.float32]
    gradient: NDArray[np.float32]
    divergences: NDArray[np.float64]


def new_scratch(program: Program) -> Scratch:
    """Zeros of the sizes that a program needs."""
    row, widest = int(program.columns[-1]), int(program.widths.max())
    rows = program.batch_size
    sizes = (rows * row, rows * row, rows * widest, program.trained)
    workspace, upstream, spare, gradient = (np.zeros(size, np.float32) for size in sizes)
    return Scratch(workspace, upstream, spare, gradient, np.zeros(rows))


class Share(NamedTuple):
    """One thread's share of every batch.

    Attributes:
        parts: Number of parts that a batch's groups fall into, at least as many as threads.
        owners: What :func:`weight_owners` gives.
        thread: Number of this thread among those of the run.
        threads: Number of threads.
        barrier: Barrier at which they wait for each other.
    """

    parts: int
    owners: NDArray[np.int64]
    thread: int
    threads: int
    barrier: NDArray[np.int64]


def groups_of(batch_size: int) -> int:
    """Groups of a whole batch; the last may be smaller."""
    return -(-batch_size // GROUP_ROWS)


def most_parts(program: Program) -> int:
    """Into how many parts it is worth cutting a batch: small ones into one."""
    is_worth_it = program.batch_size * sum(_sizes(program)) >= _WORTH_SHARING
    return max(1, program.batch_size // GROUP_ROWS) if is_worth_it else 1


def weight_owners(program: Program, parts: int) -> NDArray[np.int64]:
    """The part that sums and applies the gradient of each operation's weights, (operations,).

    The weights go to the parts as evenly as they can.
    """
    sizes = _sizes(program)
    owners, loads = np.zeros(len(sizes), np.int64), np.zeros(parts)
    for number in sorted(range(len(sizes)), key=lambda number: -sizes[number]):
        owners[number] = np.argmin(loads)
        loads[owners[number]] += sizes[number]
    return owners


def _sizes(program: Program) -> list[int]:
    """Weights of each operation's kernel."""
    return [
        int(program.widths[op["first"]] * program.widths[op["out"]]) if op["kind"] == DENSE else 0
        for op in program.operations
    ]


@inlined
def first_row(batch_size: int, parts: int, part: int, rows: int) -> Any:
    """The first of a batch's rows that belong to a part; of the part after the last, ``rows``."""
    if part == 0:
        return 0
    if part == parts or rows < batch_size:
        return rows
    return (rows // GROUP_ROWS * part // parts) * GROUP_ROWS


_ARRIVED, _GIVEN_UP = 0, 1
# Not typed.
_at = cast(Any, cgutils.gep_inbounds)
# So often a thread looks before it sleeps: some tenths of a millisecond. One that sleeps is woken
# on a core that is free; two that only look can stay on one core for long.
_SPINS = 3000
_INT = ir.IntType(64)
_IS_WINDOWS = sys.platform == "win32"
# Of Windows in milliseconds, elsewhere in microseconds; 0 of the former gives the core away.
_sleep: Any = types.ExternalFunction(
    "Sleep" if _IS_WINDOWS else "usleep", types.int32(types.uint32)
)
_SLEEP = np.uint32(0 if _IS_WINDOWS else 20)
# Lets the other thread of a core have its units meanwhile.
_HAS_PAUSE = platform.machine().lower() in ("x86_64", "amd64")


def new_barrier() -> NDArray[np.int64]:
    """A barrier that no thread has reached."""
    return np.zeros(2, np.int64)


def give_up(barrier: NDArray[np.int64]) -> None:
    """Let no thread wait for this one any more."""
    barrier[_GIVEN_UP] = 1


def _address(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return _at(builder, array.data, arguments[1])


@intrinsic
def _count(context: Any, barrier: Any, index: Any) -> Any:
    def build(context: Any, builder: Any, *call: Any) -> Any:
        address = _address(context, builder, *call)
        return builder.atomic_rmw("add", address, _INT(1), "seq_cst")

    return types.int64(barrier, types.int64), build


@intrinsic
def _look(context: Any, barrier: Any, index: Any) -> Any:
    def build(context: Any, builder: Any, *call: Any) -> Any:
        return builder.load_atomic(_address(context, builder, *call), "seq_cst", 8)

    return types.int64(barrier, types.int64), build


@intrinsic
def _pause(context: Any) -> Any:
    def build(_context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        if _HAS_PAUSE:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        return _context.get_dummy_value()

    return types.void(), build


# Numba fills in the first argument itself, which type checkers cannot know.
_counted, _seen, _paused = (cast(Any, intrinsic_) for intrinsic_ in (_count, _look, _pause))


@compiled
def wait(barrier: Any, threads: int, times: int) -> bool:
    """Wait until all threads have waited here so many times.

    Returns:
        Whether all came; False where one gave up.
    """
    if threads == 1:
        return True
    _counted(barrier, _ARRIVED)
    spins = 0
    while _seen(barrier, _ARRIVED) < threads * times:
        if _seen(barrier, _GIVEN_UP) != 0:
            return False
        spins += 1
        if spins > _SPINS:
            _sleep(_SLEEP)
        else:
            _paused()
    return True
