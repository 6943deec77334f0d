"""The tables of means and of differences to a baseline in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from offset_autoencoder.evaluation.comparison import Comparison
from offset_autoencoder.evaluation.metrics import higher_is_better
from offset_autoencoder.evaluation.runs_table import noise_level
from offset_autoencoder.evaluation.summary import SettingSummary
from offset_autoencoder.evaluation.verdict_wording import Outcome, percent, probability
from offset_autoencoder.reporting.console_table import (
    Column,
    plus_minus,
    print_note,
    print_table,
    setting_column,
)
from offset_autoencoder.reporting.interval_text import decimals_of, exponent_of, mean_and_half

STYLES: dict[Outcome, str] = {
    "better": "green",
    "worse": "red",
    "equivalent": "cyan",
    "inconclusive": "dim",
    "too few seeds": "yellow",
    "not comparable": "yellow",
    "diverged": "red",
}
_WORDS = {"mse": "mean squared error", "mae": "mean absolute error", "psnr": "PSNR, dB"}


def print_means(
    console: Console, summaries: Sequence[SettingSummary], family: Sequence[Comparison]
) -> None:
    """Print every setting's metric, and its difference to a baseline.

    Args:
        console: Where to; one on a file or a pipe gets plain text.
        summaries: The settings in one metric.
        family: The comparisons with that baseline in this metric; none where there is none.
    """
    title, factor = _heading(summaries)
    if family:
        title += f", and against {family[0].baseline.model}{in_common(family)}"
    estimates = [summary.estimate for summary in summaries]
    decimals, pm = decimals_of(estimates, factor=factor), plus_minus(console)
    means = [mean_and_half(each, pm, decimals=decimals, factor=factor) for each in estimates]
    columns = [
        setting_column([summary.setting for summary in summaries]),
        Column(f"{summaries[0].metric} {pm}", means),
    ]
    found = {item.setting.label: item for item in family}
    items = [found.get(summary.setting.label) for summary in summaries]
    gone = [bool(summary.diverged and not summary.estimate.count) for summary in summaries]
    differences = _difference_columns(items, gone, factor, pm)
    if not family:
        differences = differences[-1:] if any(gone) else []
    print_table(console, title, [*columns, *differences], [*columns, *differences[::3]])


def print_differences(
    console: Console, summaries: Sequence[SettingSummary], family: Sequence[Comparison]
) -> None:
    """Print the differences to a baseline, one line a setting that is compared with it.

    Args:
        console: Where to; one on a file or a pipe gets plain text.
        summaries: The settings in one metric.
        family: The comparisons with that baseline in this metric; prints nothing without any.
    """
    if not family:
        return
    title, factor = _heading(summaries)
    unit = title.partition(" on the test split")[2]
    columns = [
        setting_column([item.setting for item in family]),
        *_difference_columns(family, [False] * len(family), factor, plus_minus(console)),
    ]
    heading = f"against {family[0].baseline.model}{in_common(family)}{unit}"
    print_table(console, heading, columns, [*columns[:2], columns[-1]])


def print_unmatched(
    console: Console,
    summaries: Sequence[SettingSummary],
    family: Sequence[Comparison],
    baseline: str,
    baselines: Sequence[str],
) -> None:
    """Print which settings a baseline is not compared with, and why; other baselines apart."""
    compared = {item.setting.label for item in family}
    left = [
        summary.setting
        for summary in summaries
        if summary.setting.label not in compared
        and summary.setting.model not in baselines
        and summary.estimate.count
    ]
    by_power = any(
        noise_level(summary.setting) for summary in summaries if summary.setting.model == baseline
    )
    without = [each.label for each in left if by_power and noise_level(each) is None]
    others = [each.label for each in left if each.label not in without]
    if without:
        print_note(console, f"no noise level to match {baseline} by: {', '.join(without)}")
    if others:
        print_note(console, f"no {baseline} setting that matches: {', '.join(others)}")


def print_note_on_comparison(
    console: Console, metric: str, comparisons: Sequence[Comparison], *, confidence: float
) -> None:
    """Print what the columns and the verdicts mean.

    Args:
        console: Where to.
        metric: The metric shown.
        comparisons: All comparisons in it, with whatever baseline.
        confidence: The share of intervals that hold the true mean.
    """
    direction = "Higher" if higher_is_better(metric) else "Lower"
    interval = percent(confidence).replace(" ", "")
    note = (
        f"As deployed: offset on, noise off. {direction} is better. {plus_minus(console)}: half "
        f"the {interval} interval over seeds (Student's t)."
    )
    if comparisons:
        margin = percent(comparisons[0].equivalence.margin)
        families = dict.fromkeys(f"{item.baseline.model} {item.family}" for item in comparisons)
        note += (
            " difference: setting - baseline, seed by seed. p: exact sign-flip test, "
            f"Holm-corrected over all comparisons with a baseline ({', '.join(families)}). wins: "
            f"seeds at which it is better. better, worse: p at most {1 - confidence:.2g} and the "
            f"interval on one side of zero. equivalent, < {margin}: the error is shown to change "
            f"by less than {margin} (two one-sided tests, corrected likewise). Inconclusive "
            "does not mean equal."
        )
    print_note(console, note)


def in_common(family: Sequence[Comparison]) -> str:
    """What the baseline has in common with each setting it is compared with."""
    keys = dict.fromkeys(
        "noise level" if key in ("rms", "stddev", "ebn0_db") else key
        for item in family
        for key, _ in item.baseline.sweep
    )
    return f" at the same {' and '.join(keys)}" if keys else ""


def _heading(summaries: Sequence[SettingSummary]) -> tuple[str, float]:
    """The title with its unit, and what values are multiplied by to stand in it."""
    metric = summaries[0].metric
    exponent = exponent_of(summary.estimate.mean for summary in summaries)
    unit = f", in 1e{exponent}" if exponent else ""
    name = _WORDS.get(metric, metric.replace("_", " "))
    return f"{name} on the test split{unit}", 10.0**-exponent


def _difference_columns(
    items: Sequence[Comparison | None], gone: Sequence[bool], factor: float, pm: str
) -> list[Column]:
    """Difference, p, wins and verdict; ``gone`` are settings without a finished run."""
    decimals = decimals_of([item.difference for item in items if item], factor=factor)
    differences: list[str] = []
    p: list[str] = []
    wins: list[str] = []
    words: list[str | Text] = []
    for item, diverged in zip(items, gone, strict=True):
        if item is None or not item.pairs:
            for cells in (differences, p, wins):
                cells.append("")
            word: Outcome | None = item.outcome if item else "diverged" if diverged else None
            words.append(Text(word, style=STYLES[word]) if word else "")
            continue
        differences.append(
            mean_and_half(item.difference, pm, decimals=decimals, factor=factor, signed=True)
        )
        p.append("-" if math.isnan(item.p_corrected) else probability(item.p_corrected))
        wins.append(f"{item.wins.wins}/{item.pairs}")
        words.append(Text(_word(item), style=STYLES[item.outcome]))
    return [
        Column(f"difference {pm}", differences),
        Column("p", p),
        Column("wins", wins),
        Column("verdict", words, right=False),
    ]


def _word(item: Comparison) -> str:
    """The verdict's word; a difference that is told apart and within the margin says so."""
    if item.outcome in ("better", "worse") and item.equivalence.shown:
        return f"{item.outcome} < {percent(item.equivalence.margin)}"
    return item.outcome
