"""The process that shows a training in MLflow while it goes on: ``python -m ...tracking.live``.

It gets the names of the runs on a line of its input, and ends when that closes. To start takes some
seconds of a core, as MLflow's import does; from then on it takes a hundredth of one, so that ten
minutes of training lend it 2 % of a core in all.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from offset_autoencoder.config import Params, load_params
from offset_autoencoder.errors import InputError, message_of, run_command
from offset_autoencoder.paths import project_root
from offset_autoencoder.runs.files import CHECKPOINTS, SPEC, read_saved_run
from offset_autoencoder.runs.spec import RunSpec
from offset_autoencoder.tracking import descriptions, record_types, store, writer
from offset_autoencoder.tracking.record_types import Point, Record
from offset_autoencoder.tracking.records import run_record

# Until something is there to show, and then: a run has a checkpoint every half a minute.
_POLL_SECONDS, _LATER_POLL_SECONDS = 2.0, 6.0
# Until a store that did not answer is asked again.
_RETRY_SECONDS = 60.0
_SIGN_SECONDS = 60.0
# Share of a core that it takes once curves are shown, and the seconds that it may take at once. Low
# priority would not do: while all cores are in use it gets nothing done for minutes.
_SHARE, _BURST_SECONDS = 0.01, 1.0


def main() -> None:
    """Follow the training that is named on the standard input, until that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    message = json.loads(sys.stdin.readline())
    has_ended = threading.Event()
    threading.Thread(target=_wait_for_end, args=(has_ended,), daemon=True).start()
    has_warned = False
    while not has_ended.is_set():
        try:
            _follow(message, has_ended)
        except Exception as error:
            if not has_warned and not has_ended.is_set():
                text = message_of(error)[:300] or type(error).__name__
                warning = f"warning: the training is not shown in MLflow for now: {text}"
                print(warning, file=sys.stderr, flush=True)
            has_warned = True
            has_ended.wait(_RETRY_SECONDS)


def _wait_for_end(has_ended: threading.Event) -> None:
    with contextlib.suppress(OSError):
        sys.stdin.read()
    has_ended.set()


def _follow(message: Mapping[str, Any], has_ended: threading.Event) -> None:
    """Show the runs of the line that ``following`` writes, until their training has ended."""
    params = load_params()
    runs = _live_runs(params, message["runs"], Path(message["store"]))
    while not any(run.has_points for run in runs):
        if has_ended.wait(_POLL_SECONDS):
            return
    with store.explained(store.locate(params.tracking)):
        live, rest = _LiveWriter(params, message["training"]), _rests()
        while not has_ended.is_set():
            # Those in training first: a curve of one that has ended can wait for publish.
            for run in sorted(runs, key=lambda run: run.has_ended):
                if not has_ended.is_set() and live.write(run):
                    runs.remove(run)
                has_ended.wait(next(rest))
            has_ended.wait(_LATER_POLL_SECONDS)
    for run in runs:
        with contextlib.suppress(Exception):
            live.end(run)


def _rests() -> Iterator[float]:
    """Seconds to wait, each time that it is asked, for the process to keep to its share of a core.

    What the process has taken before it is first asked does not count.
    """
    began, taken = time.monotonic(), time.process_time()
    while True:
        over = time.process_time() - taken - _BURST_SECONDS
        yield max(0.0, over / _SHARE - (time.monotonic() - began))


@dataclass
class _LiveRun:
    """A run in training: in the run store a checkpoint first, then a folder; and its MLflow run."""

    record: Record  # as far as it is known
    spacing: int  # of the epochs that are shown until it has ended
    checkpoint: Path
    folder: Path
    mlflow_id: str = ""  # until it is begun
    logged: set[tuple[str, int]] = field(default_factory=set)  # key and step of its points
    read: int = 0  # when the checkpoint was written that was read last, in ns
    signed: float = 0.0  # last sign of life of the training in it, by time.monotonic()

    @property
    def has_ended(self) -> bool:
        return (self.folder / SPEC).exists()

    @property
    def has_points(self) -> bool:
        return self.has_ended or self.checkpoint.exists()

    def has_news(self) -> bool:
        """True if its checkpoint is another than it was when this was last asked."""
        before = self.read
        with contextlib.suppress(OSError):  # it is being replaced
            self.read = self.checkpoint.stat().st_mtime_ns
        return self.read != before

    def points(self) -> list[Point]:
        """The points of its history, or of its checkpoint; none where that is being replaced."""
        if self.has_ended:
            most = self.record.curve_points
            return record_types.read_curves(self.folder, writer.now_ms(), most)[0]
        try:
            with np.load(self.checkpoint, allow_pickle=False) as archive:
                epochs = archive["epochs"]
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
            return []
        if epochs.ndim != 2 or epochs.shape[1] < 4:
            return []
        # The history holds a float32's own shortest form.
        columns = epochs[:, :2].astype(np.float32)
        ended = record_types.milliseconds(epochs[:, 3])
        return [
            Point(key, float(str(value)), ended[row], row + 1)
            for row in range(0, len(columns), self.spacing)
            for key, value in zip(("loss", "val_loss"), columns[row], strict=True)
        ]


