"""Tables of rich that never wrap, in the width of the terminal or of a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from offset_autoencoder.reporting.wording import PLUS_MINUS

_ANY_WIDTH = 10_000
_WIDTH_OF_FILES = 100


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

    Args:
        console: Where to; one whose encoding has no ``±`` gets ``+/-``.
        title: The line above it.
        layouts: The table in one or several ways, the widest first. The first that the console
            has room for is printed; where it has room for none, the last, as wide as it is.

    Returns:
        The headings of the one that was printed.
    """
    tables = [_table(console, columns) for columns in layouts]
    widths = [_width(console, table) for table in tables]
    fitting = [width <= console.width for width in widths]
    chosen = fitting.index(True) if any(fitting) else -1
    tables[chosen].width = widths[chosen]
    console.print(Text(title, style="bold"))
    console.print(tables[chosen], soft_wrap=True)
    return [column.heading for column in layouts[chosen]]


def print_note(console: Console, note: str, style: str = "dim") -> None:
    """Print a line of prose, wrapped at the console's width."""
    console.print(encodable(console, note), style=style, markup=False, highlight=False)


def encodable(console: Console, text: str) -> str:
    """A text with ``+/-`` for ``±`` where the console's encoding has none."""
    utf = console.encoding.lower().startswith("utf")
    return text if utf else text.replace(PLUS_MINUS, "+/-")


def _table(console: Console, columns: Sequence[Column]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
        padding=(0, 1),
    )
    for column in columns:
        justify = "right" if column.right else "left"
        heading = encodable(console, column.heading)
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for row in zip(*(column.cells for column in columns), strict=True):
        cells = (encodable(console, cell) if isinstance(cell, str) else cell for cell in row)
        table.add_row(*cells)
    return table


def _width(console: Console, table: Table) -> int:
    options = console.options.update(max_width=_ANY_WIDTH)
    return Measurement.get(console, options, table).maximum
