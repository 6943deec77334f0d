"""Publication: the difference between the project's files and the MLflow store, carried out."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from offset_autoencoder.config import Params
from offset_autoencoder.errors import InputError
from offset_autoencoder.paths import project_root
from offset_autoencoder.tracking.location import Location, locate, publisher_lock
from offset_autoencoder.tracking.record_types import Record, RecordId
from offset_autoencoder.tracking.records import read_records
from offset_autoencoder.tracking.store import (
    StoredRun,
    StoreState,
    create_database,
    explained,
    old_artifacts,
    read_state,
    relocate,
    write_back,
)
from offset_autoencoder.tracking.writer import (
    ExperimentWriter,
    is_being_written,
    provenance,
    writing_process,
)

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException

Action = Literal["create", "update", "keep"]

# Fewer are done before a progress bar could be read.
_WORTH_A_BAR = 5
# Of bringing in line and looking again; one is enough unless others write at the same time.
_ROUNDS = 3


@dataclass(frozen=True)
class Step:
    """Treatment of one record.

    Attributes:
        action: ``keep``: it stands as it should, though maybe not as current or elsewhere.
        record: The record.
        stored: The MLflow run that holds it, unless it is created.
    """

    action: Action
    record: Record
    stored: StoredRun | None = None


@dataclass(frozen=True)
class Plan:
    """Steps that bring the store in line.

    Attributes:
        steps: One per record, in the order of the records: a parent before what is nested in it.
        retire: MLflow runs that are no longer in the files: they stay, as not current.
        discard: MLflow runs that a killed publisher left half-written, or that are doubled.
        is_workspace: Whether the files are those of the user's own workspace, which alone says
            what is current, and not those of a temporary clone that DVC runs an experiment in.
    """

    steps: tuple[Step, ...]
    retire: tuple[StoredRun, ...]
    discard: tuple[StoredRun, ...]
    is_workspace: bool = True

    @property
    def is_nothing(self) -> bool:
        """True if the store is in line."""
        ids = {step.record.record_id: step.stored.mlflow_id for step in self.steps if step.stored}
        return not (self.retire or self.discard) and all(
            step.action == "keep"
            and step.stored is not None
            and (not self.is_workspace or _is_in_place(step.record, step.stored, ids))
            for step in self.steps
        )

    def runs(self, *actions: Action) -> int:
        """Number of runs among the steps of these kinds."""
        return sum(step.action in actions and step.record.role == "run" for step in self.steps)


def make_plan(
    records: Sequence[Record],
    state: StoreState,
    *,
    is_workspace: bool = True,
    is_alive: Callable[[StoredRun], bool] = lambda _: False,
) -> Plan:
    """Compare the records with the store.

    A temporary clone adds what is new and leaves alone what is current in the workspace.

    Of several MLflow runs with one key the complete one with the smallest id stays, so that
    publishers on different machines agree on it: two that create a run at the same moment leave
    a double, which the next publication of either removes.

    Args:
        records: Everything that the store should hold, parents first.
        state: Content of the store.
        is_workspace: Whether the files are those of the user's own workspace.
        is_alive: Whether an unfinished MLflow run is still being written by another publisher,
            or a training that goes on elsewhere; it is left alone.
    """
    groups: dict[RecordId, list[StoredRun]] = defaultdict(list)
    for stored in state.runs:
        if stored.is_complete or not is_alive(stored):
            groups[stored.record_id].append(stored)
    discard, candidates = [], {}
    for record_id, group in groups.items():
        first, *others = sorted(group, key=_rank)
        candidates[record_id] = first
        discard += others
    steps = []
    for record in records:
        candidate = candidates.pop(record.record_id, None)
        if candidate is None:
            steps.append(Step("create", record))
        elif not (candidate.is_complete or candidate.is_shown_live):
            discard.append(candidate)
            steps.append(Step("create", record))
        elif candidate.holds(record) or (
            candidate.is_current and candidate.is_complete and not is_workspace
        ):
            steps.append(Step("keep", record, candidate))
        else:
            steps.append(Step("update", record, candidate))
    retire = []
    for stored in candidates.values():
        if stored.record_id[0] != "experiment" and not stored.is_complete:
            discard.append(stored)
        elif is_workspace and (stored.is_current or stored.status == "RUNNING"):
            retire.append(stored)
    return Plan(tuple(steps), tuple(retire), tuple(discard), is_workspace)


@dataclass(frozen=True)
class Outcome:
    """Result of a publication.

    Attributes:
        location: The store.
        experiment: The MLflow experiment's name.
        plan: The steps that were to be done, and were.
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
        retired = sum(stored.record_id[0] == "run" for stored in plan.retire)
        counts = {"new": plan.runs("create"), "updated": plan.runs("update"), "retired": retired}
        changes = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        return (
            f"published: {total} {runs} ({changes or 'the experiment brought in line'}) "
            f"to {self.location.safe_uri} experiment {self.experiment}"
        )


