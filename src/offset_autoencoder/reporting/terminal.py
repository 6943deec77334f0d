"""The table at the end of ``evaluate``: what a person needs, in 80 columns."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from offset_autoencoder.evaluation.comparison import Comparison
from offset_autoencoder.evaluation.metrics import higher_is_better
from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.evaluation.summary import SettingSummary
from offset_autoencoder.evaluation.verdict import percent, probability
from offset_autoencoder.reporting.console_table import console_table, plus_minus, setting_text

_STYLES = {
    "better": "green",
    "worse": "red",
    "equivalent": "cyan",
    "not told apart": "dim",
    "too few seeds": "yellow",
    "not comparable": "yellow",
}
_WORDS = {"mse": "mean squared error", "mae": "mean absolute error", "psnr": "PSNR, dB"}
_MOST_DECIMALS = 6


def print_report(
    console: Console,
    summaries: Sequence[SettingSummary],
    comparisons: Sequence[Comparison],
    *,
    baselines: Sequence[str],
    confidence: float,
) -> None:
    """Print every setting's metric and its difference to the baselines, a table a baseline.

    Colour is for terminals; a console on a file or a pipe prints plain text.

    Args:
        console: Where to.
        summaries: The settings in one metric.
        comparisons: The comparisons; those in other metrics are passed over.
        baselines: The baseline models, in order; the first shares the table of the means.
        confidence: The share of intervals that hold the true mean.
    """
    if not summaries:
        return
    metric = summaries[0].metric
    models = {summary.setting.model for summary in summaries}
    baselines = [baseline for baseline in baselines if baseline in models]
    chosen = [item for item in comparisons if item.metric == metric]
    pm = plus_minus(console)
    exponent = _exponent([summary.estimate.mean for summary in summaries])
    unit = f", in 1e{exponent}" if exponent else ""
    title = f"{_WORDS.get(metric, metric.replace('_', ' '))} on the test split{unit}"
    if not baselines:
        console.print(_table(title, summaries, None, metric, exponent, pm))
    for position, baseline in enumerate(baselines):
        family = [item for item in chosen if item.baseline.model == baseline]
        same = _same(family)
        if position == 0:
            heading = f"{title}, and against {baseline}{same}"
            console.print(_table(heading, summaries, family, metric, exponent, pm))
        elif family:
            heading = f"against {baseline}{same}{unit}"
            console.print(_table(heading, None, family, metric, exponent, pm))
        if missing := _without(summaries, family, baseline):
            console.print(
                f"no {baseline} setting to compare with: {missing}", style="dim", markup=False
            )
    for note in _notes(chosen, metric, confidence, pm):
        console.print(note, style="dim", markup=False, highlight=False)
    for summary in summaries:
        if summary.diverged:
            runs = summary.diverged + summary.estimate.count
            console.print(
                f"diverged: {summary.setting.label}, {summary.diverged} of {runs} runs",
                style="red",
                markup=False,
                highlight=False,
            )


def _table(
    title: str,
    summaries: Sequence[SettingSummary] | None,
    family: Sequence[Comparison] | None,
    metric: str,
    exponent: int,
    pm: str,
) -> Table:
    """Means, where ``summaries`` are given, beside differences, where a ``family`` is."""
    table = console_table(title)
    table.add_column("setting", overflow="fold")
    if summaries is not None:
        table.add_column(f"{metric} {pm}", justify="right", no_wrap=True)
    if family is not None:
        for column in (f"difference {pm}", "p", "wins"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
    means = [] if summaries is None else [summary.estimate for summary in summaries]
    mean_decimals = _decimals(means, exponent)
    decimals = _decimals([item.difference for item in family or ()], exponent)
    settings = [item.setting for item in (family or () if summaries is None else summaries)]
    compared = {item.setting.label: item for item in family or ()}
    for index, setting in enumerate(settings):
        cells: list[str | Text] = [setting_text(setting)]
        if means:
            cells.append(_mean_and_half(means[index], exponent, mean_decimals, pm))
        item = compared.get(setting.label)
        if item is not None:
            cells += [
                _mean_and_half(item.difference, exponent, decimals, pm, signed=True),
                "-" if math.isnan(item.p_corrected) else probability(item.p_corrected),
                f"{item.wins.wins}/{item.pairs}",
                Text(_word(item), style=_STYLES[item.outcome]),
            ]
        table.add_row(*cells)
    return table


def _word(item: Comparison) -> str:
    """The verdict's word; a difference that is told apart and within the margin says so."""
    if item.outcome in ("better", "worse") and item.equivalence.shown:
        return f"{item.outcome} < {percent(item.equivalence.margin)}"
    return item.outcome


