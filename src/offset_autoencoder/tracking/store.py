"""The MLflow store, written through MLflow's client."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.tracking import artifacts, write_ahead
from offset_autoencoder.tracking.client import connect, create_database, explained, now_ms
from offset_autoencoder.tracking.curves import Curves, Point, read_curves, read_span
from offset_autoencoder.tracking.location import Location
from offset_autoencoder.tracking.records import (
    CONTENT,
    CURRENT,
    CURVES,
    KEY,
    PARENT,
    ROLE,
    Record,
)
from offset_autoencoder.tracking.state import Present, StoreState
from offset_autoencoder.tracking.state_client import read as read_state

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric, Run
    from mlflow.tracking import MlflowClient

__all__ = [
    "Store",
    "connect",
    "create_database",
    "explained",
    "now_ms",
    "points_digest",
    "read_state",
]

# MLflow takes 1000 metrics, params and tags together in a call, and 100 params.
_METRICS_A_CALL = 850
_PARAMS_A_CALL = 100
# Has MLflow's UI open the experiment as one of trained models, without what is for language models.
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


class Store:
    """An MLflow experiment to write to.

    Args:
        client: The store.
        experiment_id: The MLflow experiment's id.
        provenance: Tags set when a record is first published.
        is_current: Whether what is written counts as current.
    """

    def __init__(
        self,
        client: MlflowClient,
        experiment_id: str,
        provenance: Mapping[str, str],
        *,
        is_current: bool = True,
    ) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._provenance = provenance
        self._is_current = is_current
        self._began = now_ms()
        self._started = 0

    @property
    def client(self) -> MlflowClient:
        """MLflow's client of the store."""
        return self._client

    @property
    def provenance(self) -> Mapping[str, str]:
        """The tags that say where a record is published from."""
        return self._provenance

    @property
    def experiment_id(self) -> str:
        """The MLflow experiment's id."""
        return self._experiment_id

    @classmethod
    def open(
        cls,
        location: Location,
        experiment: str,
        state: StoreState,
        provenance: Mapping[str, str],
        *,
        is_current: bool = True,
    ) -> Store:
        """Open the experiment, creating it where the store has none of that name."""
        write_ahead.turn(on=True)
        client = connect(location.uri)
        identity = state.experiment_id
        if identity is None:
            from mlflow.exceptions import MlflowException

            try:
                identity = client.create_experiment(
                    experiment, location.artifacts, tags=_EXPERIMENT_TAGS
                )
            except MlflowException:
                found = client.get_experiment_by_name(experiment)
                if found is None:
                    raise
                identity = found.experiment_id
        return cls(client, identity, provenance, is_current=is_current)

    def create(self, record: Record, parent_id: str | None = None) -> str:
        """Write a record as a new MLflow run.

        Its content tag goes with the last batch, which writes tags after metrics, and its status
        after that: until then it counts as half-written.

        Returns:
            The MLflow run's id.
        """
        now = now_ms()
        curves = read_curves(record.folder, now) if record.folder else None
        start, end = (curves.start, curves.end) if curves else (self._next_start(), now)
        tags = {**self._tags(record, parent_id), **self._provenance, **_times(record, curves)}
        run = self._client.create_run(
            self._experiment_id, start_time=start, tags=tags, run_name=record.name
        )
        mlflow_id = str(run.info.run_id)
        try:
            points = list(curves.points) if curves else []
            points += [Point(point.key, point.value, end, point.step) for point in record.curves]
            points += _final(record, end)
            self._client.log_inputs(mlflow_id, datasets=_inputs(record))
            self._finish(mlflow_id, record, points, record.params)
            self._client.set_terminated(mlflow_id, record.status, max(end, start))
        except KeyboardInterrupt:
            with contextlib.suppress(Exception):
                self._client.set_terminated(mlflow_id, "KILLED")
            raise
        return mlflow_id

    def update(self, record: Record, present: Present, parent_id: str | None = None) -> str:
        """Bring an MLflow run in line with its record.

        MLflow neither changes a param nor removes a metric: where that would be needed, the run
        is written anew and the old one goes to MLflow's bin.

        Returns:
            The id of the MLflow run that now holds the record.
        """
        client, mlflow_id = self._client, present.mlflow_id
        run = client.get_run(mlflow_id)
        curves = read_curves(record.folder, now_ms()) if record.folder else None
        if not _can_become(run, record, curves):
            self.discard(present)
            return self.create(record, parent_id)
        is_continued = present.is_continued
        # A kill from here on must not leave the mark of content that is half overwritten.
        client.set_tag(mlflow_id, CONTENT, "updating")
        now = max(now_ms(), (run.info.end_time or 0) + 1)
        changed = [
            Point(name, value, now, 0)
            for name, value in record.metrics.items()
            if run.data.metrics.get(name) != value
        ]
        params = {name: v for name, v in record.params.items() if name not in run.data.params}
        tags = self._tags(record, parent_id)
        if is_continued:
            tags |= {**self._provenance, **_times(record, curves)}
            client.log_inputs(mlflow_id, datasets=_inputs(record))
        for name, value in tags.items():
            if run.data.tags.get(name) != value:
                client.set_tag(mlflow_id, name, value)
        if run.info.run_name != record.name:
            client.update_run(mlflow_id, name=record.name)
        self._finish(mlflow_id, record, changed, params)
        if run.info.status != record.status:
            client.set_terminated(mlflow_id, record.status, curves.end if curves else None)
        return mlflow_id

    def end(self, mlflow_id: str) -> None:
        """Have the experiment's MLflow run say how long its publication took."""
        self._client.set_terminated(mlflow_id, "FINISHED", now_ms())

    def adopt(self, present: Present, parent_id: str | None) -> None:
        """Tag an MLflow run as current, nested under the parent; None: under nothing."""
        self._set_current(present, True)
        if parent_id is None and present.parent_id is not None:
            self._client.delete_tag(present.mlflow_id, PARENT)
        elif parent_id is not None and present.parent_id != parent_id:
            self._client.set_tag(present.mlflow_id, PARENT, parent_id)

    def retire(self, present: Present) -> None:
        """Tag an MLflow run as no longer in the project's files; it stays as history."""
        self._set_current(present, False)
        if present.status == "RUNNING":
            self._client.set_terminated(present.mlflow_id, "KILLED")

    def discard(self, present: Present) -> None:
        """Put an MLflow run into MLflow's bin, never leaving it RUNNING."""
        if present.status == "RUNNING":
            self._client.set_terminated(present.mlflow_id, "KILLED")
        self._client.delete_run(present.mlflow_id)

    def _next_start(self) -> int:
        """When a record that is no run was published, to within ms of it.

        MLflow's UI loads the youngest 100 first, and shows the youngest on top: these are the
        settings, in their order, and not their runs, which began when they were trained.
        """
        self._started += 1
        return self._began - self._started

    def _set_current(self, present: Present, current: bool) -> None:
        if present.tags.get(CURRENT) != str(current).lower():
            self._client.set_tag(present.mlflow_id, CURRENT, str(current).lower())

    def _tags(self, record: Record, parent_id: str | None) -> dict[str, str]:
        current = str(self._is_current).lower()
        tags = {**record.tags, ROLE: record.role, KEY: record.key, CURRENT: current}
        tags |= {CURVES: record.curves_digest} if record.curves else {}
        return tags | ({PARENT: parent_id} if parent_id else {})

    def _finish(
        self, mlflow_id: str, record: Record, points: list[Point], params: Mapping[str, str]
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        if record.artifacts:
            artifacts.mirror(self._client, mlflow_id, record.artifacts)
        metrics: list[Metric] = [Metric(*point) for point in points]
        named = [Param(name, value) for name, value in params.items()]
        while len(metrics) > _METRICS_A_CALL or len(named) > _PARAMS_A_CALL:
            self._client.log_batch(mlflow_id, metrics[:_METRICS_A_CALL], named[:_PARAMS_A_CALL])
            metrics, named = metrics[_METRICS_A_CALL:], named[_PARAMS_A_CALL:]
        self._client.log_batch(mlflow_id, metrics, named, [RunTag(CONTENT, record.content)])


def points_digest(points: Iterable[Point]) -> str:
    """The SHA-256 of a run's curves with their times."""
    return sha256_of_json([[p.key, repr(p.value), p.timestamp, p.step] for p in points])


def _can_become(run: Run, record: Record, curves: Curves | None) -> bool:
    """Whether the record can be written over the run without changing or removing anything."""
    if record.curves and run.data.tags.get(CURVES) != record.curves_digest:
        return False
    # What was shown during training: its points are then not written again.
    if (
        curves is not None
        and CONTENT not in run.data.tags
        and (run.data.tags.get(CURVES) != points_digest(curves.points))
    ):
        return False
    keys = {point.key for point in record.curves} | (curves.keys if curves else set())
    return all(record.params.get(name) == value for name, value in run.data.params.items()) and all(
        name in record.metrics or name in keys for name in run.data.metrics
    )


def _times(record: Record, curves: Curves | None) -> dict[str, str]:
    if curves is not None:
        return {"times": "known" if curves.times_known else "unknown"}
    span = read_span(record.spans)
    return {"trained": " to ".join(map(_moment, span))} if span else {}


def _moment(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _final(record: Record, end: int) -> list[Point]:
    return [Point(name, value, end, 0) for name, value in record.metrics.items()]


def _inputs(record: Record) -> list[DatasetInput]:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    return [
        DatasetInput(
            Dataset(d.name, d.digest, "local", d.source, d.schema, d.profile),
            [InputTag("mlflow.data.context", d.context)],
        )
        for d in record.datasets
    ]