def publish(params: Params, root: Path = Path()) -> Outcome:
    """Bring the store in line with the files, each run exactly once.

    For an SQLite store MLflow is imported only where something is to be done. Publishers on one
    machine wait for each other; one that was killed leaves at most one half-written run, which
    the next replaces. What a temporary clone of DVC's publishes is not current, and takes
    nothing from what is.

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
        with publisher_lock(publication.location):
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
        """Content of the store, and what has to be done."""
        state = read_state(self.location, self.experiment)
        if state.is_deleted:
            raise InputError(
                f"MLflow store {self.location.safe_uri}",
                f"the experiment {self.experiment!r} is deleted",
                f"bring it back by 'mlflow experiments restore --experiment-id "
                f"{state.experiment_id}', or give tracking.experiment another name",
            )
        plan = make_plan(self.records, state, is_workspace=self.is_workspace, is_alive=_is_anothers)
        has_moved = old_artifacts(self.location, state) is not None
        steps = tuple(
            replace(step, action="update")
            if step.action == "keep" and (has_moved or _lacks_files(step))
            else step
            for step in plan.steps
        )
        return state, replace(plan, steps=steps)

    def carry_out(self) -> Plan:
        """Bring the store in line; the caller holds the lock. Gives what was done at first."""
        # Whoever held the lock may have published the same.
        state, plan = self.compare()
        if (old := old_artifacts(self.location, state)) is not None:
            relocate(self.location, old)
            state, plan = self.compare()
        if plan.is_nothing:
            return plan
        location = self.location
        with explained(location), contextlib.ExitStack() as stack:
            create_database(location)
            stack.callback(write_back, location)
            writer = ExperimentWriter.open(
                location,
                self.experiment,
                state,
                provenance(self.root),
                is_current=self.is_workspace,
            )
            # A server that answers a call twice, a call whose answer is lost, or a publisher on
            # another machine may leave a double: what was written is read again.
            left, rounds = plan, 0
            while not left.is_nothing and rounds < _ROUNDS:
                rounds += 1
                with _progress(left.runs("create", "update")) as advance:
                    _write(left, writer, advance, is_last=rounds == _ROUNDS)
                write_back(location)
                _, left = self.compare()
        return plan


def _is_in_place(record: Record, stored: StoredRun, ids: dict[RecordId, str]) -> bool:
    """True if an MLflow run is tagged as current and nested where its record is."""
    parent_id = ids.get(record.parent) if record.parent else None
    return stored.is_current and stored.parent_id == parent_id


def _rank(stored: StoredRun) -> tuple[bool, bool, str]:
    return not stored.is_complete, not stored.is_shown_live, stored.mlflow_id


def _is_anothers(stored: StoredRun) -> bool:
    return is_being_written(stored) and writing_process(stored) != os.getpid()


def _lacks_files(step: Step) -> bool:
    """True if artifacts of a store on this machine are gone and have to be sent again."""
    parts = urlsplit(step.stored.artifact_uri if step.stored else "")
    if parts.scheme not in ("", "file") or not parts.path:
        return False
    folder = Path(url2pathname(parts.path))
    return any(not (folder / artifact.name).is_file() for artifact in step.record.artifacts)


def _write(
    plan: Plan, writer: ExperimentWriter, advance: Callable[[], None], *, is_last: bool
) -> None:
    """Carry out a plan, as far as a publisher on another machine does not come in between."""
    from mlflow.exceptions import MlflowException

    try:
        _carry_out(plan, writer, advance)
    except MlflowException as error:
        if is_last or not _is_conflict(error):
            raise


def _is_conflict(error: MlflowException) -> bool:
    """True if a run that was to be written is not there any more."""
    return error.error_code == "RESOURCE_DOES_NOT_EXIST" or "must be in the 'active'" in str(error)


def _carry_out(plan: Plan, writer: ExperimentWriter, advance: Callable[[], None]) -> None:
    for stored in plan.discard:
        writer.discard(stored)
    ids: dict[RecordId, str] = {}
    for step in plan.steps:
        record, current = step.record, step.stored
        parent_id = ids.get(record.parent) if record.parent else None
        if current is None:
            ids[record.record_id] = writer.create(record, parent_id)
        elif step.action == "update":
            ids[record.record_id] = writer.update(record, current, parent_id)
        else:
            ids[record.record_id] = current.mlflow_id
            if plan.is_workspace and not _is_in_place(record, current, ids):
                writer.adopt(current, parent_id)
        if record.role == "run" and step.action != "keep":
            advance()
    for stored in plan.retire:
        writer.retire(stored)
    for step in plan.steps:
        if step.record.role == "experiment" and step.action != "keep":
            writer.end(ids[step.record.record_id])


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    if total <= _WORTH_A_BAR:
        yield lambda: None
        return
    from offset_autoencoder.reporting.terminal import progress

    done = 0
    with progress("publishing runs", total, total) as report:

        def advance() -> None:
            nonlocal done
            done += 1
            report(done, done)

        yield advance
