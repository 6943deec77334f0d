"""The Ray executor: runs trained on a cluster without a shared folder.

The driver, this process, alone owns the run store. It cuts the runs into shares, a task each, and
writes down what their tasks send to an actor on its node (:class:`.ray_worker.Mailbox`).
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from offset_autoencoder.errors import InputError, InputErrors, message_of
from offset_autoencoder.runs.files import CHECKPOINTS, Checkpoints, read_history, write_files
from offset_autoencoder.runs.spec import IdentifiedRun
from offset_autoencoder.training.ray_connection import README, connected, refuse_if_open
from offset_autoencoder.training.schedule import Report, RunProgress
from offset_autoencoder.training.state import SampleSizes, TrainingData

SHARE_SECONDS = 10.0
"""Seconds of training in a share, about."""
_LEAST_SECONDS = 2.5  # of the last shares, which are smaller so that all cores end together
_WAITING_SHARES = 2  # tasks beyond the number of cores, so that none waits for the driver
_RETRIES = 30  # of a task whose worker or node goes away
# Each look at the letters takes a core milliseconds; a node that waits for data has it sooner.
_POLL_SECONDS = {False: 0.5, True: 0.02}
_REFRESH_SECONDS = 1.0


def train_runs(
    runs: Sequence[IdentifiedRun],
    data: Callable[[int], TrainingData],
    sizes: SampleSizes,
    store: Path,
    report: Report,
) -> None:
    """Train runs on the Ray cluster of ``RAY_ADDRESS``, or of a local one where it names none.

    Arguments are those of :func:`.schedule.train_runs`.

    Raises:
        InputError: where there is no such cluster, it is open to anybody, a node has other code or
            libraries, or runs are left untrained: the others are kept.
        KeyboardInterrupt: after Ctrl-C, when every task has finished the epoch in hand.
    """
    with connected() as ray:
        try:
            driver = _Driver(ray, runs, data, sizes, store, report)
            with _interrupt_noted() as is_interrupted:
                driver.train(is_interrupted)
        except ray.exceptions.RayError as error:  # the head or the mailbox is gone
            mend = "finished runs are kept: run the command again"
            raise InputError("ray", message_of(error)[:300], mend) from error
        if is_interrupted():
            raise KeyboardInterrupt
        driver.raise_failures()


@contextlib.contextmanager
def _interrupt_noted() -> Iterator[Callable[[], bool]]:
    """Have Ctrl-C noted, and not raised, while the block runs; a second one is raised.

    Yields:
        Whether there was one.
    """
    noted = []

    def note(*_: object) -> None:
        noted.append(True)
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(noted)
    finally:
        signal.signal(signal.SIGINT, before)


class _Driver:
    """The state of a training, of which this process alone writes the run store.

    Public methods below :meth:`raise_failures` are called by letters of tasks.
    """

    def __init__(
        self,
        ray: Any,
        runs: Sequence[IdentifiedRun],
        data: Callable[[int], TrainingData],
        sizes: SampleSizes,
        store: Path,
        report: Report,
    ) -> None:
        from offset_autoencoder.training import ray_arrays, ray_worker

        self.ray, self.worker, self.sizes, self.store = ray, ray_worker, sizes, store
        self.runs = {run.id: run for run in runs}
        self.plan, self.progress = SharePlan(list(self.runs.values())), RunProgress(runs, report)
        self.checkpoints = Checkpoints(store / CHECKPOINTS)
        self.unfinished, self.failed = set(self.runs), dict[str, str]()
        self.processors, self.tasks, self.shares = dict[str, set[str]](), dict[Any, int](), 0
        self.cores, self._seen, self._warned = 0.0, -_REFRESH_SECONDS, False
        own = os.environ.get(ray_worker.INTRA_OP_THREADS)
        self.intra_op_threads = own or str(_tensorflow_threads())
        limits = [run.run.setting.train.memory_limit for run in runs]
        self.arrays = ray_arrays.SharedArrays(data, [limit for limit in limits if limit])
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        actor = ray.remote(num_cpus=0, scheduling_strategy=strategy)(ray_worker.Mailbox)
        refuse_if_open(ray)
        self.mailbox = actor.remote()
        self._task = ray.remote(num_cpus=1, max_retries=_RETRIES)(ray_worker.train_share)

    def train(self, is_interrupted: Callable[[], bool]) -> None:
        """Train the runs, until all have ended or, after Ctrl-C, those in training have stopped.

        Raises:
            Exception: the first that a task raised, once the others have stopped.
        """
        is_stopping = is_waited_for = False
        errors = list[Exception]()
        while self.tasks or (self.plan.waiting and not is_stopping):
            if (is_interrupted() or errors) and not is_stopping:
                is_stopping = True
                self._stop()
            if not is_stopping:
                try:
                    self._submit()
                except InputError as error:
                    errors.append(error)
            if self.tasks:
                ended, _ = self.ray.wait([*self.tasks], timeout=_POLL_SECONDS[is_waited_for])
            else:
                ended = []
                time.sleep(_POLL_SECONDS[False])
            is_waited_for = self._open_letters()
            for task in ended:
                try:
                    self._end(task)
                except Exception as error:
                    errors.append(error)
        self._open_letters()
        if errors:
            raise errors[0]

    def _stop(self) -> None:
        """Have every task end after the epoch in hand, and those that wait for a core not begin."""
        begun = self.ray.get(self.mailbox.stop.remote())
        for task in [task for task, number in self.tasks.items() if number not in begun]:
            self.ray.cancel(task)
            del self.tasks[task]

    def raise_failures(self) -> None:
        """Raise what kept runs from being trained, if anything did.

        Raises:
            InputErrors: a line for each run that killed its workers, and one for what is left.
        """
        errors = []
        for run in [run for run in self.runs.values() if run.id in self.failed]:
            label, host = f"{run.run.label} ({run.id[:12]})", self.failed[run.id]
            what = f"killed its worker {self.worker.MOST_DEATHS} times, the last on node {host}"
            errors.append(InputError(label, what, "the other runs are kept; is memory enough?"))
        if self.unfinished:
            what = f"{len(self.unfinished)} runs are not trained, as workers or nodes went away "
            mend = "finished runs are kept: run the command again"
            errors.append(InputError("ray", f"{what}{_RETRIES + 1} times", mend))
        if errors:
            raise InputErrors(errors)

    def count(self, epochs: dict[str, int]) -> None:
        """Count epochs trained, by id."""
        self.progress.count(epochs)

    def checkpoint(self, run_id: str, content: bytes) -> None:
        """Keep a checkpoint, from which this training or the next goes on."""
        if run_id in self.unfinished:
            self.checkpoints.write_bytes(run_id, content)

    def finish(self, run_id: str, files: dict[str, bytes], seconds: float) -> None:
        """Keep a run, if its files are whole."""
        if run_id not in self.runs or not write_files(self.store / run_id, files):
            return
        self.checkpoints.remove(run_id)
        if run_id in self.unfinished:
            self.unfinished.remove(run_id)
            self.plan.measure(self.runs[run_id], seconds)
            lowest = float(read_history(self.store / run_id)["val_loss"].min())
            self.progress.end(run_id, lowest if math.isfinite(lowest) else None)

    def fail(self, run_id: str, host: str) -> None:
        """Give up a run that killed its workers, the last on this node."""
        self.failed[run_id] = host
        self.unfinished.discard(run_id)
        self.progress.end(run_id)

    def processor(self, host: str, engine: str, fingerprint: str) -> None:
        """Warn of a processor that rounds otherwise than this machine's."""
        if engine not in self.processors:
            self.processors[engine] = {self.worker.processor_fingerprint(engine)}
        if fingerprint not in self.processors[engine]:
            self.processors[engine].add(fingerprint)
            what = "rounds otherwise than this one: its runs may differ in the last digits"
            _warn(f"the processor of node {host} {what} (processor in spec.json says whose)")

    def chunk(self, digest: str, index: int) -> None:
        """Send a chunk of an array that nodes keep in a file."""
        self.mailbox.give_chunk.remote(digest, index, [self.arrays.chunk(digest, index)])

    def _open_letters(self) -> bool:
        """Do what the letters ask; True where a task waits for it."""
        letters = self.ray.get(self.mailbox.take.remote())
        for method, arguments in letters:
            getattr(self, method)(*arguments)
        return any(method == "chunk" for method, _ in letters)

    def _submit(self) -> None:
        now = time.monotonic()
        if now - self._seen >= _REFRESH_SECONDS:  # nodes come and go
            refuse_if_open(self.ray)
            self.cores, self._seen = self.ray.cluster_resources().get("CPU", 0.0), now
            if not self.cores and not self._warned:
                _warn("the cluster has no cores: the training waits for a node that has")
                self._warned = True
        while self.plan.waiting and len(self.tasks) < self.cores + _WAITING_SHARES:
            runs = self.plan.next_share(self.cores)
            data = self.arrays.of(runs, varies=self.sizes.varies)
            states = {run.id: self.checkpoints.read_bytes(run.id) for run in runs}
            checkpoints = {id: state for id, state in states.items() if state is not None}
            self.shares += 1
            share = self.worker.Share(
                self.shares, runs, data, self.sizes, checkpoints, self.intra_op_threads
            )
            self.tasks[self._task.remote(share, self.mailbox)] = self.shares

    def _end(self, task: Any) -> None:
        """Take note of the end of a task.

        Raises:
            InputError: bad input that it met.
            Exception: whatever else it raised. That its workers went away is seen by its runs.
        """
        del self.tasks[task]
        errors = self.ray.exceptions
        try:
            bad_input = self.ray.get(task)
        except errors.RayTaskError as error:
            raise getattr(error, "cause", None) or error from error
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError):
            return
        except errors.RayError as error:
            raise InputError("ray", message_of(error)[:300], README) from error
        if bad_input is not None:
            raise InputError(*bad_input)


