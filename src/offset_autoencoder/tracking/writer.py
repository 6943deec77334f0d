"""Writing of records to an MLflow experiment, through MLflow's client."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.tracking.location import Location
from offset_autoencoder.tracking.record_types import (
    CONTENT,
    CURRENT,
    CURVES,
    KEY,
    PARENT,
    ROLE,
    Artifact,
    Curves,
    Point,
    Record,
    read_curves,
    read_span,
)
from offset_autoencoder.tracking.store import StoredRun, StoreState, connect, now_ms

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Run, RunTag
    from mlflow.tracking import MlflowClient

WRITER = "written_by"
DEAD_SECONDS = 180.0

# MLflow takes 1000 metrics, params and tags together in a call, and 100 params.
_METRICS_PER_CALL = 850
_PARAMS_PER_CALL = 100
# Has MLflow's UI open the experiment as one of trained models, without what is for language models.
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


class ExperimentWriter:
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
        self.client = client
        self.experiment_id = experiment_id
        self.provenance = provenance
        self._is_current = is_current
        self._began = now_ms()
        self._started = 0

    @classmethod
    def open(
        cls,
        location: Location,
        experiment: str,
        state: StoreState,
        provenance: Mapping[str, str],
        *,
        is_current: bool = True,
    ) -> ExperimentWriter:
        """Open the experiment, creating it where the store has none of that name."""
        client = connect(location.uri)
        experiment_id = state.experiment_id
        if experiment_id is None:
            from mlflow.exceptions import MlflowException

            try:
                experiment_id = client.create_experiment(
                    experiment, location.artifacts, tags=_EXPERIMENT_TAGS
                )
            except MlflowException:
                # Another publisher, or a lost answer.
                existing = client.get_experiment_by_name(experiment)
                if existing is None:
                    raise
                experiment_id = existing.experiment_id
        return cls(client, experiment_id, provenance, is_current=is_current)

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
        tags = {**self._tags(record, parent_id), **self.provenance, **_times(record, curves)}
        run = self.client.create_run(
            self.experiment_id,
            start_time=start,
            tags={**tags, WRITER: sign_of_life(os.getpid())},
            run_name=record.name,
        )
        mlflow_id = str(run.info.run_id)
        try:
            points = list(curves.points) if curves else []
            points += [Point(point.key, point.value, end, point.step) for point in record.curves]
            points += [Point(name, value, end, 0) for name, value in record.metrics.items()]
            self.client.log_inputs(mlflow_id, datasets=_inputs(record))
            self._finish(mlflow_id, record, points, record.params)
            self.client.set_terminated(mlflow_id, record.status, max(end, start))
        except KeyboardInterrupt:
            with contextlib.suppress(Exception):
                self.client.set_terminated(mlflow_id, "KILLED")
            raise
        return mlflow_id

    def update(self, record: Record, stored: StoredRun, parent_id: str | None = None) -> str:
        """Bring an MLflow run in line with its record.

        MLflow neither changes a param nor removes a metric: where that would be needed, the run
        is written anew and the old one goes to MLflow's bin.

        Returns:
            The id of the MLflow run that now holds the record.
        """
        client, mlflow_id = self.client, stored.mlflow_id
        run = client.get_run(mlflow_id)
        curves = read_curves(record.folder, now_ms()) if record.folder else None
        if not _can_become(run, record, curves):
            self.discard(stored)
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
        tags = self._tags(record, parent_id)
        if stored.is_shown_live:
            tags |= {**self.provenance, **_times(record, curves)}
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
        self.client.set_terminated(mlflow_id, "FINISHED", now_ms())

    def adopt(self, stored: StoredRun, parent_id: str | None) -> None:
        """Tag an MLflow run as current, nested under the parent; None: under nothing."""
        self._set_current(stored, True)
        if parent_id is None and stored.parent_id is not None:
            self.client.delete_tag(stored.mlflow_id, PARENT)
        elif parent_id is not None and stored.parent_id != parent_id:
            self.client.set_tag(stored.mlflow_id, PARENT, parent_id)

    def retire(self, stored: StoredRun) -> None:
        """Tag an MLflow run as no longer in the project's files; it stays as history."""
        self._set_current(stored, False)
        if stored.status == "RUNNING":
            self.client.set_terminated(stored.mlflow_id, "KILLED")

    def discard(self, stored: StoredRun) -> None:
        """Put an MLflow run into MLflow's bin, never leaving it RUNNING."""
        if stored.status == "RUNNING":
            self.client.set_terminated(stored.mlflow_id, "KILLED")
        self.client.delete_run(stored.mlflow_id)

    def _next_start(self) -> int:
        """Time of publication of a record that is no run, to within ms.

        MLflow's UI loads the youngest 100 first, and shows the youngest on top: these are the
        settings, in their order, and not their runs, which began when they were trained.
        """
        self._started += 1
        return self._began - self._started

    def _set_current(self, stored: StoredRun, current: bool) -> None:
        if stored.tags.get(CURRENT) != str(current).lower():
            self.client.set_tag(stored.mlflow_id, CURRENT, str(current).lower())

    def _tags(self, record: Record, parent_id: str | None) -> dict[str, str]:
        current = str(self._is_current).lower()
        tags = {**record.tags, ROLE: record.role, KEY: record.key, CURRENT: current}
        tags |= {CURVES: record.curves_digest} if record.curves else {}
        return tags | ({PARENT: parent_id} if parent_id else {})

    def _finish(
        self, mlflow_id: str, record: Record, points: list[Point], params: Mapping[str, str]
    ) -> None:
        from mlflow.entities import RunTag

        if record.artifacts:
            _mirror(self.client, mlflow_id, record.artifacts)
        log_in_batches(self.client, mlflow_id, points, params, [RunTag(CONTENT, record.content)])


