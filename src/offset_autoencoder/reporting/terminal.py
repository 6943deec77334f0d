"""Output on a terminal, a file or a pipe: tables that never wrap, notes, and progress."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from offset_autoencoder.errors import printable

_ANY_WIDTH = 10_000
_WIDTH_OF_FILES = 100
_SECONDS_BETWEEN_LINES = 15.0
_SECONDS_BETWEEN_DRAWINGS = 0.1

Note = Callable[[], str]
Report = Callable[..., None]


def in_notebook() -> bool:
    """True in a notebook of Jupyter."""
    return Console().is_jupyter


def report_console() -> Console:
    """A console as wide as the terminal; 100 columns on a file or a pipe, unless COLUMNS is set."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return Console()
    return Console(width=_WIDTH_OF_FILES)


@dataclass(frozen=True)
class Column:
    """A column of a table, a cell per row, set to the right as numbers are or not."""

    heading: str
    cells: Sequence[str | Text]
    right: bool = True


def print_table(console: Console, title: str, *layouts: Sequence[Column]) -> list[str]:
    """Print a table whose cells never wrap.

    The layouts are the table in one or several ways, the widest first. The first that the console
    has room for is printed; where it has room for none, the last, as wide as it is.

    Returns:
        The headings of the one that was printed.
    """
    for columns in layouts:
        table = _table(console, columns)
        options = console.options.update(max_width=_ANY_WIDTH)
        table.width = Measurement.get(console, options, table).maximum
        if table.width <= console.width:
            break
    console.print(Text(title, style="bold"))
    console.print(table, soft_wrap=True)
    return [column.heading for column in columns]


def print_note(console: Console, note: str, style: str = "dim") -> None:
    """Print a line of prose, wrapped at the console's width."""
    console.print(encodable(console, note), style=style, markup=False, highlight=False)


def encodable(console: Console, text: str) -> str:
    """A text as :func:`.printable`; ``+/-`` for ``±``, ``<=`` for ``≤`` where it has none."""
    text, utf = printable(text), console.encoding.lower().startswith("utf")
    return text if utf else text.replace("±", "+/-").replace("≤", "<=")


def _table(console: Console, columns: Sequence[Column]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, padding=(0, 1)
    )
    rows = []
    for column in columns:
        heading = encodable(console, column.heading)
        cells = [encodable(console, c) if isinstance(c, str) else c for c in column.cells]
        width = max(cell_len(str(cell)) for cell in (heading, *cells))  # Rich takes longer for it
        justify: JustifyMethod = "right" if column.right else "left"
        table.add_column(heading, justify=justify, no_wrap=True, width=width)
        rows.append(cells)
    for row in zip(*rows, strict=True):
        table.add_row(*row)
    return table


@contextlib.contextmanager
def progress(what: str, items: int, work: float) -> Iterator[Report]:
    """Show progress while the block runs: a bar on a terminal, else a line now and then.

    A notebook has the bar, too, where ``ipywidgets`` is installed. ``what`` names the items, in a
    word or two; of the ``work``, in any unit, the time left is told.

    Yields:
        ``report(work_done, items_done, note)``, both totals so far, and a function of what else is
        to be said; call it from any thread.
    """
    if not (sys.stderr.isatty() or (in_notebook() and importlib.util.find_spec("ipywidgets"))):

        def write(items_done: int, left: str) -> None:
            print(f"{what}: {items_done} of {items}, {left}", file=sys.stderr, flush=True)

        yield _throttled(write, work, _SECONDS_BETWEEN_LINES)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=items)

        def draw(items_done: int, left: str) -> None:
            bar.update(task, completed=items_done, description=f"{what}, {left}")

        yield _throttled(draw, work, _SECONDS_BETWEEN_DRAWINGS, every_item=True)
        bar.update(task, description=what, refresh=True)  # Rich draws no end in a notebook


def _throttled(
    show: Callable[[int, str], None], work: float, seconds: float, *, every_item: bool = False
) -> Report:
    """A report that shows items and time left so many seconds apart, or with every item done.

    The time left is told by the work since the first report of any.
    """
    last, shown = time.monotonic(), 0
    first: tuple[float, float] | None = None  # up to then programs are compiled, too

    def report(work_done: float, items_done: int, note: Note = str) -> None:
        nonlocal last, shown, first
        now = time.monotonic()
        if first is None and work_done:
            first = now, work_done
        if now - last < seconds and not (every_item and items_done != shown):
            return
        last, shown = now, items_done
        started, done_before = first or (now, work_done)
        left = _time_left(now - started, work_done - done_before, work - work_done)
        show(items_done, ", ".join(filter(None, [note(), left])))

    return report


def _time_left(elapsed: float, work_done: float, remaining: float) -> str:
    if remaining > 0 and not work_done:
        return "time left unknown"
    seconds = elapsed * remaining / work_done if remaining > 0 else 0.0
    return f"about {duration(seconds)} left"


def duration(seconds: float) -> str:
    """A time in words: ``"2 h 05 min"``, ``"3 min 20 s"``, ``"12 s"``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
