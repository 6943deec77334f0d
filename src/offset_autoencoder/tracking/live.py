"""The process that shows a training in MLflow while it goes on: ``python -m ...tracking.live``.

It gets the names of the runs on a line of its input, and ends when that closes. It runs at a low
priority, so that it takes next to nothing from a training that uses every core.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from offset_autoencoder.config import Params, load_params
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_json
from offset_autoencoder.paths import project_root
from offset_autoencoder.runs.spec import RunSpec
from offset_autoencoder.tracking.location import Location, locate, publisher_lock
from offset_autoencoder.tracking.record_types import (
    CURRENT,
    CURVES,
    KEY,
    ROLE,
    Curves,
    Point,
    milliseconds,
    read_curves,
    run_key,
)
from offset_autoencoder.tracking.records import run_name, run_params, run_tags
from offset_autoencoder.tracking.store import StoredRun, create_database, now_ms, read_state
from offset_autoencoder.tracking.writer import (
    WRITER,
    ExperimentWriter,
    is_being_written,
    log_in_batches,
    points_digest,
    provenance,
    sign_of_life,
    writing_process,
)

# As the trainer names it.
CHECKPOINTS = ".checkpoints"
POLL_SECONDS = 2.0
# Until a store that did not answer is asked again.
RETRY_SECONDS = 60.0
_SIGN_SECONDS = 60.0
# A core in use gives such a process 1.5 %. MLflow's import and a new store take seconds of one:
# while all cores are in use curves come late, otherwise at once.
_NICE = 19


def main() -> None:
    """Follow the training that is named on the standard input, until that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # leave the cores to the training
        os.nice(max(0, _NICE - os.nice(0)))
    message = json.loads(sys.stdin.readline())
    has_ended = threading.Event()
    threading.Thread(target=_wait_for_end, args=(has_ended,), daemon=True).start()
    has_warned = False
    while not has_ended.is_set():
        try:
            follow(message, has_ended)
        except Exception as error:
            if not has_warned and not has_ended.is_set():
                text = " ".join(str(error).split())[:300] or type(error).__name__
                print(
                    f"warning: the training is not shown in MLflow for now: {text}",
                    file=sys.stderr,
                    flush=True,
                )
            has_warned = True
            has_ended.wait(RETRY_SECONDS)


def follow(message: Mapping[str, Any], has_ended: threading.Event) -> None:
    """Show the runs until the training has ended.

    Args:
        message: The line that :func:`.following.following` writes.
        has_ended: Set when the training has.

    Raises:
        InputError: where params.yaml or the store cannot be read.
        Exception: whatever MLflow raises where the store does not answer.
    """
    params = load_params()
    runs = live_runs(params, message["runs"], Path(message["store"]))
    while not any(run.has_points for run in runs):
        if has_ended.wait(POLL_SECONDS):
            return
    writer = LiveWriter.open(
        locate(params.tracking),
        params.tracking.experiment,
        message["training"],
        is_current=Path.cwd() == project_root(),
    )
    open_runs = list(runs)
    while not has_ended.is_set():
        for run in open_runs[:]:
            if not has_ended.is_set() and writer.write(run):
                open_runs.remove(run)
        has_ended.wait(POLL_SECONDS)
    writer.end(open_runs)


@dataclass(frozen=True)
class LiveRun:
    """A run in training, as the run store shows it: a checkpoint first, then a folder.

    Attributes:
        id: Its SHA-256.
        key: Of its record.
        name: In the UI.
        params: As published.
        tags: As published, as far as they are known.
        store: The run store.
    """

    id: str
    key: str
    name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    store: Path

    @property
    def checkpoint(self) -> Path:
        """The trainer's last checkpoint."""
        return self.store / CHECKPOINTS / f"{self.id}.npz"

    @property
    def folder(self) -> Path:
        """Its folder once it has ended."""
        return self.store / self.id

    @property
    def has_ended(self) -> bool:
        """True if its training has ended."""
        return (self.folder / "spec.json").exists()

    @property
    def has_points(self) -> bool:
        """True if there is anything to show of it."""
        return self.has_ended or self.checkpoint.exists()

    @property
    def status(self) -> str:
        """Status of a run that has ended, in MLflow's words."""
        spec = read_json(self.folder / "spec.json")
        return "FINISHED" if spec.get("status") == "finished" else "FAILED"

    def curves(self, now: int) -> Curves:
        """All of its curves, once it has ended; see :func:`.record_types.read_curves`."""
        return read_curves(self.folder, now)

    def points(self) -> list[Point]:
        """The points of its last checkpoint; the same that its history will hold.

        Empty where there is no checkpoint, or one that is just being replaced.
        """
        try:
            with np.load(self.checkpoint, allow_pickle=False) as archive:
                epochs = archive["epochs"]
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
            return []
        if epochs.ndim != 2 or epochs.shape[1] < 4:
            return []
        # The history holds a float32's own shortest form.
        columns = epochs[:, :2].astype(np.float32)
        return [
            Point(key, float(str(value)), moment, step)
            for step, (values, moment) in enumerate(
                zip(columns, milliseconds(epochs[:, 3]), strict=True), start=1
            )
            for key, value in zip(("loss", "val_loss"), values, strict=True)
        ]


