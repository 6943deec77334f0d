"""All records of a project: the experiment, its settings, their runs."""

from __future__ import annotations

from pathlib import Path

from offset_autoencoder.config import Params
from offset_autoencoder.tracking.datasets import split_datasets
from offset_autoencoder.tracking.experiment import experiment_key, experiment_record
from offset_autoencoder.tracking.records import Record
from offset_autoencoder.tracking.runs import read_runs, run_record
from offset_autoencoder.tracking.settings import read_findings, setting_records


def read_records(params: Params, root: Path) -> tuple[Record, ...]:
    """Everything that MLflow should hold, each record after the one it is nested under.

    Args:
        params: The project's params.
        root: The project's folder.

    Raises:
        InputError: where a file is missing or damaged, or the files are not of these params.
    """
    runs = read_runs(params, root)
    splits = split_datasets(root)
    findings = read_findings(root, params.evaluate.metric)
    experiment = ("experiment", experiment_key(params, runs))
    settings, setting_of = setting_records(params, runs, findings, splits, experiment)
    return (
        experiment_record(params, runs, settings, findings, splits),
        *settings,
        *(run_record(params, run, setting_of[run.key], splits) for run in runs),
    )
