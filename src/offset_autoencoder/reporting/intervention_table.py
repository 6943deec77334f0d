"""The table of the interventions in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from offset_autoencoder.evaluation.intervention_summary import InterventionSummary
from offset_autoencoder.evaluation.verdict import number, percent
from offset_autoencoder.reporting.console_table import console_table, plus_minus, setting_text
from offset_autoencoder.reporting.interval_text import mean_and_half
from offset_autoencoder.reporting.interventions import shown_changes

_COLUMNS = {"none": "none", "permuted": "another's", "gaussian": "gaussian", "alone": "no code"}


def print_interventions(
    console: Console,
    summaries: Sequence[InterventionSummary],
    *,
    metric: str,
    confidence: float,
) -> None:
    """Print what each intervention on the offset does, one line a setting that has an offset.

    Args:
        console: Where to.
        summaries: The interventions; other metrics, and those with a level, are passed over.
        metric: The metric to print; prints nothing where no setting has an offset.
        confidence: The share of intervals that hold the true change.
    """
    chosen = shown_changes(summaries, metric)
    if not chosen:
        return
    pm = plus_minus(console)
    names = [name for name in _COLUMNS if any(item.intervention.name == name for item in chosen)]
    table = console_table(
        f"change of the error ({metric.replace('_', ' ')}) with another offset, %"
    )
    table.add_column("setting", overflow="fold", min_width=16)
    for column in ("own", *(f"{_COLUMNS[name]} {pm}" for name in names)):
        table.add_column(column, justify="right", no_wrap=True)
    for label in dict.fromkeys(item.setting.label for item in chosen):
        found = {item.intervention.name: item for item in chosen if item.setting.label == label}
        first = next(iter(found.values()))
        cells = [_change(found.get(name), pm) for name in names]
        table.add_row(setting_text(first.setting), number(float(first.own.mean())), *cells)
    console.print(table)
    interval = percent(confidence).replace(" ", "")
    console.print(
        f"own: {metric.replace('_', ' ')} as deployed. What its offset is exchanged for at test "
        "time, none: nothing; another's: another sample's; gaussian: noise of the same mean and "
        "power; no code: it stays and the code goes. Above zero is worse. "
        f"{pm}: half the {interval} interval over seeds.",
        style="dim",
        markup=False,
        highlight=False,
    )


def _change(item: InterventionSummary | None, pm: str) -> str:
    change = item.relative if item else None
    decimals = 0 if change and abs(change.mean) >= 1 else 1
    return mean_and_half(change, pm, decimals=decimals, factor=100, signed=True)
