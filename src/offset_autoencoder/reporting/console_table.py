"""What the tables in the terminal have in common."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from offset_autoencoder.config import Setting


def console_table(title: str) -> Table:
    """An empty table in the project's style."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        padding=(0, 1),
    )


def setting_text(setting: Setting) -> Text:
    """A setting's label, the model in bold."""
    return Text.assemble((setting.model, "bold"), setting.label.removeprefix(setting.model))


def plus_minus(console: Console) -> str:
    """``±``, or what stands for it where the console's encoding has none."""
    return "±" if console.encoding.lower().startswith("utf") else "+/-"
