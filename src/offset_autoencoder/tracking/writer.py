"""Writing of records to an MLflow experiment, through MLflow's client."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.tracking import record_types
from offset_autoencoder.tracking.record_types import (
    CONTENT,
    CURRENT,
    CURVES,
    PARENT,
    VIEW,
    Point,
    Record,
    StoredRun,
    StoreState,
)
from offset_autoencoder.tracking.store import Location, connect, server_error, user_name

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Run, RunInfo
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

WRITER = "written_by"

_DEAD_SECONDS = 180.0
# Has MLflow's UI open the experiment as one of trained models, without what is for language models.
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
# MLflow keeps 36 characters of a data set's digest.
_DIGEST_DIGITS = 32


def call_again(call: Callable[[], object]) -> None:
    """Call MLflow to add what another publisher may be adding at this moment.

    MLflow looks whether a row is there, and adds it if not: of two publishers at once, one fails.
    When it is called again, the row is there.
    """
    from mlflow.exceptions import MlflowException

    try:
        call()
    except MlflowException as error:
        if server_error("", str(error)):
            raise
        call()


class ExperimentWriter:
    """An MLflow experiment to write to, created where the store has none of that name.

    What is written first is marked with the origin of ``root``, the project's folder, and all with
    ``is_current``.
    """

    def __init__(
        self,
        location: Location,
        experiment: str,
        state: StoreState,
        root: Path,
        *,
        is_current: bool,
    ) -> None:
        self.client = connect(location.uri)
        self.experiment_id = state.experiment_id or self._create_experiment(location, experiment)
        self._provenance = provenance(root)
        self._current = str(is_current).lower()
        self._began = now_ms()
        self._started = 0

    def _create_experiment(self, location: Location, name: str) -> str:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.create_experiment(name, location.artifacts, tags=_EXPERIMENT_TAGS)
        except MlflowException:
            # Another publisher, or a lost answer.
            existing = self.client.get_experiment_by_name(name)
            if existing is None:
                raise
            return str(existing.experiment_id)

    def begin(self, record: Record, start: int, process: int, tags: Mapping[str, str]) -> RunInfo:
        """Create the MLflow run of a record, with nothing in it but tags.

        ``start`` is in ms since 1970; the ``process`` that writes it is a publisher or a training;
        ``tags`` add to those that say which record it is, and where it comes from.
        """
        writer = {WRITER: sign_of_life(process)}
        tags = {**self._tags(record, None), **self._provenance, **writer, **tags}
        return self.client.create_run(self.experiment_id, start, tags, record.name).info

    def create(self, record: Record, parent_id: str | None = None) -> str:
        """Write a record as a new MLflow run, half-written until its status is set; its id."""
        now = now_ms()
        points, times = _curves_and_times(record, now)
        if record.role == "run" and points:
            start, end = points[0].timestamp, points[-1].timestamp
        else:
            # MLflow's UI loads the youngest 100 first, and shows the youngest on top: these are
            # the settings, in their order, and not their runs, which began when they were trained.
            self._started += 1
            start, end = self._began - self._started, now
        tags = {**self._tags(record, parent_id), **times, CONTENT: record.content}
        info = self.begin(record, start, os.getpid(), tags)
        mlflow_id = str(info.run_id)
        try:
            self._log_inputs(mlflow_id, record)
            self._mirror(info, record)
            finals = [Point(name, value, end, 0) for name, value in record.metrics.items()]
            # MLflow shows metrics in the order in which they came: the test metric is the first.
            self.log(mlflow_id, [*finals, *points], record.params)
            self.client.set_terminated(mlflow_id, record.status, max(end, start))
        except KeyboardInterrupt:
            with contextlib.suppress(Exception):
                self.client.set_terminated(mlflow_id, "KILLED")
            raise
        return mlflow_id

    def update(self, record: Record, stored: StoredRun, parent_id: str | None = None) -> str:
        """Bring an MLflow run in line with its record; the id of the one that now holds it.

        MLflow neither changes a param nor removes a metric: where that would be needed, the run
        is written anew and the old one goes to MLflow's bin.
        """
        client, mlflow_id = self.client, stored.mlflow_id
        run = client.get_run(mlflow_id)
        points, times = _curves_and_times(record, now_ms())
        if not _can_become(run, record, points):
            self.discard(stored)
            return self.create(record, parent_id)
        # A kill from here on must not leave the mark of content that is half overwritten.
        client.set_tag(mlflow_id, CONTENT, "updating")
        tags, end = self._tags(record, parent_id), None
        if record.role == "run" and "times" not in run.data.tags:  # it was shown in training
            self._log_inputs(mlflow_id, record)
            tags |= times
            end = points[-1].timestamp if points else None
        now = max(now_ms(), (run.info.end_time or 0) + 1)
        metrics, params = run.data.metrics, run.data.params
        changed = [Point(n, v, now, 0) for n, v in record.metrics.items() if metrics.get(n) != v]
        new = {name: value for name, value in record.params.items() if name not in params}
        tags = {name: v for name, v in tags.items() if run.data.tags.get(name) != v}
        self._mirror(run.info, record)
        self.log(mlflow_id, changed, new, tags)
        if run.info.run_name != record.name:
            client.update_run(mlflow_id, name=record.name)
        if run.info.status != record.status:
            client.set_terminated(mlflow_id, record.status, end)
        client.set_tag(mlflow_id, CONTENT, record.content)
        return mlflow_id

    def _log_inputs(self, mlflow_id: str, record: Record) -> None:
        call_again(lambda: self.client.log_inputs(mlflow_id, datasets=_inputs(record)))

    def set_view(self, view: str) -> None:
        """Have MLflow's UI offer a view of the settings."""
        call_again(lambda: self.client.set_experiment_tag(self.experiment_id, VIEW, view))

    def log(
        self,
        mlflow_id: str,
        points: Iterable[Point],
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log points, params and tags in as few calls as MLflow allows."""
        from mlflow.entities import Metric, Param, RunTag

        self.client.log_batch(
            mlflow_id,
            [Metric(*point) for point in points],
            [Param(name, value) for name, value in (params or {}).items()],
            [RunTag(name, value) for name, value in (tags or {}).items()],
        )

    def adopt(self, stored: StoredRun, parent_id: str | None) -> None:
        """Tag an MLflow run as current, nested under the parent; None: under nothing."""
        self._set_tag(stored, CURRENT, "true")
        if parent_id is not None:
            self._set_tag(stored, PARENT, parent_id)
        elif stored.parent_id is not None:
            self.client.delete_tag(stored.mlflow_id, PARENT)

    def retire(self, stored: StoredRun) -> None:
        """Tag an MLflow run as no longer in the project's files; it stays as history."""
        self._set_tag(stored, CURRENT, "false")
        if stored.status == "RUNNING":
            self.client.set_terminated(stored.mlflow_id, "KILLED")

    def discard(self, stored: StoredRun) -> None:
        """Put an MLflow run into MLflow's bin, never leaving it RUNNING."""
        if stored.status == "RUNNING":
            self.client.set_terminated(stored.mlflow_id, "KILLED")
        self.client.delete_run(stored.mlflow_id)

    def _set_tag(self, stored: StoredRun, name: str, value: str) -> None:
        if stored.tags.get(name) != value:
            self.client.set_tag(stored.mlflow_id, name, value)

    def _tags(self, record: Record, parent_id: str | None) -> dict[str, str]:
        tags = {**record.tags, record_types.ROLE: record.role, record_types.KEY: record.key}
        tags[CURRENT] = self._current
        tags |= {CURVES: record.curves_digest} if record.curves else {}
        return tags | ({PARENT: parent_id} if parent_id else {})

    def _mirror(self, info: RunInfo, record: Record) -> None:
        """Send all files, and remove what else is in the top-level folders that they name."""
        if not record.artifacts:
            return
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        # Not by the client, which remembers where a run's artifacts were.
        repository = get_artifact_repository(
            info.artifact_uri, tracking_uri=self.client.tracking_uri
        )
        names = {artifact.name for artifact in record.artifacts}
        with tempfile.TemporaryDirectory(prefix="offset-autoencoder-") as temporary:
            for name, source, _ in record.artifacts:
                folder, _, file = name.rpartition("/")
                if isinstance(source, bytes):
                    path = Path(temporary) / file
                    path.write_bytes(source)
                else:
                    path = source
                repository.log_artifact(str(path), folder or None)  # type: ignore[no-untyped-call]
        for folder in {name.partition("/")[0] for name in names if "/" in name}:
            for name in set(_files(repository, folder)) - names:
                repository.delete_artifacts(name)  # type: ignore[no-untyped-call]


def now_ms() -> int:
    """The time, in ms since 1970."""
    return time.time_ns() // 1_000_000


def points_digest(points: Iterable[Point]) -> str:
    """The SHA-256 of a run's curves with their times."""
    return sha256_of_json([[p.key, repr(p.value), p.timestamp, p.step] for p in points])


def sign_of_life(process: int) -> str:
    """Value of the tag :data:`WRITER`: machine, process, and the time in s since 1970."""
    return f"{socket.gethostname()} {process} {int(time.time())}"


def is_written_by_another(stored: StoredRun, process: int) -> bool:
    """True if another process than this one is still writing an unfinished MLflow run.

    On this machine the process that writes it says so. Of another machine's, a sign of life that
    is younger than three minutes does.
    """
    sign = re.fullmatch(r"(\S+) (\d+) (\d+)", stored.tags.get(WRITER, ""))
    if stored.status != "RUNNING" or sign is None:
        return False
    host, writer, moment = sign[1], int(sign[2]), int(sign[3])
    if host != socket.gethostname():
        return time.time() - moment < _DEAD_SECONDS
    try:
        os.kill(writer, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return writer != process


def provenance(root: Path) -> dict[str, str]:
    """Origin of a publication: git commit and dirty flag, DVC experiment, user, where known.

    They are set when a record is first published and do not make it differ later. The tree
    counts as dirty where a tracked file is changed, ``dvc.lock`` aside: DVC writes that one
    while it runs the stages.
    """
    tags = {
        "mlflow.source.name": "offset_autoencoder.stages.publish",
        "mlflow.source.type": "LOCAL",
    }
    if user := user_name():
        tags["mlflow.user"] = user
    if name := os.environ.get("DVC_EXP_NAME"):
        tags["dvc_experiment"] = name
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        tags["mlflow.source.git.commit"] = _git(root, "rev-parse", "--verify", "HEAD")
        only_tracked = ("--porcelain", "--untracked-files=no", "--", ".", ":(exclude)dvc.lock")
        tags["git_dirty"] = "true" if _git(root, "status", *only_tracked) else "false"
    return tags


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", *arguments]
    return subprocess.run(
        command, cwd=root, capture_output=True, text=True, timeout=30, check=True
    ).stdout.strip()


def _files(repository: ArtifactRepository, folder: str) -> Iterator[str]:
    for entry in repository.list_artifacts(folder):
        if entry.is_dir:
            yield from _files(repository, entry.path)
        else:
            yield entry.path


def _can_become(run: Run, record: Record, points: Iterable[Point]) -> bool:
    """True if the record can be written over the run without changing or removing anything."""
    data = run.data
    if record.curves and data.tags.get(CURVES) != record.curves_digest:
        return False
    # What was shown during training: its points are then not written again.
    is_live = record.role == "run" and CONTENT not in data.tags
    if is_live and data.tags.get(CURVES) != points_digest(points):
        return False
    names = record.metrics.keys() | {point.key for point in points}
    return data.params.items() <= record.params.items() and data.metrics.keys() <= names


def _curves_and_times(record: Record, now: int) -> tuple[list[Point], dict[str, str]]:
    """The points of a record's curves, and the tag that says when it was trained."""
    if record.role == "run":
        points, are_known = record_types.read_curves(record.folders[0], now, record.curve_points)
        return points, {"times": "known" if are_known else "unknown"}
    span = record_types.read_span(record.folders)
    points = [point._replace(timestamp=now) for point in record.curves]
    moments = (datetime.fromtimestamp(milliseconds / 1000, UTC) for milliseconds in span or ())
    trained = " to ".join(f"{moment:%Y-%m-%d %H:%M:%S} UTC" for moment in moments)
    return points, {"trained": trained} if span else {}


def _inputs(record: Record) -> list[DatasetInput]:
    """A record's data sets, with schema and profile as MLflow writes them for tensors."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = []
    for name, context, uri, (rows, width), sha256 in record.datasets:
        tensor = {"dtype": "float32", "shape": [-1, width]}
        features = json.dumps([{"type": "tensor", "tensor-spec": tensor}])
        dataset = Dataset(
            name,
            sha256[:_DIGEST_DIGITS],
            "local",
            json.dumps({"uri": uri}),
            json.dumps({"mlflow_tensorspec": {"features": features, "targets": None}}),
            json.dumps({"num_rows": rows, "shape": [rows, width], "sha256": sha256}),
        )
        inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", context)]))
    return inputs
