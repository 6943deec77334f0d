"""Table of the errors of single samples: thresholds, what exceeds them, detection of anomalies."""

from __future__ import annotations

from offset_autoencoder.evaluation.metrics import METRICS
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.sample_errors import QUANTILES
from offset_autoencoder.evaluation.statistics import percent, share_percent
from offset_autoencoder.evaluation.summary import summarise
from offset_autoencoder.reporting import tables, wording
from offset_autoencoder.reporting.tables import Table

SHOWN = QUANTILES[1]
"""The quantile whose shares the table shows; `errors/thresholds.csv` has the others."""


def error_table(results: ExperimentResults) -> Table:
    """A row per setting that finished: its threshold, and the share of the test samples above it.

    Where anomalies are sought, the share of these above it, and the metrics of detection.
    """
    items, place = results.error_summaries, QUANTILES.index(SHOWN)
    bounds = [item.thresholds[place] for item in items]
    exponent = wording.exponent_of(bound.mean for bound in bounds)
    heading = wording.in_unit(f"{percent(SHOWN)} quantile of the validation split", exponent)
    above = [item.above[place] for item in items]
    detected = [item.detected[place] for item in items if item.detected is not None]
    samples = "normal test samples" if detected else "test samples"
    columns = [
        tables.setting_column(item.setting for item in items),
        tables.estimate_column("threshold", f"{heading}, ±", bounds, 10.0**-exponent),
        tables.estimate_column("above", f"{samples} above, %, ±", above, 100, 1),
    ]
    if detected:
        heading = "anomalies above, %, ±"
        columns.append(tables.estimate_column("detected", heading, detected, 100, 1))
        shown = {item.setting.label for item in items}
        for name, metric in METRICS.items():
            if metric.detects:
                found = summarise(results.runs, results.settings, name, results.design)
                own = [one.estimate for one in found if one.setting.label in shown]
                columns.append(tables.estimate_column(name, f"{metric.label}, ±", own))
    metrics = dict.fromkeys(METRICS[item.metric].label for item in items)
    caption = (
        f"Error of a sample, {' or '.join(metrics)}, as deployed: a threshold from the validation "
        f"split, mean over runs, and the share of the {samples} above it, of which "
        f"{percent(1 - SHOWN)} are expected; ± half the {percent(results.evaluate.confidence)} "
        f"interval over {results.design.over}."
    )
    if detected:
        share = share_percent(results.anomaly_share)
        caption += " By chance, the AUROC is 0.5 and the average precision the share of anomalies "
        caption += f"among the test samples, {share}."
    return Table("sample-errors", caption, columns, "reports/errors/thresholds.csv")
