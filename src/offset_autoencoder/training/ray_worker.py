"""What of a training on a Ray cluster runs on its nodes: shares of runs, and the mailbox.

A share is trained on a node as any training is, into a temporary folder, and its files are sent.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import importlib.metadata
import os
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import ray

from offset_autoencoder.config.schema import Network
from offset_autoencoder.errors import InputError
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.runs.code_digest import code_digest, library_versions
from offset_autoencoder.runs.files import Checkpoints, State, TrainedRun, write_run
from offset_autoencoder.runs.spec import IdentifiedRun, RunSpec
from offset_autoencoder.training.ray_arrays import SharedData, open_shared
from offset_autoencoder.training.state import Job, SampleSizes, TrainingData
from offset_autoencoder.user_code import digest_of_user_code

Letter = tuple[str, tuple[Any, ...]]
"""A method of the driver and its arguments."""

INTRA_OP_THREADS = "TF_NUM_INTRAOP_THREADS"
MOST_DEATHS = 2
"""Workers that a run may kill."""
_SEND_SECONDS = 0.2  # between two counts of epochs


@dataclass(frozen=True)
class Share:
    """Runs of a task.

    Attributes:
        number: Tells shares apart.
        data: By seed, what the runs of that seed train on.
        checkpoints: By id, the checkpoints of runs that an earlier training began.
        intra_op_threads: Threads of TensorFlow on the driver, by which it cuts its sums.
    """

    number: int
    runs: Sequence[IdentifiedRun]
    data: Mapping[int, SharedData]
    sizes: SampleSizes
    checkpoints: Mapping[str, bytes]
    intra_op_threads: str


@dataclass(frozen=True)
class Beginning:
    """What a task is told as it begins, the first time or after a worker died.

    Attributes:
        runs: Ids that are still to be trained.
        suspects: Those of them that were in hand as a worker died: each is trained by itself.
        checkpoints: By id, where they stood.
        processors: By engine, the fingerprint of the node's processor, where it is known.
        is_stopping: Whether the training is to end.
    """

    runs: list[str]
    suspects: list[str]
    checkpoints: dict[str, bytes]
    processors: dict[str, str]
    is_stopping: bool


@dataclass
class _Attempt:
    """The last task of a share: its node by id and address, and the runs in its hand."""

    node: str
    host: str
    in_hand: set[str] = field(default_factory=set)


class Mailbox:
    """An actor on the driver's node: takes in what tasks send, for the driver to fetch.

    It remembers what a task has to know that begins, so that Ray may start each again.
    """

    def __init__(self) -> None:
        self._letters: list[Letter] = []
        self._attempts: dict[int, _Attempt] = {}
        self._ended: set[str] = set()  # finished, or failed
        self._checkpoints: dict[str, bytes] = {}
        self._deaths: dict[str, list[str]] = {}  # by id, the nodes on which it was in hand
        self._processors: dict[str, dict[str, str]] = {}  # by node and engine
        self._chunks: dict[tuple[str, int], asyncio.Future[Any]] = {}
        self._is_stopping = False

    # What the driver calls.

    async def take(self) -> list[Letter]:
        """Letters to the driver since it last asked."""
        letters, self._letters = self._letters, []
        return letters

    async def stop(self) -> set[int]:
        """Have every task end after the epoch in hand; numbers of the shares that have begun."""
        self._is_stopping = True
        return {*self._attempts}

    async def give_chunk(self, digest: str, index: int, refs: list[Any]) -> None:
        """Answer :meth:`chunk`."""
        self._chunks.pop((digest, index)).set_result(refs)

    # What tasks call.

    async def begin(self, share: int, ids: Sequence[str], node: str, host: str) -> Beginning:
        """Begin a share, or begin it again after its worker died."""
        living = {entry["NodeID"] for entry in ray.nodes() if entry["Alive"]}
        if (last := self._attempts.get(share)) is not None:
            for run_id in last.in_hand:
                self._deaths.setdefault(run_id, []).append(last.node)
        self._attempts[share] = _Attempt(node, host)
        # A node that went away, which may be known late, took its workers along.
        deaths = {
            run_id: sum(where in living for where in self._deaths.get(run_id, ()))
            for run_id in ids
            if run_id not in self._ended
        }
        for run_id in [run_id for run_id in deaths if deaths[run_id] >= MOST_DEATHS]:
            del deaths[run_id]
            self._ended.add(run_id)
            self._tell("fail", run_id, last.host if last else host)
        return Beginning(
            runs=[*deaths],
            suspects=[run_id for run_id in deaths if self._deaths.get(run_id)],
            checkpoints={id: self._checkpoints[id] for id in deaths if id in self._checkpoints},
            processors={**self._processors.get(node, {})},
            is_stopping=self._is_stopping,
        )

    async def take_up(self, share: int, run_ids: Sequence[str]) -> None:
        """Note that runs are in hand."""
        self._attempts[share].in_hand.update(run_ids)

    async def count(self, epochs: Mapping[str, int]) -> bool:
        """Take epochs trained, by id; True if the training is to end."""
        if epochs:
            self._tell("count", epochs)
        return self._is_stopping

    async def checkpoint(self, run_id: str, content: bytes) -> None:
        """Take a checkpoint."""
        self._checkpoints[run_id] = content
        self._tell("checkpoint", run_id, content)

    async def finish(
        self, share: int, run_id: str, files: Mapping[str, bytes], seconds: float
    ) -> None:
        """Take the files of a run that has ended, and the seconds of its epochs."""
        self._attempts[share].in_hand.discard(run_id)
        self._checkpoints.pop(run_id, None)
        self._ended.add(run_id)
        self._tell("finish", run_id, files, seconds)

    async def processor(self, node: str, host: str, engine: str, fingerprint: str) -> None:
        """Take the fingerprint of a node's processor under an engine."""
        self._processors.setdefault(node, {})[engine] = fingerprint
        self._tell("processor", host, engine, fingerprint)

    async def chunk(self, digest: str, index: int) -> list[Any]:
        """A chunk of the array of a digest, as a list of its reference."""
        if (digest, index) not in self._chunks:
            self._chunks[digest, index] = asyncio.get_running_loop().create_future()
            self._tell("chunk", digest, index)
        return await asyncio.shield(self._chunks[digest, index])

    def _tell(self, method: str, *arguments: Any) -> None:
        self._letters.append((method, arguments))


