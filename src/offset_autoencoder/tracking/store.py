"""The MLflow store, written through MLflow's client; the one module that imports MLflow."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from offset_autoencoder.errors import InputError
from offset_autoencoder.tracking import artifacts, write_ahead
from offset_autoencoder.tracking.curves import Point, read_curves
from offset_autoencoder.tracking.location import Location, sqlite_uri
from offset_autoencoder.tracking.records import CONTENT, CURRENT, KEY, PARENT, ROLE, Record
from offset_autoencoder.tracking.state import Present, StoreState

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run
    from mlflow.tracking import MlflowClient

# MLflow takes 1000 metrics, params and tags together in a call, and 100 params.
_METRICS_A_CALL = 850
_PARAMS_A_CALL = 100
_PAGE = 1000


def connect(uri: str) -> MlflowClient:
    """A client of a store: quiet, without telemetry, giving up on a dead server in seconds."""
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        "GIT_PYTHON_REFRESH": "quiet",
    }.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    return MlflowClient(tracking_uri=uri)


@contextlib.contextmanager
def explained(location: Location) -> Iterator[None]:
    """Turn what MLflow and the network raise into one line.

    Raises:
        InputError: naming the store, what went wrong in it, and how to go on.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        text = str(error).strip().splitlines() or [type(error).__name__]
        # What follows in MLflow's message is the network library's account of every retry.
        said, gone, _ = text[0].partition(" failed with exception")
        raise InputError(
            f"MLflow store {location.shown}",
            f"{said} failed: the server no longer answers" if gone else said,
            "what was published stays, and 'dvc repro' publishes the rest",
        ) from error


def create_database(location: Location) -> None:
    """Create an SQLite store that does not exist: whole, or not at all.

    MLflow makes its tables in some 50 steps; a process killed among them would leave a file that
    MLflow refuses. So they are made in another file that is then given its name. The caller
    holds the lock.
    """
    database = location.database
    if database is None or database.exists():
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    new = database.with_name(f"{database.name}.new")
    for leftover in database.parent.glob(f"{new.name}*"):
        leftover.unlink()
    # A store that is given its name must be one whole file, without a log beside it; nor may
    # the log of a store that was deleted be taken for its own.
    write_ahead.turn(on=False)
    write_ahead.remove_log(database)
    connect(sqlite_uri(new)).search_experiments(max_results=1)
    try:
        os.link(new, database)
    except FileExistsError:  # 'mlflow ui' was quicker
        pass
    except OSError:  # a file system without hard links
        new.replace(database)
        return
    new.unlink()


def now_ms() -> int:
    """The time, in ms since 1970."""
    return time.time_ns() // 1_000_000


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
                identity = client.create_experiment(experiment, location.artifacts)
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
        start, end = (curves.start, curves.end) if curves else (now, now)
        tags = {**self._tags(record, parent_id), **self._provenance}
        if curves is not None:
            tags["times"] = "known" if curves.times_known else "unknown"
        run = self._client.create_run(
            self._experiment_id, start_time=start, tags=tags, run_name=record.name
        )
        mlflow_id = str(run.info.run_id)
        try:
            points = list(curves.points) if curves else []
            points += [Point(name, value, end, 0) for name, value in record.metrics.items()]
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
        if not _can_become(run, record, now_ms()):
            self.discard(present)
            return self.create(record, parent_id)
        # A kill from here on must not leave the mark of content that is half overwritten.
        client.set_tag(mlflow_id, CONTENT, "updating")
        now = max(now_ms(), (run.info.end_time or 0) + 1)
        changed = [
            Point(name, value, now, 0)
            for name, value in record.metrics.items()
            if run.data.metrics.get(name) != value
        ]
        params = {name: v for name, v in record.params.items() if name not in run.data.params}
        for name, value in self._tags(record, parent_id).items():
            if run.data.tags.get(name) != value:
                client.set_tag(mlflow_id, name, value)
        if run.info.run_name != record.name:
            client.update_run(mlflow_id, name=record.name)
        self._finish(mlflow_id, record, changed, params)
        if run.info.status != record.status:
            client.set_terminated(mlflow_id, record.status)
        return mlflow_id

    def adopt(self, present: Present, parent_id: str | None) -> None:
        """Tag an MLflow run as current, nested under the parent."""
        self._set_current(present, True)
        if parent_id is not None and present.parent_id != parent_id:
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

    def _set_current(self, present: Present, current: bool) -> None:
        if present.tags.get(CURRENT) != str(current).lower():
            self._client.set_tag(present.mlflow_id, CURRENT, str(current).lower())

    def _tags(self, record: Record, parent_id: str | None) -> dict[str, str]:
        current = str(self._is_current).lower()
        tags = {**record.tags, ROLE: record.role, KEY: record.key, CURRENT: current}
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


def _can_become(run: Run, record: Record, now: int) -> bool:
    """Whether the record can be written over the run without changing or removing anything."""
    curves = read_curves(record.folder, now).keys if record.folder else frozenset()
    return all(record.params.get(name) == value for name, value in run.data.params.items()) and all(
        name in record.metrics or name in curves for name in run.data.metrics
    )


def read_state(location: Location, experiment: str) -> StoreState:
    """The store's state through MLflow's client, for stores that nothing else can read."""
    client = connect(location.uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return StoreState()
    present: list[Present] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            [found.experiment_id], f"tags.`{KEY}` LIKE '%'", max_results=_PAGE, page_token=token
        )
        present += [
            Present(run.info.run_id, run.info.status, run.info.artifact_uri or "", run.data.tags)
            for run in page
        ]
        token = page.token
        if not token:
            break
    return StoreState(found.experiment_id, found.lifecycle_stage == "deleted", tuple(present))
