"""Progress on long work: a bar with the time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

_SECONDS_BETWEEN_LINES = 15.0
_SECONDS_BETWEEN_DRAWINGS = 0.1

Report = Callable[[float, int], None]


@contextlib.contextmanager
def progress(what: str, items: int, work: float) -> Iterator[Report]:
    """Show progress while the block runs.

    Args:
        what: What is counted, in a word or two: ``"training runs"``.
        items: How many of them there are.
        work: How much work they are, in any unit; the time left is told from it.

    Yields:
        ``report(work_done, items_done)``, both totals so far; call it from any thread.
    """
    if sys.stderr.isatty():
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=Console(stderr=True),
        ) as bar:
            task = bar.add_task(what, total=items)
            started = drawn = time.monotonic()
            shown = 0

            def report_bar(work_done: float, items_done: int) -> None:
                nonlocal drawn, shown
                now = time.monotonic()
                if items_done == shown and now - drawn < _SECONDS_BETWEEN_DRAWINGS:
                    return
                drawn, shown = now, items_done
                left = _time_left(now - started, work_done, work)
                bar.update(task, completed=items_done, description=f"{what}, {left}")

            yield report_bar
            bar.update(task, description=what)
        return

    started = last = time.monotonic()

    def report_line(work_done: float, items_done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _SECONDS_BETWEEN_LINES:
            return
        last = now
        left = _time_left(now - started, work_done, work)
        print(f"{what}: {items_done} of {items}, {left}", file=sys.stderr, flush=True)

    yield report_line


def _time_left(elapsed: float, work_done: float, work: float) -> str:
    if not work_done:
        return "time left unknown"
    minutes, rest = divmod(round(elapsed * max(work - work_done, 0.0) / work_done), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"about {hours} h {minutes:02} min left"
    return f"about {minutes} min {rest:02} s left" if minutes else f"about {rest} s left"
