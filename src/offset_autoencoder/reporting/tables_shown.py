"""What stands on the terminal when the evaluation is done."""

from __future__ import annotations

from rich.console import Console

from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.paths import REPORTS
from offset_autoencoder.reporting.bounds import print_bounds
from offset_autoencoder.reporting.comparison_table import (
    print_differences,
    print_means,
    print_note_on_comparison,
    print_unmatched,
)
from offset_autoencoder.reporting.comparisons import trained_with_noise
from offset_autoencoder.reporting.conditions_table import print_conditions
from offset_autoencoder.reporting.console_table import print_note
from offset_autoencoder.reporting.offset_verdicts import print_verdicts


def print_everything(console: Console, report: ExperimentResults) -> None:
    """Print the comparisons, the verdict on each offset at the end, and where the rest is."""
    evaluate = report.evaluate
    if report.summaries:
        _print_comparisons(console, report)
    if report.bounds:
        print_bounds(console, report.bounds)
        console.print()
    print_verdicts(
        console, report.verdicts, report.encoder_adaptations, confidence=evaluate.confidence
    )
    _print_files(console)


def _print_comparisons(console: Console, report: ExperimentResults) -> None:
    evaluate, summaries = report.evaluate, report.summaries
    models = {summary.setting.model for summary in summaries}
    baselines = [baseline for baseline in evaluate.baselines if baseline in models]
    shown = [item for item in report.comparisons if item.metric == evaluate.metric]
    families = {
        baseline: [item for item in shown if item.baseline.model == baseline]
        for baseline in baselines
    }
    first = baselines[0] if baselines else None
    print_means(console, summaries, families[first] if first else [])
    _print_unfinished(console, report)
    if first:
        print_unmatched(console, summaries, families[first], first, baselines)
    print_note_on_comparison(console, evaluate.metric, shown, confidence=evaluate.confidence)
    console.print()
    for baseline, family in families.items():
        noisy = any(trained_with_noise(item.baseline) for item in family)
        if noisy:
            print_conditions(console, report.comparisons, metric=evaluate.metric, baseline=baseline)
        elif family and baseline != first:
            print_differences(console, summaries, family)
        if baseline != first:
            print_unmatched(console, summaries, family, baseline, baselines)
        if noisy or baseline != first:
            console.print()


def _print_unfinished(console: Console, report: ExperimentResults) -> None:
    """Which runs diverged, and how many would have gone on."""
    for summary in report.summaries:
        if summary.diverged:
            runs = summary.diverged + summary.estimate.count
            note = f"diverged: {summary.setting.label}, {summary.diverged} of {runs} runs"
            print_note(console, note, style="red")
    if report.unconverged:
        runs = len(report.runs)
        were = "run was" if runs == 1 else "runs were"
        print_note(
            console,
            f"{report.unconverged} of {runs} {were} still improving at the last epoch: "
            "raise train.epochs",
            style="yellow",
        )


def _print_files(console: Console) -> None:
    print_note(
        console,
        f"The rest is in {REPORTS}/: comparison.csv (every comparison in a sentence), verdicts.csv "
        "(likewise), interventions.csv, probes.csv (what offset and code tell, slopes, gaps), "
        "runs.csv, metrics.json; pictures in plots/.",
    )
