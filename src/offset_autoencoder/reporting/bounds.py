"""The evidence lower bounds of variational autoencoders in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from offset_autoencoder.evaluation.summary import SettingSummary
from offset_autoencoder.reporting.console_table import plus_minus
from offset_autoencoder.reporting.interval_text import decimals_of, mean_and_half


def print_bounds(console: Console, bounds: Sequence[SettingSummary]) -> None:
    """Print the bound and its parts, one line a setting.

    Args:
        console: Where to.
        bounds: As :func:`.summary.summarise_bounds` gives them.
    """
    pm = plus_minus(console)
    for label in dict.fromkeys(bound.setting.label for bound in bounds):
        known = [bound for bound in bounds if bound.setting.label == label]
        decimals = min(decimals_of([bound.estimate]) for bound in known)
        parts = ", ".join(
            f"{bound.metric} {mean_and_half(bound.estimate, pm, decimals=decimals)}"
            for bound in known
        )
        console.print(f"{label}: {parts} nats a sample", markup=False, highlight=False)