def _same(family: Sequence[Comparison]) -> str:
    """What the baseline has in common with each setting it is compared with."""
    keys = dict.fromkeys(
        "power" if key in ("rms", "stddev") else key
        for item in family
        for key, _ in item.baseline.sweep
    )
    return f" at the same {' and '.join(keys)}" if keys else ""


def _without(
    summaries: Sequence[SettingSummary], family: Sequence[Comparison], baseline: str
) -> str:
    compared = {item.setting.label for item in family}
    return ", ".join(
        summary.setting.label
        for summary in summaries
        if summary.setting.label not in compared and summary.setting.model != baseline
    )


def _notes(comparisons: Sequence[Comparison], metric: str, confidence: float, pm: str) -> list[str]:
    direction = "Higher" if higher_is_better(metric) else "Lower"
    interval = percent(confidence).replace(" ", "")
    notes = [
        f"Each run as deployed: its own offset, no noise. {direction} is better. "
        f"{pm}: half the {interval} interval over seeds (Student's t)."
    ]
    if comparisons:
        margin = percent(comparisons[0].equivalence.margin)
        families = dict.fromkeys(f"{item.baseline.model} {item.family}" for item in comparisons)
        notes.append(
            "difference: setting - baseline at the same seed. p: exact sign-flip test, "
            f"Holm-corrected over all comparisons with one baseline ({', '.join(families)}). "
            "wins: seeds at which the setting is better. better, worse: p at most "
            f"{1 - confidence:.2g} and the interval on one side of zero. "
            f"equivalent, < {margin}: the error is shown to change by less than {margin} "
            "(two one-sided tests, corrected likewise). Not told apart does not mean equal."
        )
    return notes


def _exponent(means: Sequence[float]) -> int:
    """The power of a thousand to show very small or large values in; 0 for those between."""
    sizes = [abs(mean) for mean in means if math.isfinite(mean) and mean]
    if not sizes:
        return 0
    size = statistics.median(sizes)
    return 0 if 0.1 <= size < 1e5 else 3 * math.floor(math.log10(10 * size) / 3)


def _decimals(estimates: Sequence[Estimate], exponent: int) -> int:
    """Decimals that give the typical half interval two digits, or the typical mean four."""
    halves = [item.half for item in estimates if math.isfinite(item.half) and item.half > 0]
    means = [abs(item.mean) for item in estimates if math.isfinite(item.mean) and item.mean]
    if halves:
        decimals = 1 - math.floor(math.log10(statistics.median(halves)))
    elif means:
        decimals = 3 - math.floor(math.log10(statistics.median(means)))
    else:
        return 0
    return max(0, decimals + exponent)


def _mean_and_half(
    estimate: Estimate, exponent: int, decimals: int, pm: str, *, signed: bool = False
) -> str:
    mean = _number(estimate.mean, exponent, decimals, signed=signed)
    if not math.isfinite(estimate.half):
        return mean
    return f"{mean} {pm} {_number(estimate.half, exponent, decimals)}"


def _number(value: float, exponent: int, decimals: int, *, signed: bool = False) -> str:
    if not math.isfinite(value):
        return "-" if math.isnan(value) else f"{value}"
    sign = "+" if signed else ""
    scaled = value / 10.0**exponent
    if decimals > _MOST_DECIMALS or abs(scaled) >= 1e6:
        return f"{scaled:{sign}.2e}"
    return f"{scaled:{sign}.{decimals}f}"
