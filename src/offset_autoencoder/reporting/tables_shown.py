"""The tables that stand on the terminal when the evaluation is done."""

from __future__ import annotations

from rich.console import Console

from offset_autoencoder.reporting.intervention_table import print_interventions
from offset_autoencoder.reporting.offset_verdicts import print_verdicts
from offset_autoencoder.reporting.probe_table import print_probes, print_responses
from offset_autoencoder.reporting.reports import Report
from offset_autoencoder.reporting.terminal import print_report


def print_everything(console: Console, report: Report) -> None:
    """Print the comparison, then the evidence, and the verdict on each offset at the end."""
    evaluate, findings = report.evaluate, report.findings
    confidence = evaluate.confidence
    print_report(
        console,
        report.summaries,
        report.comparisons,
        baselines=evaluate.baselines,
        confidence=confidence,
    )
    print_probes(console, findings.probes, confidence=confidence)
    print_responses(console, findings.responses, findings.gaps, confidence=confidence)
    print_interventions(
        console, findings.interventions, metric=evaluate.metric, confidence=confidence
    )
    print_verdicts(console, findings.verdicts, confidence=confidence)