def train_share(share: Share, mailbox: Any) -> tuple[str, str, str | None] | None:
    """Train a share on a core of this node, sending each run as soon as it has ended.

    Returns:
        Arguments of the error, where there is bad input.
    """
    context = ray.get_runtime_context()
    node, host = context.get_node_id(), ray.util.get_node_ip_address()
    try:
        check_versions(share.runs[0].spec, host)
        # What kills a worker before it begins is no run's fault.
        # TensorFlow cuts sums by its threads: as many as the driver has give the driver's bytes.
        os.environ |= {INTRA_OP_THREADS: share.intra_op_threads, "CUDA_VISIBLE_DEVICES": ""}
        from offset_autoencoder.training import schedule

        ids = [run.id for run in share.runs]
        beginning: Beginning = ray.get(mailbox.begin.remote(share.number, ids, node, host))
        if beginning.is_stopping or not beginning.runs:
            return None
        with _Outbox(share, beginning, mailbox, node, host) as outbox:
            alone = {*beginning.suspects}
            together = [run for run in share.runs if run.id in {*beginning.runs} - alone]
            groups = [together] if together else []
            groups += [[run] for run in share.runs if run.id in alone]
            for runs in groups:
                if not outbox.stop.is_set():
                    outbox.take_up([run.id for run in runs])
                    for run in runs:
                        check_function(run.spec.architecture, host)
                    outbox.train(schedule.hand_over_runs, runs)
    except InputError as error:
        place = "" if host in error.where else f" (on node {host})"
        return error.where, f"{error.what}{place}", error.hint
    return None


