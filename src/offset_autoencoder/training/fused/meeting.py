"""Where the threads that train one run wait for each other, in compiled code.

A meeting is two int64: how many threads have come so far, over all batches, and whether one of
them gave up. Two waits a batch are too many for Python's own barriers, which take its lock.
"""

from __future__ import annotations

import platform
import sys
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from offset_autoencoder.training.fused.compiler import compiled

_COME, _GIVEN_UP = 0, 1
# Not typed.
_at = cast(Any, cgutils.gep_inbounds)
# So often a thread looks before it sleeps: some tenths of a millisecond. One that sleeps is woken
# on a core that is free; two that only look can stay on one core for long.
_LOOKS = 3000
_INT = ir.IntType(64)
_IS_WINDOWS = sys.platform == "win32"
# Of Windows in milliseconds, elsewhere in microseconds; 0 of the former gives the core away.
_sleep: Any = types.ExternalFunction(
    "Sleep" if _IS_WINDOWS else "usleep", types.int32(types.uint32)
)
_SLEEP = np.uint32(0 if _IS_WINDOWS else 20)
# Lets the other thread of a core have its units meanwhile.
_HAS_PAUSE = platform.machine().lower() in ("x86_64", "amd64")


def new_meeting() -> NDArray[np.int64]:
    """A meeting that nobody has come to."""
    return np.zeros(2, np.int64)


def give_up(meeting: NDArray[np.int64]) -> None:
    """Let nobody wait for this thread any more."""
    meeting[_GIVEN_UP] = 1


def _place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return _at(builder, array.data, arguments[1])


@intrinsic
def _count(context: Any, meeting: Any, place: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature, arguments)
        return builder.atomic_rmw("add", place, _INT(1), "seq_cst")

    return types.int64(meeting, types.int64), build


@intrinsic
def _look(context: Any, meeting: Any, place: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature, arguments)
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(meeting, types.int64), build


@intrinsic
def _pause(context: Any) -> Any:
    def build(_context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        if _HAS_PAUSE:
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        return _context.get_dummy_value()

    return types.void(), build


# Numba fills in the first argument itself, which type checkers cannot know.
_counted, _seen, _paused = (cast(Any, each) for each in (_count, _look, _pause))


@compiled
def meet(meeting: Any, threads: int, times: int) -> bool:
    """Wait until all threads have come here so many times.

    Args:
        meeting: As :func:`new_meeting` makes it.
        threads: How many threads meet.
        times: How often this one has, this time included.

    Returns:
        Whether all came; False where one gave up.
    """
    if threads == 1:
        return True
    _counted(meeting, _COME)
    looks = 0
    while _seen(meeting, _COME) < threads * times:
        if _seen(meeting, _GIVEN_UP) != 0:
            return False
        looks += 1
        if looks > _LOOKS:
            _sleep(_SLEEP)
        else:
            _paused()
    return True
