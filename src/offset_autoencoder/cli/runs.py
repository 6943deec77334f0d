"""``runs``: the runs of ``models/`` and of the MLflow store, as a table or as JSON."""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from offset_autoencoder.config import load_params
from offset_autoencoder.config.schema import Tracking
from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.io.tables import read_csv
from offset_autoencoder.paths import MODELS, PARAMS, REPORTS
from offset_autoencoder.reporting.terminal import Column, print_table, report_console
from offset_autoencoder.runs.store import IndexedRun, read_index
from offset_autoencoder.tracking.pages import run_page, ui_address
from offset_autoencoder.tracking.record_types import StoredRun
from offset_autoencoder.tracking.store import Location, locate, read_state

TestMetrics = Mapping[tuple[str, str], float]
"""Model and id → the run's test metric."""

_ID_DIGITS = 12
_PUBLISHED: dict[bool | None, str | Text] = {True: "yes", False: Text("no", "yellow"), None: "?"}


@dataclass(frozen=True)
class PublishedRuns:
    """Runs of the project that the MLflow store records.

    Attributes:
        location: The store.
        experiment_id: The MLflow experiment; None where there is none.
        records: Those of trained runs, unfinished ones last.
    """

    location: Location
    experiment_id: str | None
    records: tuple[StoredRun, ...]

    @property
    def ui(self) -> str:
        """Address of the MLflow UI that shows the store."""
        return ui_address(self.location)

    def pages(self, run_id: str) -> list[str]:
        """Addresses of a run's pages: several where several models share it."""
        return [
            run_page(self.ui, self.experiment_id, record.mlflow_id)
            for record in self.records
            if record.tags["run_id_sha256"] == run_id
        ]


def read_published(tracking: Tracking) -> PublishedRuns | None:
    """Read the runs of the store; MLflow is imported only where the store has changed.

    Returns:
        The runs; None where the store cannot be read, with a warning on stderr.
    """
    location = locate(tracking)
    try:
        state = read_state(location, tracking)
    except InputError as error:
        print(f"warning: what is published is not known: {error}", file=sys.stderr)
        return None
    # Complete ones first: they count where a killed publisher left another.
    records = [record for record in state.runs if "run_id_sha256" in record.tags]
    records.sort(key=lambda record: not record.is_complete)
    return PublishedRuns(location, state.experiment_id, tuple(records))


@dataclass(frozen=True)
class ListedRun(IndexedRun):
    """A run under one model's name, of ``models/`` or of the store alone.

    Attributes:
        metric: Its test metric; None where it is not evaluated, or diverged.
        published: Whether the store holds its complete record; None where it cannot be read.
        current: Whether ``models/`` holds it.
        mlflow_id: The MLflow run, where there is one.
    """

    metric: float | None
    published: bool | None
    current: bool
    mlflow_id: str | None


def list_runs(
    index: Sequence[IndexedRun], metrics: TestMetrics, published: PublishedRuns | None
) -> list[ListedRun]:
    """List the runs of the index in its order, then those that only the store holds.

    ``published`` is None where the store cannot be read.
    """
    stored: dict[tuple[str, str], list[StoredRun]] = defaultdict(list)
    for record in published.records if published else ():
        stored[record.tags.get("model", ""), record.tags["run_id_sha256"]].append(record)
    current = []
    for run in index:
        # One id may stand at two settings of a model, where a swept key does not matter.
        best = max(
            stored.get((run.model, run.id), ()),
            key=lambda record: record.tags.get("setting") == run.setting,
            default=None,
        )
        listed = ListedRun(
            **vars(run),
            metric=metrics.get((run.model, run.id)),
            published=best is not None and best.is_complete if published else None,
            current=True,
            mlflow_id=None if best is None else best.mlflow_id,
        )
        current.append(listed)
    in_models = {(run.model, run.id) for run in index}
    others = [records for key, records in stored.items() if key not in in_models]
    history = [_historical(record) for records in others for record in records]
    history.sort(key=lambda run: (run.model, tuple(run.sweep.values()), run.seed))
    return current + history