class _Outbox:
    """What a task sends to the mailbox while it trains.

    Attributes:
        stop: Set when the training is to end.
    """

    def __init__(
        self, share: Share, beginning: Beginning, mailbox: Any, node: str, host: str
    ) -> None:
        self.share, self.mailbox, self.node, self.host = share, mailbox, node, host
        self._processors = {**beginning.processors}
        self.stop, self._is_done = threading.Event(), threading.Event()
        self._epochs: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="offset-autoencoder-"))
        self._checkpoints = _SentCheckpoints(self._folder / "checkpoints", self._send_checkpoint)
        for run_id, content in {**share.checkpoints, **beginning.checkpoints}.items():
            self._checkpoints.write_bytes(run_id, content)
        self._thread = threading.Thread(target=self._send_epochs, daemon=True)

    def __enter__(self) -> _Outbox:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_done.set()
        self._thread.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def train(self, hand_over_runs: Callable[..., None], runs: Sequence[IdentifiedRun]) -> None:
        """Train runs, or as far as the training goes on."""
        options = {"workers": 1, "checkpoints": self._checkpoints, "stop": self.stop}
        hand_over_runs(runs, self._open, self.share.sizes, self._send_run, self._count, **options)

    def take_up(self, run_ids: Sequence[str]) -> None:
        """Tell that runs are in hand."""
        ray.get(self.mailbox.take_up.remote(self.share.number, run_ids))

    def _open(self, seed: int) -> TrainingData:
        return open_shared(self.share.data[seed], self.mailbox)

    def _count(self, jobs: Sequence[Job]) -> None:
        with self._lock:
            self._epochs.update(job.id for job in jobs)

    def _send_epochs(self) -> None:
        try:
            while not self._is_done.wait(_SEND_SECONDS):
                with self._lock:
                    epochs, self._epochs = self._epochs, Counter()
                if ray.get(self.mailbox.count.remote(dict(epochs))):
                    self.stop.set()
        except ray.exceptions.RayError:  # the driver is gone
            self.stop.set()

    def _send_checkpoint(self, run_id: str, content: bytes) -> None:
        ray.get(self.mailbox.checkpoint.remote(run_id, content))

    def _send_run(self, run: IdentifiedRun, trained: TrainedRun, names: list[str]) -> None:
        folder = self._folder / run.id
        write_run(folder, run.spec, trained, names, self._processor(str(trained.engine)))
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        seconds = float(trained.seconds.sum())
        ray.get(self.mailbox.finish.remote(self.share.number, run.id, files, seconds))
        shutil.rmtree(folder)

    def _processor(self, engine: str) -> str:
        if engine not in self._processors:
            self._processors[engine] = found = processor_fingerprint(engine)
            ray.get(self.mailbox.processor.remote(self.node, self.host, engine, found))
        return self._processors[engine]


@dataclass(frozen=True)
class _SentCheckpoints(Checkpoints):
    """Checkpoints of which each is sent when it is written."""

    send: Callable[[str, bytes], None] = lambda run_id, content: None

    def write(self, run_id: str, state: State) -> None:
        super().write(run_id, state)
        if (content := self.read_bytes(run_id)) is not None:
            self.send(run_id, content)


def check_versions(spec: RunSpec, host: str) -> None:
    """Check that this node has the code and the libraries of the driver, which are in every spec.

    Raises:
        InputError: naming the node and every difference.
    """
    try:
        here = {"the code that decides weights": code_digest(), **library_versions()}
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(f"node {host}", f"lacks {error.name}", _INSTALL) from None
    there = {"the code that decides weights": spec.code, **spec.versions}
    differing = [
        f"{name} {here[name][:12]} in place of {there[name][:12]}"
        for name in there
        if here[name] != there[name]
    ]
    if differing:
        raise InputError(f"node {host}", f"has {', '.join(differing)}", _INSTALL)


def check_function(architecture: Architecture, host: str) -> None:
    """Check that a user's function is that of the driver, where it is none of ``src/custom``, too.

    Raises:
        InputError: naming the node and the function.
    """
    if (name := architecture.function) is None:
        return
    if digest_of_user_code(f"models with function {name}", name) != architecture.function_sha256:
        what, mend = f"has other code of {name}", "install on it what the training was started with"
        raise InputError(f"node {host}", what, mend)


_INSTALL = "install on it what requirements.lock says, as where the training was started"


@functools.cache
def processor_fingerprint(engine: str) -> str:
    """Digest of a short training on random numbers: others mean that a processor rounds otherwise.

    The engine ``numba`` trains a dense network, the others a convolutional one.
    """
    from offset_autoencoder.training.engine import Population
    from offset_autoencoder.training.pool import train_population

    generator, weights = np.random.default_rng(0), hashlib.sha256()
    x = generator.random((300, 49), np.float32)
    offset = generator.standard_normal((300, 12), np.float32)
    kind = "dense" if engine == "numba" else "convolutional"
    network = Network(kind=kind, latent_dim=12, hidden=[70], filters=[4, 8])
    job = Job("fingerprint", 0, offset, offset[:60], 0.1, 1e-2, epochs=3, patience=None)

    def add(job: Job, trained: TrainedRun) -> None:
        for array in trained.weights or ():
            weights.update(array.tobytes())

    shape = [7, 7] if kind == "convolutional" else None
    architecture = Architecture(network=network, input_dim=49, image_shape=shape)
    population = Population(architecture, 32, "adam", engine=engine)
    train_population(population, [job], x, x[:60], add, workers=1)
    return weights.hexdigest()
