"""What the tables in the terminal have in common."""

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

from offset_autoencoder.config import Setting

_ANY_WIDTH = 10_000
_WIDTH_OF_FILES = 100


def report_console() -> Console:
    """A console as wide as the terminal; 100 columns on a file or a pipe, unless COLUMNS is set."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return Console()
    return Console(width=_WIDTH_OF_FILES)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: What stands above it.
        cells: One a row.
        right: Whether it is set to the right, as numbers are.
    """

    heading: str
    cells: Sequence[str | Text]
    right: bool = True


def print_table(console: Console, title: str, *layouts: Sequence[Column]) -> list[str]:
    """Print a table whose cells never wrap.

    Args:
        console: Where to.
        title: The line above it.
        layouts: The table in one or several ways, the widest first. The first that the console
            has room for is printed; where it has room for none, the last, as wide as it is.

    Returns:
        The headings of the one that was printed.
    """
    tables = [_table(columns) for columns in layouts]
    widths = [_width(console, table) for table in tables]
    fitting = [width <= console.width for width in widths]
    chosen = fitting.index(True) if any(fitting) else -1
    tables[chosen].width = widths[chosen]
    console.print(Text(title, style="bold"))
    console.print(tables[chosen], soft_wrap=True)
    return [column.heading for column in layouts[chosen]]


def print_note(console: Console, note: str, style: str = "dim") -> None:
    """Print a line of prose, wrapped at the console's width."""
    console.print(note, style=style, markup=False, highlight=False)


def setting_column(settings: Sequence[Setting]) -> Column:
    """The settings' labels, the models in bold."""
    cells = [
        Text.assemble((setting.model, "bold"), setting.label.removeprefix(setting.model))
        for setting in settings
    ]
    return Column("setting", cells, right=False)


def plus_minus(console: Console) -> str:
    """``±``, or what stands for it where the console's encoding has none."""
    return "±" if console.encoding.lower().startswith("utf") else "+/-"


def _table(columns: Sequence[Column]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
        padding=(0, 1),
    )
    for column in columns:
        table.add_column(column.heading, justify="right" if column.right else "left", no_wrap=True)
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    return table


def _width(console: Console, table: Table) -> int:
    options = console.options.update(max_width=_ANY_WIDTH)
    return Measurement.get(console, options, table).maximum
