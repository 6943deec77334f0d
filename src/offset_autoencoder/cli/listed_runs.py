"""The runs of the project as a list: those in ``models/``, and those published before."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from offset_autoencoder.cli.published import Published
from offset_autoencoder.paths import REPORTS
from offset_autoencoder.tracking.state import Present
from offset_autoencoder.tracking.tables import number, read_table
from offset_autoencoder.training.run_store import IndexedRun

Measured = Mapping[tuple[str, str], float]
"""Model and id → the run's test metric."""


@dataclass(frozen=True)
class ListedRun:
    """A run under one model's name.

    Attributes:
        model: The model's name.
        sweep: The swept keys and this run's values.
        seed: The seed.
        id: The run's id.
        status: ``"finished"`` or ``"diverged"``.
        metric: Its test metric; None where it is not evaluated, or diverged.
        published: Whether the store holds it whole; None where the store cannot be asked.
        current: Whether ``models/`` holds it.
        mlflow_id: The MLflow run, where there is one.
    """

    model: str
    sweep: Mapping[str, str]
    seed: int
    id: str
    status: str
    metric: float | None
    published: bool | None
    current: bool
    mlflow_id: str | None


def list_runs(
    index: Sequence[IndexedRun], measured: Measured, published: Published | None
) -> list[ListedRun]:
    """The runs of the index in its order, then those that the store alone holds.

    Args:
        index: ``models/index.csv``.
        measured: The test metric of the runs that are evaluated.
        published: What the store holds; None where it cannot be asked.
    """
    stored: dict[tuple[str, str], list[Present]] = defaultdict(list)
    for record in published.runs if published else ():
        stored[_which(record)].append(record)
    current = [
        _current(run, measured, stored[run.model, run.id] if published else None) for run in index
    ]
    in_models = {(run.model, run.id) for run in index}
    history = [
        _history(record)
        for which, records in stored.items()
        if which not in in_models
        for record in records
    ]
    return current + sorted(
        history, key=lambda run: (run.model, tuple(run.sweep.values()), run.seed)
    )


def read_measured(metric: str) -> Measured:
    """The test metric of every run in ``reports/runs.csv``, none where there is no such file.

    Raises:
        InputError: where the file is damaged.
    """
    path = REPORTS / "runs.csv"
    if not path.exists():
        return {}
    values = {
        (row["model"], row["id"]): number(path, position, metric, row[metric])
        for position, row in enumerate(read_table(path, ("id", "model")), start=1)
        if row.get(metric)
    }
    return {which: value for which, value in values.items() if math.isfinite(value)}


def _which(run: Present) -> tuple[str, str]:
    return run.tags.get("model", ""), run.tags["run_id_sha256"]


def _current(run: IndexedRun, measured: Measured, records: list[Present] | None) -> ListedRun:
    setting = run.label.rpartition(" seed=")[0]
    # One id at two settings of one model (a swept key that does not matter): the label tells.
    record = max(records or [], key=lambda one: one.tags.get("setting") == setting, default=None)
    return ListedRun(
        model=run.model,
        sweep=run.sweep,
        seed=run.seed,
        id=run.id,
        status=run.status,
        metric=measured.get((run.model, run.id)),
        published=None if records is None else record is not None and record.is_complete,
        current=True,
        mlflow_id=None if record is None else record.mlflow_id,
    )


def _history(run: Present) -> ListedRun:
    model, run_id = _which(run)
    # As Setting.label writes them; no key or value has a space.
    pairs = [word.partition("=") for word in run.tags.get("setting", "").split()[1:]]
    seed = run.tags.get("seed", "")
    return ListedRun(
        model=model,
        sweep={key: value for key, _, value in pairs},
        seed=int(seed) if seed.isdecimal() else -1,
        id=run_id,
        status=run.tags.get("status", run.status.lower()),
        metric=None,
        published=run.is_complete,
        current=False,
        mlflow_id=run.mlflow_id,
    )
