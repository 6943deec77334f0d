"""Bring the MLflow store in line with the project's files."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from offset_autoencoder.config import Params
from offset_autoencoder.errors import InputError
from offset_autoencoder.project import project_root
from offset_autoencoder.tracking.artifacts import are_lost
from offset_autoencoder.tracking.experiment import experiment_record
from offset_autoencoder.tracking.location import Location, locate
from offset_autoencoder.tracking.plan import Plan, make_plan
from offset_autoencoder.tracking.runs import run_records
from offset_autoencoder.tracking.state import StoreState, read_state

if TYPE_CHECKING:
    from offset_autoencoder.tracking.store import Store

# Fewer are done before a progress bar could be read.
_WORTH_A_BAR = 5


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
        total = len(plan.create) + len(plan.update) + len(plan.keep)
        if plan.is_nothing:
            return f"published: {total} runs, nothing new"
        retired = sum(present.which[0] == "run" for present in plan.retire)
        counts = {"new": len(plan.create), "updated": len(plan.update), "retired": retired}
        said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        return (
            f"published: {total} runs ({said or 'the experiment brought in line'}) "
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
    runs = run_records(params, root)
    experiment = experiment_record(params, runs, root)
    location, name = locate(params.tracking), params.tracking.experiment
    is_workspace = root.resolve() == project_root()

    def compare() -> tuple[StoreState, Plan]:
        state = read_state(location, name)
        if state is None:
            from offset_autoencoder.tracking import store

            with store.explained(location):
                state = store.read_state(location, name)
        if state.is_deleted:
            raise InputError(
                f"MLflow store {location.shown}",
                f"the experiment {name!r} is deleted",
                f"bring it back by 'mlflow experiments restore --experiment-id "
                f"{state.experiment_id}', or give tracking.experiment another name",
            )
        plan = make_plan(experiment, runs, state, is_workspace=is_workspace)
        if plan.parent is not None and are_lost(plan.parent.artifact_uri, experiment.artifacts):
            plan = replace(plan, is_parent_outdated=True)
        return state, plan

    state, plan = compare()
    if not plan.is_nothing:
        with locked(location):
            # Whoever held the lock may have published the same.
            state, plan = compare()
            if not plan.is_nothing:
                _carry_out(plan, state, location, name, root)
    return Outcome(location, name, plan)


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


def _carry_out(plan: Plan, state: StoreState, location: Location, name: str, root: Path) -> None:
    from offset_autoencoder.tracking import store as mlflow_store
    from offset_autoencoder.tracking.provenance import provenance
    from offset_autoencoder.tracking.write_ahead import write_back

    with mlflow_store.explained(location):
        mlflow_store.create_database(location)
        store = mlflow_store.Store.open(
            location, name, state, provenance(root), is_current=plan.is_workspace
        )
        try:
            with _progress(len(plan.create) + len(plan.update)) as done:
                _write(plan, store, done)
        finally:
            write_back(location.database)


def _write(plan: Plan, store: Store, done: Callable[[], None]) -> None:
    for present in plan.discard:
        store.discard(present)
    # The parent is whole before its runs come: a kill among them leaves nothing to mend in it.
    if plan.parent is None:
        parent_id = store.create(plan.experiment)
    elif plan.is_parent_outdated:
        parent_id = store.update(plan.experiment, plan.parent)
    else:
        parent_id = plan.parent.mlflow_id
        if plan.is_workspace:
            store.adopt(plan.parent, None)
    for record in plan.create:
        store.create(record, parent_id)
        done()
    for record, present in plan.update:
        store.update(record, present, parent_id)
        done()
    for present in plan.adopt(parent_id):
        store.adopt(present, parent_id)
    for present in plan.retire:
        store.retire(present)


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