def log_in_batches(
    client: MlflowClient,
    mlflow_id: str,
    points: Iterable[Point],
    params: Mapping[str, str] | None = None,
    tags: Iterable[RunTag] = (),
) -> None:
    """Log points and params in as few calls as MLflow allows, the tags with the last."""
    from mlflow.entities import Metric, Param

    metrics = [Metric(*point) for point in points]
    pairs = [Param(name, value) for name, value in (params or {}).items()]
    while len(metrics) > _METRICS_PER_CALL or len(pairs) > _PARAMS_PER_CALL:
        client.log_batch(mlflow_id, metrics[:_METRICS_PER_CALL], pairs[:_PARAMS_PER_CALL])
        metrics, pairs = metrics[_METRICS_PER_CALL:], pairs[_PARAMS_PER_CALL:]
    client.log_batch(mlflow_id, metrics, pairs, list(tags))


def points_digest(points: Iterable[Point]) -> str:
    """The SHA-256 of a run's curves with their times."""
    return sha256_of_json([[p.key, repr(p.value), p.timestamp, p.step] for p in points])


def sign_of_life(process: int) -> str:
    """Value of the tag :data:`WRITER`: machine, process, and the time in s since 1970.

    Args:
        process: The process that writes the run: a publisher, or a training.
    """
    return f"{socket.gethostname()} {process} {int(time.time())}"


def is_being_written(stored: StoredRun) -> bool:
    """True if an unfinished MLflow run is still being written by a publisher or a training.

    On this machine its process says so. Of another's, a sign of life that is younger than
    :data:`DEAD_SECONDS` does.
    """
    words = stored.tags.get(WRITER, "").split(" ")
    if stored.status != "RUNNING" or len(words) != 3 or not all(w.isdecimal() for w in words[1:]):
        return False
    host, process, moment = words
    if host != socket.gethostname():
        return time.time() - int(moment) < DEAD_SECONDS
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def writing_process(stored: StoredRun) -> int | None:
    """Process on this machine that wrote an MLflow run; None where it was on another."""
    host, _, rest = stored.tags.get(WRITER, "").partition(" ")
    process = rest.partition(" ")[0]
    return int(process) if host == socket.gethostname() and process.isdecimal() else None


def provenance(root: Path) -> dict[str, str]:
    """Origin of a publication: git commit and dirty flag, DVC experiment, user, where known.

    They are set when a record is first published and do not make it differ later. The tree
    counts as dirty where a tracked file is changed, ``dvc.lock`` aside: DVC writes that one
    while it runs the stages.

    Args:
        root: The project's folder.
    """
    tags = {
        "mlflow.source.name": "offset_autoencoder.stages.publish",
        "mlflow.source.type": "LOCAL",
    }
    # Some containers run under a user id that has no name.
    with contextlib.suppress(KeyError, OSError):
        tags["mlflow.user"] = getpass.getuser()
    if name := os.environ.get("DVC_EXP_NAME"):
        tags["dvc_experiment"] = name
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return tags
    tags["mlflow.source.git.commit"] = commit
    only_tracked = ("--porcelain", "--untracked-files=no", "--", ".", ":(exclude)dvc.lock")
    changed = _git(root, "status", *only_tracked)
    if changed is not None:
        tags["git_dirty"] = "true" if changed else "false"
    return tags


def _git(root: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _mirror(client: MlflowClient, mlflow_id: str, artifacts: Iterable[Artifact]) -> None:
    """Send all files, and remove what else is in the top-level folders that they name."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    by_name = {artifact.name: artifact for artifact in artifacts}
    # Not by the client, which remembers where a run's artifacts were.
    repository = get_artifact_repository(
        client.get_run(mlflow_id).info.artifact_uri, tracking_uri=client.tracking_uri
    )
    for name, artifact in by_name.items():
        folder = name.rpartition("/")[0]
        repository.log_artifact(  # type: ignore[no-untyped-call]
            str(artifact.source), folder or None
        )
    for folder in {name.partition("/")[0] for name in by_name if "/" in name}:
        for name in list(_files(client, mlflow_id, folder)):
            if name not in by_name:
                repository.delete_artifacts(name)  # type: ignore[no-untyped-call]


def _files(client: MlflowClient, mlflow_id: str, folder: str) -> Iterator[str]:
    for entry in client.list_artifacts(mlflow_id, folder):
        if entry.is_dir:
            yield from _files(client, mlflow_id, entry.path)
        else:
            yield entry.path


def _can_become(run: Run, record: Record, curves: Curves | None) -> bool:
    """True if the record can be written over the run without changing or removing anything."""
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


def _inputs(record: Record) -> list[DatasetInput]:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    return [
        DatasetInput(
            Dataset(d.name, d.digest, "local", json.dumps({"uri": d.uri}), d.schema, d.profile),
            [InputTag("mlflow.data.context", d.context)],
        )
        for d in record.datasets
    ]