def _historical(record: StoredRun) -> ListedRun:
    tags = record.tags
    # As Setting.label writes them; no key or value has a space.
    pairs = [word.partition("=") for word in tags.get("setting", "").split()[1:]]
    seed = tags.get("seed", "")
    return ListedRun(
        model=tags.get("model", ""),
        setting=tags.get("setting", ""),
        sweep={key: value for key, _, value in pairs},
        seed=int(seed) if seed.isdecimal() else -1,
        id=tags["run_id_sha256"],
        status=tags.get("status", record.status.lower()),
        metric=None,
        published=record.is_complete,
        current=False,
        mlflow_id=record.mlflow_id,
    )


def read_test_metrics(metric: str) -> TestMetrics:
    """Read the test metric of every run in ``reports/runs.csv``; none without such a file.

    Raises:
        InputError: where the file is damaged.
    """
    path = REPORTS / "runs.csv"
    if not path.exists():
        return {}
    values = {
        (row["model"], row["id"]): row.number(metric)
        for row in read_csv(path, ("id", "model"))
        if row.get(metric)
    }
    return {key: value for key, value in values.items() if math.isfinite(value)}


def print_runs(models: Sequence[str], *, only_current: bool, as_json: bool) -> None:
    """Print the runs, and a note on stderr where ``models/`` is not that of params.yaml.

    Runs of these models are printed, or of all where none is named; with ``only_current`` those
    that the store alone holds are left out.

    Raises:
        InputError: where there are no runs yet, a file is damaged, or a model has none.
    """
    params = load_params(PARAMS)
    metric = params.evaluate.metric
    index = read_index(MODELS)
    published = read_published(params.tracking)
    runs = list_runs(index, read_test_metrics(metric), published)
    listed = {run.model for run in runs}
    for model in models:
        if model not in listed:
            raise InputError("--model", f"no run of a model {model!r}", did_you_mean(model, listed))
    shown = models or listed
    runs = [run for run in runs if run.model in shown and (run.current or not only_current)]
    if as_json:
        names = {"metric": f"test_{metric}"}
        documents = [{names.get(key, key): cell for key, cell in vars(run).items()} for run in runs]
        print(json.dumps(documents, indent=2, allow_nan=False))
    else:
        _print_table(runs, metric, published)
    if [run.label for run in index] != [run.label for run in params.runs]:
        note = f"note: {MODELS} is not that of {PARAMS} as it is now: run dvc repro"
        print(note, file=sys.stderr)


def _print_table(runs: Sequence[ListedRun], metric: str, published: PublishedRuns | None) -> None:
    metrics = ["" if run.metric is None else f"{run.metric:.4g}" for run in runs]
    status = [Text(run.status, "" if run.status == "finished" else "red") for run in runs]
    swept = list(dict.fromkeys(key for run in runs for key in run.sweep))
    columns = [
        Column("model", [Text(run.model, style="bold") for run in runs], right=False),
        *(Column(key, [run.sweep.get(key, "") for run in runs]) for key in swept),
        Column("seed", [str(run.seed) for run in runs]),
        Column("id", [run.id[:_ID_DIGITS] for run in runs], right=False),
        Column("status", status, right=False),
        Column(f"test {metric}", metrics),
        Column("published", [_PUBLISHED[run.published] for run in runs], right=False),
    ]
    if not all(run.current for run in runs):
        cells: list[str | Text] = ["yes" if run.current else "no" for run in runs]
        columns.append(Column("current", cells, right=False))
    title = f"{len(runs)} run{'s' * (len(runs) != 1)}"
    if published:
        title += f", published to {published.location.safe_uri}"
    narrow = [column for column in columns if column.heading != "status"]
    print_table(report_console(), title, columns, narrow)
