"""Writes runs in training to the MLflow store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from offset_autoencoder.errors import InputError
from offset_autoencoder.paths import project_root
from offset_autoencoder.tracking.curves import Point
from offset_autoencoder.tracking.in_training import TAG, is_in_training, sign
from offset_autoencoder.tracking.live_runs import LiveRun
from offset_autoencoder.tracking.location import Location
from offset_autoencoder.tracking.provenance import provenance
from offset_autoencoder.tracking.records import CURRENT, CURVES, KEY, ROLE
from offset_autoencoder.tracking.state import Present
from offset_autoencoder.tracking.store import Store, create_database, now_ms, points_digest

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

# MLflow takes 1000 metrics, params and tags together in a call.
_METRICS_A_CALL = 850
_SIGN_SECONDS = 60.0


@dataclass
class _Written:
    """An MLflow run that is being written.

    Attributes:
        mlflow_id: Its id.
        points: What it holds.
        signed: When it last said that the training goes on, by ``time.monotonic()``.
    """

    mlflow_id: str
    points: set[tuple[str, int]] = field(default_factory=set)
    signed: float = field(default_factory=time.monotonic)


class LiveWriter:
    """An MLflow experiment that runs in training are written to.

    Args:
        store: The experiment.
        present: What of ours it holds already.
        training: The process id of the training.
        is_current: Whether the training is that of the user's own workspace.
    """

    def __init__(
        self, store: Store, present: Sequence[Present], training: int, *, is_current: bool
    ) -> None:
        self._store = store
        self._training = training
        self._is_current = is_current
        self._present: dict[str, list[Present]] = {}
        for one in present:
            self._present.setdefault(one.tags[KEY], []).append(one)
        self._written: dict[str, _Written] = {}

    @classmethod
    def open(
        cls, location: Location, experiment: str, training: int, *, is_current: bool
    ) -> LiveWriter:
        """Open the experiment, creating store and experiment where they are missing.

        Raises:
            InputError: where the store cannot be reached, or the experiment is deleted.
        """
        from offset_autoencoder.tracking.publish import locked, read_any_state

        if location.database is not None and not location.database.exists():
            with locked(location):
                create_database(location)
        state = read_any_state(location, experiment)
        if state.is_deleted:
            raise InputError(f"the experiment {experiment!r}", "is deleted")
        told = provenance(project_root())
        store = Store.open(location, experiment, state, told, is_current=is_current)
        return cls(store, state.present, training, is_current=is_current)

    @property
    def _client(self) -> MlflowClient:
        return self._store.client

    def write(self, run: LiveRun) -> bool:
        """Write what is new of a run.

        Returns:
            Whether there is nothing more to come of it.
        """
        if not run.has_points:
            return False
        if run.key not in self._written and not self._begin(run):
            return True
        written = self._written.get(run.key)
        if written is None:
            return False
        if run.has_ended:
            self._complete(run, written)
            return True
        self._log(written, run.points())
        if time.monotonic() - written.signed > _SIGN_SECONDS:
            self._client.set_tag(written.mlflow_id, TAG, sign(self._training))
            written.signed = time.monotonic()
        return False

    def end(self, runs: Sequence[LiveRun]) -> None:
        """Complete the runs that have ended, and leave none running."""
        for run in runs:
            written = self._written.get(run.key)
            if written is None:
                continue
            with contextlib.suppress(Exception):
                if run.has_ended:
                    self._complete(run, written)
                else:
                    self._client.set_terminated(written.mlflow_id, "KILLED")

    def _begin(self, run: LiveRun) -> bool:
        """Whether the run is to be shown: it is not published, nor in training elsewhere."""
        for present in self._present.pop(run.key, []):
            mine = present.tags.get(TAG, "").split(" ")[1:2] == [str(self._training)]
            if present.is_complete or (is_in_training(present) and not mine):
                return False
            self._store.discard(present)
        points = run.curves(now_ms()).points if run.has_ended else run.points()
        if not points:
            return not run.has_ended
        from mlflow.entities import Param

        tags = {
            **run.tags,
            **self._store.provenance,
            ROLE: "run",
            KEY: run.key,
            CURRENT: str(self._is_current).lower(),
            TAG: sign(self._training),
        }
        begun = self._client.create_run(
            self._store.experiment_id,
            start_time=points[0].timestamp,
            tags=tags,
            run_name=run.name,
        )
        written = self._written[run.key] = _Written(str(begun.info.run_id))
        params = [Param(name, value) for name, value in run.params.items()]
        self._client.log_batch(written.mlflow_id, params=params)
        return True

    def _complete(self, run: LiveRun, written: _Written) -> None:
        from mlflow.entities import RunTag

        curves = run.curves(now_ms())
        self._log(written, curves.points)
        tags = [RunTag(CURVES, points_digest(curves.points))]
        self._client.log_batch(written.mlflow_id, tags=tags)
        self._client.set_terminated(written.mlflow_id, run.status, curves.end)

    def _log(self, written: _Written, points: Sequence[Point]) -> None:
        from mlflow.entities import Metric

        new = [point for point in points if (point.key, point.step) not in written.points]
        while new:
            batch, new = new[:_METRICS_A_CALL], new[_METRICS_A_CALL:]
            self._client.log_batch(written.mlflow_id, [Metric(*point) for point in batch])
            written.points |= {(point.key, point.step) for point in batch}
