"""Runs that are to be served as models, and what the store lacks of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from offset_autoencoder.config import Params
from offset_autoencoder.evaluation.metrics import METRICS, higher_is_better
from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.io.tables import number, read_csv
from offset_autoencoder.paths import REPORTS
from offset_autoencoder.serving.metadata import FORMAT
from offset_autoencoder.tracking.record_types import ROLE, run_key
from offset_autoencoder.tracking.store import StoredRun, StoreState

# Tags of a run: the content that was logged of it (or was found not to be servable), its model.
LOGGED = "served_content_sha256"
MODEL_ID = "served_model"
REFUSED = "not_served_because"
RETIRED = "retired"
# Tags of the experiment's MLflow run: what was decided on, and the decision.
DECIDED = "champion_sha256"
DECISION = "champion"


@dataclass(frozen=True)
class ServedRun:
    """A run that is to be served.

    Attributes:
        model: The model's name.
        run: The run's id.
        test: Its test metrics as deployed.
    """

    model: str
    run: str
    test: dict[str, float]

    @property
    def key(self) -> str:
        """Key of its record."""
        return run_key(self.model, self.run)

    @property
    def content(self) -> str:
        """The SHA-256 of what is logged of it."""
        return sha256_of_json([FORMAT, self.key, {k: repr(v) for k, v in self.test.items()}])


@dataclass(frozen=True)
class ServingDiff:
    """Difference between the runs that are to be served and the store.

    Attributes:
        to_log: Those of which no model is logged yet, with their MLflow runs.
        missing: Those whose MLflow runs are not in the store yet.
        to_retire: MLflow runs whose models are no longer among the best.
        served: Those that are logged already.
        parent: The experiment's current MLflow run.
    """

    to_log: tuple[tuple[ServedRun, StoredRun], ...]
    missing: tuple[ServedRun, ...]
    to_retire: tuple[StoredRun, ...]
    served: tuple[ServedRun, ...]
    parent: StoredRun | None

    @property
    def to_export(self) -> tuple[ServedRun, ...]:
        """All that have to be written."""
        return (*(run for run, _ in self.to_log), *self.missing)


def champion_metric(params: Params) -> str:
    """The metric by which runs are chosen: ``tracking.champion_metric``, else that of evaluate."""
    return params.tracking.champion_metric or params.evaluate.metric


def runs_to_serve(params: Params, root: Path) -> tuple[ServedRun, ...]:
    """The runs to be served: of each model the best, or all, or none.

    The best run is the one with the best test metric of its own; of equals the first.

    Raises:
        InputError: where ``reports/runs.csv`` is missing or damaged.
    """
    if params.tracking.models == "none":
        return ()
    path = root / REPORTS / "runs.csv"
    runs: dict[str, ServedRun] = {}
    for position, row in enumerate(read_csv(path, ("id", "model", "status", "mse")), start=1):
        if row["status"] == "finished" and row["model"] in params.models:
            test = {
                metric: number(path, position, metric, row[metric])
                for metric in METRICS
                if row.get(metric)
            }
            run = ServedRun(row["model"], row["id"], test)
            runs.setdefault(run.key, run)
    if params.tracking.models == "all":
        return tuple(runs.values())
    by_model: dict[str, list[ServedRun]] = {}
    for run in runs.values():
        by_model.setdefault(run.model, []).append(run)
    best = (best_run(group, champion_metric(params)) for group in by_model.values())
    return tuple(run for run in best if run is not None)


def best_run(candidates: Iterable[ServedRun], metric: str) -> ServedRun | None:
    """The one with the best value of a metric; None where none has a finite one."""
    finite = [run for run in candidates if math.isfinite(run.test.get(metric, math.nan))]
    sign = -1.0 if higher_is_better(metric) else 1.0
    return min(finite, key=lambda run: sign * run.test[metric], default=None)


def serving_diff(runs: Sequence[ServedRun], state: StoreState) -> ServingDiff:
    """Compare the runs to be served with the tags of the MLflow runs."""
    to_log, missing, served = [], [], []
    ours = set()
    for run in runs:
        stored = _find(run, state.runs)
        if stored is None:
            missing.append(run)
            continue
        ours.add(stored.mlflow_id)
        if stored.tags.get(LOGGED) != run.content:
            to_log.append((run, stored))
        elif not stored.tags.get(REFUSED):
            served.append(run)
    to_retire = [
        stored
        for stored in state.runs
        if stored.tags.get(LOGGED, RETIRED) != RETIRED and stored.mlflow_id not in ours
    ]
    parents = [run for run in state.runs if run.tags.get(ROLE) == "experiment" and run.is_current]
    return ServingDiff(
        tuple(to_log),
        tuple(missing),
        tuple(to_retire),
        tuple(served),
        parents[0] if len(parents) == 1 else None,
    )


def _find(run: ServedRun, stored: Iterable[StoredRun]) -> StoredRun | None:
    alike = [
        candidate
        for candidate in stored
        if candidate.tags.get(ROLE) == "run"
        and candidate.tags.get("run_id_sha256") == run.run
        and candidate.tags.get("model") == run.model
        and candidate.is_complete
    ]
    return min(alike, key=lambda one: (not one.is_current, one.mlflow_id), default=None)
