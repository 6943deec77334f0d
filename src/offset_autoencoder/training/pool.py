"""Training of runs: grouped into populations, side by side, as many at a time as there are cores.

The pool decides which run trains when and on which thread, stops it, and writes its checkpoints.
A run's bytes depend on none of that.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import scipy.linalg.cython_blas  # noqa: F401  of the loops: to be there as its threads are limited
from threadpoolctl import threadpool_limits

from offset_autoencoder.cores import available_cores
from offset_autoencoder.models.graph import Variables
from offset_autoencoder.runs.files import Checkpoints, TrainedRun
from offset_autoencoder.training.batches import MOST_CHUNKED_RUNS
from offset_autoencoder.training.engine import (
    Array,
    Interrupted,
    Piece,
    Population,
    Slots,
    make_engine,
)
from offset_autoencoder.training.state import Job, Progress, SampleSizes, TrainingData

OnEpoch = Callable[[Sequence[Job]], None]
OpenJob = Callable[[], tuple[Job, TrainingData]]
Runs = list[Progress | None]  # slot by slot; None where a slot trains none


@dataclass(frozen=True)
class PopulationJobs:
    """Runs of one population to train.

    Attributes:
        jobs: Functions that open what each run is trained on as its turn comes, so that few splits
            are open at once: those that share one side by side.
        on_result: Takes each run as it ends, one call at a time; its errors end the training.
    """

    population: Population
    jobs: Sequence[OpenJob]
    on_result: Callable[[Job, TrainedRun], None]


def train_populations(
    populations: Sequence[PopulationJobs],
    sizes: SampleSizes,
    on_epoch: OnEpoch = lambda jobs: None,
    workers: int | None = None,
    *,
    checkpoints: Checkpoints = Checkpoints(),  # noqa: B008 - frozen
    stop: threading.Event | None = None,
) -> None:
    """Train every job of every population, handing each over as soon as it has ended.

    One population compiles while another trains. A run's bytes depend on no other run.

    Args:
        populations: The populations and their jobs.
        sizes: Sizes of the splits that the jobs open.
        on_epoch: Called after each epoch with the runs that trained in it.
        workers: Threads that train side by side; by default one per available core.
        checkpoints: Checkpoints that runs in training write, and go on from.
        stop: Set by another thread to end the training as Ctrl-C does, without an error.

    Raises:
        InputError: where the engine that a population names cannot train it.
        KeyboardInterrupt: after Ctrl-C, when every worker has finished the epoch in hand.
    """
    workers = workers or available_cores()
    trainer = Trainer(sizes, on_epoch, checkpoints, stop=stop or threading.Event())
    trainer.queues = [_Queue(trainer, jobs) for jobs in populations if jobs.jobs]
    if any(queue.population.chunks(sizes) for queue in trainer.queues):
        workers = min(workers, MOST_CHUNKED_RUNS)
    workers = min([workers, *(q.engine.most_workers or workers for q in trainer.queues)])
    if not trainer.queues:
        return
    # A product that several threads share rounds otherwise than one of a thread alone.
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(workers, thread_name_prefix="worker") as executor,
    ):
        trainer.idle.working = workers
        futures = [executor.submit(trainer.work) for _ in range(workers)]
        try:
            for future in futures:
                future.result()
        except BaseException:
            trainer.end()
            raise


def train_population(
    population: Population,
    jobs: Iterable[Job],
    x: Array,
    x_validation: Array,
    on_result: Callable[[Job, TrainedRun], None],
    *arguments: Any,
    **options: Any,
) -> None:
    """:func:`train_populations` of a single one, all of whose runs train on the same samples.

    ``x`` is (n, D) float32, in memory or mapped from a file, ``x_validation`` (m, D). The other
    arguments are those after ``sizes``.
    """
    data, sizes = TrainingData(x, x_validation), SampleSizes.of(x, x_validation)
    open_jobs = [partial(lambda job: (job, data), job) for job in jobs]
    jobs_of_one = [PopulationJobs(population, open_jobs, on_result)]
    train_populations(jobs_of_one, sizes, *arguments, **options)


@dataclass
class Trainer:
    """State that all workers share.

    Attributes:
        queues: One per population.
        stop: Set when the training is to end.
        lock: Held while a run's result is handed over.
        change: Notified when a queue becomes ready, or an idle worker is asked to help.
    """

    sizes: SampleSizes
    on_epoch: OnEpoch
    checkpoints: Checkpoints
    queues: list[_Queue] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    change: threading.Condition = field(default_factory=threading.Condition)
    idle: IdleWorkers = field(init=False)

    def __post_init__(self) -> None:
        self.idle = IdleWorkers(self.change, self.stop)

    def work(self) -> None:
        """Train run after run, until none is left to start; then help with those of others."""
        try:
            while (queue := self._next_queue()) and not self.stop.is_set():
                queue.train()
        except Interrupted:
            pass
        except BaseException:
            self.end()
            raise
        finally:
            self.idle.leave()
        self.idle.help_others()

    def end(self) -> None:
        """Have every worker end after the epoch in hand."""
        self.stop.set()
        with self.change:
            self.change.notify_all()

    def _next_queue(self) -> _Queue | None:
        with self.change:
            while not self.stop.is_set():
                waiting = [queue for queue in self.queues if queue.jobs]
                if not waiting:
                    return None
                # What nobody prepares yet comes first: it gets ready while others train.
                for queue in waiting:
                    if not queue.ready and not queue.preparing:
                        queue.preparing = True
                        return queue
                for queue in waiting:
                    if queue.ready:
                        return queue
                self.change.wait()
        return None


class _Queue:
    """The runs of one population that wait for their training.

    Attributes:
        ready: Whether a worker can train at once, with nothing to compile.
        preparing: Whether one compiles.
    """

    def __init__(self, trainer: Trainer, jobs: PopulationJobs) -> None:
        self.trainer, self.population, self.on_result = trainer, jobs.population, jobs.on_result
        self.jobs = deque(jobs.jobs)
        self.engine = make_engine(self.population, trainer.sizes, trainer.idle)
        self.ready, self.preparing = self.engine.is_compiled, False
        self._initial: dict[int, Variables] = {}

    def train(self) -> None:
        """Train runs side by side, as many as the engine takes, until all of them have ended.

        A slot is taken by the next run as soon as its run has ended, so that early stopping
        frees the machine at once; the others go on untouched.
        """
        jobs = [job for _ in range(self.engine.slots) if (job := self._next_job())]
        if not jobs:
            return
        empty = self.engine.slots - len(jobs)
        runs: Runs = [*(Progress(job) for job, _ in jobs), *[None] * empty]
        filled = jobs + jobs[:1] * empty  # slots that no run needs train a copy
        variables = [self._variables(job.seed) for job, _ in filled]
        slots = self.engine.start(variables, [data for _, data in filled])
        # Else the first runs' splits would stay open until the last run has ended.
        del jobs, filled, variables
        for slot, run in enumerate(runs):
            if run:
                self._restore(slots, slot, run)
        self._end_runs(slots, runs)
        while any(runs):
            try:
                self._train_epoch(slots, runs)
            except Interrupted:
                self._checkpoint(slots, runs)  # as the epoch found them
                raise
            stopping = self.trainer.stop.is_set()
            self._checkpoint(slots, runs, due=not stopping)
            if stopping:
                return
            self._end_runs(slots, runs)

    def _train_epoch(self, slots: Slots, runs: Runs) -> None:
        started = time.perf_counter()
        training = [run for run in runs if run]
        spare = training[0].job
        losses = slots.train_epoch(
            [run.job if run else spare for run in runs],
            [len(run.epochs) + 1 if run else 1 for run in runs],
        )
        seconds, ended = (time.perf_counter() - started) / len(training), time.time()
        slots.keep_best(
            [
                run is not None and run.record(losses[:, slot].tolist(), ended, seconds)
                for slot, run in enumerate(runs)
            ]
        )
        if not self.ready:
            with self.trainer.change:
                self.ready = True
                self.trainer.change.notify_all()
        self.trainer.on_epoch([run.job for run in training])

    def _end_runs(self, slots: Slots, runs: Runs) -> None:
        """Hand over every run that has ended, and put those that wait in their slots."""
        for slot in range(len(runs)):
            # One that goes on from a checkpoint may have ended before.
            while (run := runs[slot]) and run.should_stop:
                self._hand_over(run, slots, slot)
                runs[slot] = None
                # Where no other is left, the worker looks first whether one is to be compiled.
                if any(runs) and (opened := self._next_job()):
                    job, data = opened
                    slots.put(slot, self._variables(job.seed), data)
                    runs[slot] = run = Progress(job)
                    self._restore(slots, slot, run)

    def _hand_over(self, run: Progress, slots: Slots, slot: int) -> None:
        weights = slots.best(slot)
        with self.trainer.lock:
            self.on_result(run.job, run.result(weights, self.engine.name))
        self.trainer.checkpoints.remove(run.job.id)

    def _checkpoint(self, slots: Slots, runs: Runs, *, due: bool = False) -> None:
        """Write checkpoints of the runs: of all of them, or of those of which one is due."""
        for slot, run in enumerate(runs):
            if run and (run.checkpoint_due or not due):
                self.trainer.checkpoints.write(run.job.id, {**slots.state(slot), **run.state()})
                run.checkpoint = time.monotonic()

    def _restore(self, slots: Slots, slot: int, run: Progress) -> None:
        like = {**slots.state(slot), **run.state()}
        if state := self.trainer.checkpoints.read(run.job.id, like):
            run.restore(state)
            slots.restore(slot, state)

    def _next_job(self) -> tuple[Job, TrainingData] | None:
        with self.trainer.change:
            open_job = self.jobs.popleft() if self.jobs else None
        return open_job() if open_job else None

    def _variables(self, seed: int) -> Variables:
        """Initial variables of a run of this seed, made once."""
        with self.trainer.lock:
            if seed not in self._initial:
                self._initial[seed] = self.engine.initial(seed)
            return self._initial[seed]


@dataclass
class IdleWorkers:
    """Workers with no run of their own, which help with a run that several threads can train.

    Attributes:
        change: Held while the others are looked at; notified when one of them changes.
        stop: Set when the training is to end.
        working: Number of workers that still have runs; when none has, the idle ones end.
        idle: Number of workers to ask: they wait, and there is no request for them.
    """

    change: threading.Condition
    stop: threading.Event
    working: int = 0
    idle: int = 0
    _requests: deque[tuple[Callable[[], None], Future[None]]] = field(default_factory=deque)

    @property
    def has_idle(self) -> bool:
        """True if there is anybody to ask, just now."""
        return self.idle > 0

    @property
    def stopping(self) -> bool:
        """True if the training is to end."""
        return self.stop.is_set()

    def help_others(self) -> None:
        """Help whoever asks, until nobody has a run any more or the training is to end.

        Whatever ends meanwhile, each request finds its worker: others wait for it.
        """
        with self.change:
            self.idle += 1
        while True:
            with self.change:
                self.change.wait_for(
                    lambda: self._requests or not self.working or self.stop.is_set()
                )
                if not self._requests:
                    self.idle -= 1
                    return
                piece, done = self._requests.popleft()
            error = None
            try:
                piece()
            except BaseException as raised:
                error = raised
            # It can be asked again before anybody hears that it is done: whoever asked it has
            # more to do at once.
            with self.change:
                self.idle += 1
            done.set_exception(error)

    def leave(self) -> None:
        """Take note that a worker has no run any more."""
        with self.change:
            self.working -= 1
            self.change.notify_all()

    def share(self, piece: Piece, most: int) -> None:
        """Do a piece of work with as many idle workers as there are.

        Args:
            piece: Called with the number of a thread and the number of threads, by each of them.
            most: Number of threads that may share it.

        Raises:
            Exception: what ``piece`` raises; where several do, the first thread's.
        """
        with self.change:
            helping = min(most - 1, self.idle)
            self.idle -= helping
            done = [Future[None]() for _ in range(helping)]
            for thread, future in enumerate(done, start=1):
                self._requests.append((partial(piece, thread, 1 + helping), future))
            if helping:
                self.change.notify_all()
        try:
            piece(0, 1 + helping)
        finally:
            errors = [future.exception() for future in done]
        for error in errors:
            if error is not None:
                raise error
