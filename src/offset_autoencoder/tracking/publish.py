"""Bring the MLflow store in line with the project's files."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from offset_autoencoder.config import Params
from offset_autoencoder.errors import InputError
from offset_autoencoder.paths import project_root
from offset_autoencoder.tracking.artifacts import are_lost
from offset_autoencoder.tracking.in_training import is_in_training
from offset_autoencoder.tracking.location import Location, locate
from offset_autoencoder.tracking.moved import old_place, take_along
from offset_autoencoder.tracking.plan import Plan, Step, is_in_place, make_plan
from offset_autoencoder.tracking.records import Record, Which
from offset_autoencoder.tracking.state import StoreState, read_state
from offset_autoencoder.tracking.tree import read_records

if TYPE_CHECKING:
    from offset_autoencoder.tracking.store import Store

# Fewer are done before a progress bar could be read.
_WORTH_A_BAR = 5
# Of bringing in line and looking again; one is enough unless others write at the same time.
_ROUNDS = 3


@dataclass(frozen=True)
class Outcome:
    """What a publication did.

    Attributes:
        location: The store.
        experiment: The MLflow experiment's name.
        plan: What had to be done, and was.
    """

    location: Location
    experiment: str
    plan: Plan

    @property
    def summary(self) -> str:
        """One line: ``published: 160 runs (12 new, 3 updated, 2 retired) to ...``."""
        plan = self.plan
        total = plan.runs("create", "update", "keep")
        runs = "run" if total == 1 else "runs"
        if plan.is_nothing:
            return f"published: {total} {runs}, nothing new"
        retired = sum(present.which[0] == "run" for present in plan.retire)
        counts = {"new": plan.runs("create"), "updated": plan.runs("update"), "retired": retired}
        said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        return (
            f"published: {total} {runs} ({said or 'the experiment brought in line'}) "
            f"to {self.location.shown} experiment {self.experiment}"
        )


def publish(params: Params, root: Path = Path()) -> Outcome:
    """Bring the store in line with the files, each run exactly once.

    MLflow is imported only where something is to be done. Publishers on one machine wait for
    each other; one that was killed leaves at most one half-written run, which the next replaces.
    What a temporary clone of DVC's publishes is not current, and takes nothing from what is.

    Args:
        params: The project's params.
        root: The project's folder.

    Raises:
        InputError: where a file is missing or damaged, or the store cannot be reached.
    """
    publication = _Publication(
        records=read_records(params, root),
        location=locate(params.tracking),
        experiment=params.tracking.experiment,
        root=root,
        is_workspace=root.resolve() == project_root(),
    )
    _, plan = publication.compare()
    if not plan.is_nothing:
        with locked(publication.location):
            plan = publication.carry_out()
    return Outcome(publication.location, publication.experiment, plan)


@dataclass(frozen=True)
class _Publication:
    records: tuple[Record, ...]
    location: Location
    experiment: str
    root: Path
    is_workspace: bool

    def compare(self) -> tuple[StoreState, Plan]:
        """What the store holds, and what has to be done."""
        state = read_any_state(self.location, self.experiment)
        if state.is_deleted:
            raise InputError(
                f"MLflow store {self.location.shown}",
                f"the experiment {self.experiment!r} is deleted",
                f"bring it back by 'mlflow experiments restore --experiment-id "
                f"{state.experiment_id}', or give tracking.experiment another name",
            )
        plan = make_plan(
            self.records, state, is_workspace=self.is_workspace, is_alive=is_in_training
        )
        if old_place(self.location, state):
            return state, replace(plan, steps=tuple(map(_again, plan.steps)))
        return state, replace(plan, steps=tuple(map(_with_files, plan.steps)))

    def carry_out(self) -> Plan:
        """Bring the store in line; the caller holds the lock. Gives what was done at first."""
        # Whoever held the lock may have published the same.
        state, plan = self.compare()
        if (old := old_place(self.location, state)) is not None:
            take_along(self.location, old)
            state, plan = self.compare()
        if plan.is_nothing:
            return plan
        from offset_autoencoder.tracking import store as mlflow_store
        from offset_autoencoder.tracking.provenance import provenance
        from offset_autoencoder.tracking.turns import turn
        from offset_autoencoder.tracking.write_ahead import write_back

        location = self.location
        with mlflow_store.explained(location), contextlib.ExitStack() as stack:
            mlflow_store.create_database(location)
            stack.callback(write_back, location.database)
            store = mlflow_store.Store.open(
                location,
                self.experiment,
                state,
                provenance(self.root),
                is_current=self.is_workspace,
            )
            check: Callable[[], None] = _nothing
            if location.database is None:
                check = stack.enter_context(turn(store.client, store.experiment_id))
                _, plan = self.compare()
            left, rounds = plan, 0
            # A server that answers a call twice, or a call whose answer is lost, may leave a
            # double: what was written is read again.
            while not left.is_nothing and rounds < _ROUNDS:
                with _progress(left.runs("create", "update")) as done:
                    _write(left, store, done, check)
                _, left = self.compare()
                rounds += 1
        return plan


def read_any_state(location: Location, experiment: str) -> StoreState:
    """What the store holds, by MLflow's client only where nothing else can read it.

    Raises:
        InputError: where the store cannot be read or reached.
    """
    state = read_state(location, experiment)
    if state is not None:
        return state
    from offset_autoencoder.tracking import store

    with store.explained(location):
        return store.read_state(location, experiment)


def _with_files(step: Step) -> Step:
    """Artifacts of a store on this machine that are gone are sent again."""
    if step.action != "keep" or step.present is None or not step.record.artifacts:
        return step
    lost = are_lost(step.present.artifact_uri, step.record.artifacts)
    return _again(step) if lost else step


def _again(step: Step) -> Step:
    return replace(step, action="update") if step.action == "keep" else step


def _nothing() -> None:
    pass


@contextmanager
def locked(location: Location) -> Iterator[None]:
    """Hold the store's lock, saying so where another process on this machine holds it.

    Raises:
        InputError: where the lock file cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(location.lock)
    try:
        location.lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"waiting for another publish (it holds {location.lock})", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        raise InputError(str(location.lock), f"cannot be locked: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


def _write(plan: Plan, store: Store, done: Callable[[], None], check: Callable[[], None]) -> None:
    for left in plan.discard:
        store.discard(left)
    ids: dict[Which, str] = {}
    for step in plan.steps:
        check()
        record, present = step.record, step.present
        parent_id = ids.get(record.parent) if record.parent else None
        if present is None:
            ids[record.which] = store.create(record, parent_id)
        elif step.action == "update":
            ids[record.which] = store.update(record, present, parent_id)
        else:
            ids[record.which] = present.mlflow_id
        if present is not None and step.action == "keep":
            if plan.is_workspace and not is_in_place(record, present, ids):
                store.adopt(present, parent_id)
        elif record.role == "run":
            done()
    for left in plan.retire:
        store.retire(left)
    for step in plan.steps:
        if step.record.role == "experiment" and step.action != "keep":
            store.end(ids[step.record.which])


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    if total <= _WORTH_A_BAR:
        yield lambda: None
        return
    from offset_autoencoder.reporting.progress import progress

    done = 0
    with progress("publishing runs", total, total) as report:

        def advance() -> None:
            nonlocal done
            done += 1
            report(done, done)

        yield advance