def _live_runs(params: Params, named: Iterable[Mapping[str, Any]], folder: Path) -> list[_LiveRun]:
    """The runs that a training names by label, id and fingerprint; ``folder``: the run store."""
    by_label = {run.label: run for run in params.runs}
    runs = []
    for name in named:
        run = by_label.get(name["label"])
        if run is None:
            raise InputError("params.yaml", f"has no run {name['label']} any more")
        params_of_run = descriptions.setting_params(params, run.setting)
        spec = RunSpec.parse(name["fingerprint"])
        record = run_record(params_of_run, run, spec, params.tracking.curve_points)
        checkpoint = folder / CHECKPOINTS / f"{name['id']}.npz"
        spacing = record_types.curve_spacing(spec.train.epochs, params.tracking.curve_points)
        runs.append(_LiveRun(record, spacing, checkpoint, folder / name["id"]))
    return runs


class _LiveWriter:
    """The project's MLflow experiment, to which the runs of a training process are written."""

    def __init__(self, params: Params, training: int) -> None:
        location, name = store.locate(params.tracking), params.tracking.experiment
        if location.database is not None and not location.database.exists():
            with store.publisher_lock(location):
                store.create_database(location)
        state = store.read_state(location, params.tracking)
        if state.is_deleted:
            raise InputError(f"the experiment {name!r}", "is deleted")
        root = project_root()
        self._writer = writer.ExperimentWriter(
            location, name, state, root, is_current=Path.cwd() == root
        )
        self._stored = list(state.runs)
        self._training = training

    def write(self, run: _LiveRun) -> bool:
        """Write what is new of a run; True where there is nothing more to come of it."""
        has_ended = run.has_ended
        if not run.mlflow_id:
            if not run.has_points:
                return False
            if self._is_elsewhere(run):
                return True
            points = run.points()
            if not points:
                return has_ended
            info = self._writer.begin(run.record, points[0].timestamp, self._training, {})
            run.mlflow_id = str(info.run_id)
            run.signed = time.monotonic()
            self._writer.log(run.mlflow_id, (), run.record.params)
        if has_ended:
            self.end(run)
            return True
        if run.has_news():
            self._log(run, run.points())
        if time.monotonic() - run.signed > _SIGN_SECONDS:
            sign = writer.sign_of_life(self._training)
            self._writer.client.set_tag(run.mlflow_id, writer.WRITER, sign)
            run.signed = time.monotonic()
        return False

    def end(self, run: _LiveRun) -> None:
        """Complete a run that has ended, and leave none running."""
        if not run.mlflow_id:
            return
        status, end = "KILLED", None
        if run.has_ended:
            points = run.points()
            self._log(run, points)
            digest = writer.points_digest(points)
            self._writer.client.set_tag(run.mlflow_id, record_types.CURVES, digest)
            is_finished = read_saved_run(run.folder).status == "finished"
            status, end = "FINISHED" if is_finished else "FAILED", points[-1].timestamp
        self._writer.client.set_terminated(run.mlflow_id, status, end)

    def _is_elsewhere(self, run: _LiveRun) -> bool:
        """True if the run is published, or being written elsewhere; else its remains go."""
        for stored in [one for one in self._stored if one.record_id == run.record.record_id]:
            if stored.is_complete or writer.is_written_by_another(stored, self._training):
                return True
            self._stored.remove(stored)
            self._writer.discard(stored)
        return False

    def _log(self, run: _LiveRun, points: Iterable[Point]) -> None:
        new = [point for point in points if (point.key, point.step) not in run.logged]
        if new:
            self._writer.log(run.mlflow_id, new)
            run.logged |= {(point.key, point.step) for point in new}


if __name__ == "__main__":
    run_command(main)