def live_runs(
    params: Params, runs: Iterable[Mapping[str, Any]], store: Path
) -> tuple[LiveRun, ...]:
    """The runs that a training names.

    Args:
        params: The project's params.
        runs: Of each run its label, its id and its fingerprint.
        store: The run store.

    Raises:
        InputError: where params.yaml has been changed since, and has no such run.
    """
    by_label = {run.label: run for run in params.runs}
    live = []
    for named in runs:
        run = by_label.get(named["label"])
        if run is None:
            raise InputError("params.yaml", f"has no run {named['label']} any more")
        live.append(
            LiveRun(
                id=named["id"],
                key=run_key(run.setting.model, named["id"]),
                name=run_name(run),
                params=run_params(params, run),
                tags=run_tags(run, RunSpec.parse(named["fingerprint"])),
                store=store,
            )
        )
    return tuple(live)


@dataclass
class _Written:
    """An MLflow run that is being written.

    Attributes:
        mlflow_id: Its id.
        points: Keys and steps of the points that it holds.
        signed: Last sign of life of the training in it, by ``time.monotonic()``.
    """

    mlflow_id: str
    points: set[tuple[str, int]] = field(default_factory=set)
    signed: float = field(default_factory=time.monotonic)


class LiveWriter:
    """An MLflow experiment that runs in training are written to.

    Args:
        experiment: The experiment.
        stored: Our runs that it holds already.
        training: The process id of the training.
        is_current: Whether the training is that of the user's own workspace.
    """

    def __init__(
        self,
        experiment: ExperimentWriter,
        stored: Sequence[StoredRun],
        training: int,
        *,
        is_current: bool,
    ) -> None:
        self._experiment = experiment
        self._client = experiment.client
        self._training = training
        self._is_current = is_current
        self._stored: dict[str, list[StoredRun]] = {}
        for run in stored:
            self._stored.setdefault(run.tags[KEY], []).append(run)
        self._written: dict[str, _Written] = {}

    @classmethod
    def open(
        cls, location: Location, experiment: str, training: int, *, is_current: bool
    ) -> LiveWriter:
        """Open the experiment, creating store and experiment where they are missing.

        Raises:
            InputError: where the store cannot be reached, or the experiment is deleted.
        """
        if location.database is not None and not location.database.exists():
            with publisher_lock(location):
                create_database(location)
        state = read_state(location, experiment)
        if state.is_deleted:
            raise InputError(f"the experiment {experiment!r}", "is deleted")
        writer = ExperimentWriter.open(
            location, experiment, state, provenance(project_root()), is_current=is_current
        )
        return cls(writer, state.runs, training, is_current=is_current)

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
            self._client.set_tag(written.mlflow_id, WRITER, sign_of_life(self._training))
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
        """True if the run is to be shown: it is not published, nor being written elsewhere."""
        for stored in self._stored.pop(run.key, []):
            is_ours = writing_process(stored) == self._training
            if stored.is_complete or (is_being_written(stored) and not is_ours):
                return False
            self._experiment.discard(stored)
        points = run.curves(now_ms()).points if run.has_ended else run.points()
        if not points:
            return not run.has_ended
        tags = {
            **run.tags,
            **self._experiment.provenance,
            ROLE: "run",
            KEY: run.key,
            CURRENT: str(self._is_current).lower(),
            WRITER: sign_of_life(self._training),
        }
        begun = self._client.create_run(
            self._experiment.experiment_id,
            start_time=points[0].timestamp,
            tags=tags,
            run_name=run.name,
        )
        written = self._written[run.key] = _Written(str(begun.info.run_id))
        log_in_batches(self._client, written.mlflow_id, (), run.params)
        return True

    def _complete(self, run: LiveRun, written: _Written) -> None:
        from mlflow.entities import RunTag

        curves = run.curves(now_ms())
        self._log(written, curves.points)
        tags = [RunTag(CURVES, points_digest(curves.points))]
        self._client.log_batch(written.mlflow_id, tags=tags)
        self._client.set_terminated(written.mlflow_id, run.status, curves.end)

    def _log(self, written: _Written, points: Iterable[Point]) -> None:
        new = [point for point in points if (point.key, point.step) not in written.points]
        if new:
            log_in_batches(self._client, written.mlflow_id, new)
            written.points |= {(point.key, point.step) for point in new}


def _wait_for_end(has_ended: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while sys.stdin.read(1):
            pass
    has_ended.set()


if __name__ == "__main__":
    main()
