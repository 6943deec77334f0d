"""Where all populations train: it holds the data, and tells each worker what to do next."""

from __future__ import annotations

import abc
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.models.autoencoder import Variables
from offset_autoencoder.runs.files import Checkpoints, TrainedRun
from offset_autoencoder.runs.spec import Chunks
from offset_autoencoder.training.batches import Rows
from offset_autoencoder.training.helpers import Helpers
from offset_autoencoder.training.job import Job, Progress
from offset_autoencoder.training.population import Population, Weights

Array = NDArray[np.float32]
OnEpoch = Callable[[Sequence[Job]], None]


class Interrupted(Exception):
    """The training is to end in the middle of an epoch."""


@dataclass(frozen=True)
class Work:
    """The runs of one population that are to be trained.

    Attributes:
        population: What the jobs share.
        jobs: The runs.
        on_result: Takes each run as it ends, one call at a time; its errors end the training.
    """

    population: Population
    jobs: Sequence[Job]
    on_result: Callable[[Job, TrainedRun], None]


@dataclass
class Hall:
    """What all workers share.

    Attributes:
        x: (n, D) float32 training samples, in memory or mapped.
        x_validation: (m, D) float32 validation samples.
        on_epoch: Told, after each epoch, which runs trained in it.
        checkpoints: Where runs in training leave theirs.
        crews: One a population.
        stop: Set when the training is to end.
        lock: Held while a run's result is handed over.
        change: Told when a crew becomes ready.
    """

    x: Array
    x_validation: Array
    on_epoch: OnEpoch
    checkpoints: Checkpoints
    crews: list[Crew] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    change: threading.Condition = field(default_factory=threading.Condition)
    helpers: Helpers = field(init=False)

    def __post_init__(self) -> None:
        self.helpers = Helpers(self.change)

    def slices(self, samples: int, chunks: Chunks | None) -> Iterator[slice]:
        """Samples in their own order, as many at a time as a chunk holds."""
        step = samples if chunks is None else chunks.rows
        for start in range(0, samples, max(1, step)):
            yield slice(start, min(start + step, samples))

    def work(self) -> None:
        """Train run after run, until none is left to start; then help with those of others."""
        try:
            while (crew := self._next_crew()) and not self.stop.is_set():
                crew.train()
        except Interrupted:
            pass
        except BaseException:
            self.end()
            raise
        finally:
            self.helpers.leave()
        self.helpers.wait(self.stop.is_set)

    def end(self) -> None:
        """Have every worker end after the epoch in hand."""
        self.stop.set()
        with self.change:
            self.change.notify_all()

    def _next_crew(self) -> Crew | None:
        with self.change:
            while not self.stop.is_set():
                left = [crew for crew in self.crews if crew.waiting]
                if not left:
                    return None
                # What nobody prepares yet comes first: it gets ready while others train.
                for crew in left:
                    if not crew.ready and not crew.preparing:
                        crew.preparing = True
                        return crew
                for crew in left:
                    if crew.ready:
                        return crew
                self.change.wait()
        return None


class Crew(abc.ABC):
    """The runs of one population that wait for their training.

    Attributes:
        ready: Whether a worker can train at once, with nothing to compile.
        preparing: Whether one makes it so.
    """

    def __init__(self, hall: Hall, work: Work) -> None:
        self.hall, self.population, self.on_result = hall, work.population, work.on_result
        self.waiting = deque(work.jobs)
        self.ready = self.preparing = False
        self._initial: dict[int, Variables] = {}

    @abc.abstractmethod
    def train(self) -> None:
        """Train at least one of the runs that wait to its end, if any is left."""

    def initial(self, seed: int) -> Variables:
        """What a run of this seed starts from, made once."""
        with self.hall.lock:
            if seed not in self._initial:
                self._initial[seed] = self.population.initial(seed)
            return self._initial[seed]

    def next_job(self) -> Job | None:
        """The next run that waits; it waits no longer."""
        with self.hall.change:
            return self.waiting.popleft() if self.waiting else None

    def finish(self, progress: Progress, weights: Weights) -> None:
        """Hand over a run that has ended."""
        with self.hall.lock:
            self.on_result(progress.job, progress.result(weights))
        self.hall.checkpoints.remove(progress.job.id)


def ahead(chunks: Iterator[Rows]) -> Iterator[tuple[Rows, Rows | None]]:
    """Each chunk of rows, with the one that follows it."""
    chunk = next(chunks, None)
    while chunk is not None:
        following = next(chunks, None)
        yield chunk, following
        chunk = following
