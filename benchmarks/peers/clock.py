"""Times the turns of a peer that is called epoch by epoch."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.peers.task import Outcome, Task, Turn


def epoch_by_epoch(
    task: Task, started: float, epoch: Callable[[], float | None], runs: int, note: str = ""
) -> Turn:
    """A turn that calls a function once an epoch.

    Args:
        task: Says how many epochs are timed.
        started: When the building of the network began, by ``time.perf_counter``.
        epoch: Trains an epoch of all runs and returns their mean validation loss, all done.
        runs: Runs trained in one call.
        note: To be said of every turn.
    """
    first: tuple[float, float | None] | None = None

    def turn() -> Outcome:
        nonlocal first
        if first is None:
            loss = epoch()
            first = (time.perf_counter() - started, loss)
        begun = time.perf_counter()
        for _ in range(task.epochs):
            epoch()
        seconds = (time.perf_counter() - begun) / task.epochs / runs
        return Outcome(first[0], seconds, first[1], note)

    return turn