def _tensorflow_threads() -> int:
    """Threads that TensorFlow takes here for one operation, where nobody says otherwise."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class SharePlan:
    """Runs that wait, cut into shares of about :data:`SHARE_SECONDS` as cores become free.

    What a run takes is told by those of its architecture that have ended. Before any has, a share
    is one run; an architecture of which none has ended is taken for the slowest of the others.

    Attributes:
        waiting: Runs in no share yet: those of an architecture one after the other, by seed.
    """

    def __init__(self, runs: Sequence[IdentifiedRun]) -> None:
        keys = {key: index for index, key in enumerate(dict.fromkeys(map(_architecture, runs)))}
        self.waiting = deque(sorted(runs, key=lambda r: (keys[_architecture(r)], r.run.seed)))
        self._epochs = sum(run.run.setting.train.epochs for run in runs)  # of those that wait
        self._measured: dict[str, tuple[float, int]] = {}  # seconds, and epochs at most

    def measure(self, run: IdentifiedRun, seconds: float) -> None:
        """Learn what a run took."""
        total, epochs = self._measured.get(_architecture(run), (0.0, 0))
        epochs += run.run.setting.train.epochs
        self._measured[_architecture(run)] = total + seconds, epochs

    def next_share(self, cores: float) -> list[IdentifiedRun]:
        """The next runs: at least one, and fewer at the end, so that all cores end together."""
        rates = {key: seconds / epochs for key, (seconds, epochs) in self._measured.items()}
        if not rates:
            return [self._take()]
        slowest = max(rates.values())
        mean = sum(rates.values()) / len(rates)
        left = mean * self._epochs / (2 * max(1.0, cores))
        room = min(SHARE_SECONDS, max(_LEAST_SECONDS, left))
        runs: list[IdentifiedRun] = []
        while self.waiting and (room > 0 or not runs):
            runs.append(run := self._take())
            room -= rates.get(_architecture(run), slowest) * run.run.setting.train.epochs
        return runs

    def _take(self) -> IdentifiedRun:
        run = self.waiting.popleft()
        self._epochs -= run.run.setting.train.epochs
        return run


def _architecture(run: IdentifiedRun) -> str:
    return run.spec.architecture.key


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)
