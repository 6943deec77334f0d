"""The tables of the probes and of the encoder's answer in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from offset_autoencoder.evaluation.gap import GapSummary
from offset_autoencoder.evaluation.probe_summary import ProbeSummary
from offset_autoencoder.evaluation.probes import PARTS
from offset_autoencoder.evaluation.response import SMALL_SLOPE, ResponseSummary
from offset_autoencoder.evaluation.verdict import percent
from offset_autoencoder.reporting.console_table import console_table, plus_minus, setting_text
from offset_autoencoder.reporting.interval_text import mean_and_half


def print_probes(console: Console, probes: Sequence[ProbeSummary], *, confidence: float) -> None:
    """Print what a linear probe reads from each part: x, and the label where there is one.

    Args:
        console: Where to.
        probes: What the parts tell; prints nothing without any.
        confidence: The share of intervals that hold the true value.
    """
    if not probes:
        return
    pm = plus_minus(console)
    parts = [part for part in PARTS if any(item.part == part for item in probes)]
    found = {(item.setting.label, item.part): item for item in probes}
    settings = {item.setting.label: item.setting for item in probes}
    headings = [f"{part} {pm}" for part in parts]
    tables = [_table("variance of x that a linear probe reads, test split, %", headings)]
    if any(item.accuracy is not None for item in probes):
        tables.append(_table("labels that a linear probe reads right, test split, %", headings))
    for label, setting in settings.items():
        cells = [found.get((label, part)) for part in parts]
        explained = [item.explained if item else None for item in cells]
        accuracy = [item.accuracy if item else None for item in cells]
        for table, values in zip(tables, (explained, accuracy), strict=False):
            numbers = [mean_and_half(value, pm, decimals=1, factor=100) for value in values]
            table.add_row(setting_text(setting), *numbers)
    for table in tables:
        console.print(table)
    interval = percent(confidence).replace(" ", "")
    console.print(
        "offset, code: each alone. sum: code + offset. both: side by side. Ridge regression, "
        f"its strength chosen on the validation split. {pm}: half the {interval} interval over "
        "seeds; over test samples for an offset that all seeds share.",
        style="dim",
        markup=False,
        highlight=False,
    )


def print_responses(
    console: Console,
    responses: Sequence[ResponseSummary],
    gaps: Sequence[GapSummary],
    *,
    confidence: float,
) -> None:
    """Print how the encoder answers the offset, and the gap between training and test.

    Args:
        console: Where to.
        responses: The answers; a setting without an offset has none.
        gaps: The gaps, in one metric; prints nothing without any finding.
        confidence: The share of intervals that hold the true value.
    """
    settings = {item.setting.label: item.setting for item in gaps}
    settings |= {item.setting.label: item.setting for item in responses}
    if not settings:
        return
    pm = plus_minus(console)
    answers = {item.setting.label: item for item in responses}
    gap_of = {item.setting.label: item for item in gaps}
    table = _table(
        "slope of the code on the offset, and how much better training is than test",
        [f"slope {pm}", f"learnt {pm}", f"gap, % {pm}"],
        ["the encoder"],
    )
    for label, setting in settings.items():
        item = answers.get(label)
        slopes = (item.slope, item.learnt) if item else (None, None)
        gap = gap_of.get(label)
        table.add_row(
            setting_text(setting),
            *(mean_and_half(slope, pm, decimals=2, signed=True) for slope in slopes),
            mean_and_half(gap.relative if gap else None, pm, decimals=1, factor=100),
            item.answer if item else "-",
        )
    console.print(table)
    interval = percent(confidence).replace(" ", "")
    console.print(
        "slope: b of code = a + b x offset. learnt: the slope less that of the code of the same "
        "seed trained without an offset. The encoder, by the interval of learnt: cancels the "
        "offset (below zero), reinforces it (above), ignores it (within "
        f"{pm} {SMALL_SLOPE:g}). gap: how much larger the error is on test than in training. "
        f"{pm}: half the {interval} interval over seeds.",
        style="dim",
        markup=False,
        highlight=False,
    )


def _table(title: str, columns: Sequence[str], words: Sequence[str] = ()) -> Table:
    table = console_table(title)
    table.add_column("setting", overflow="fold", min_width=16)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for word in words:
        table.add_column(word, no_wrap=True)
    return table
