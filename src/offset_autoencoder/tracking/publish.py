"""Publication: the difference between the project's files and the MLflow store, carried out."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from offset_autoencoder.config import Params
from offset_autoencoder.config.schema import Tracking
from offset_autoencoder.errors import InputError
from offset_autoencoder.paths import project_root
from offset_autoencoder.tracking import store
from offset_autoencoder.tracking.pages import settings_view
from offset_autoencoder.tracking.record_types import (
    CONTENT,
    Record,
    RecordId,
    StoredRun,
    StoreState,
)
from offset_autoencoder.tracking.records import read_records
from offset_autoencoder.tracking.store import Location
from offset_autoencoder.tracking.writer import ExperimentWriter, is_written_by_another, now_ms

Action = Literal["create", "update", "keep"]

# Fewer are done before a progress bar could be read.
_WORTH_A_BAR = 5
# Of bringing in line and looking again; one is enough unless others write at the same time.
_ROUNDS = 3
# MLflow's tables and columns that hold absolute paths of artifacts.
_ARTIFACT_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


class Step(NamedTuple):
    """Treatment of one record."""

    action: Action  # keep: it stands as it should, though maybe not as current or elsewhere
    record: Record
    stored: StoredRun | None = None  # the MLflow run that holds it, unless it is created


@dataclass(frozen=True)
class Plan:
    """Steps that bring the store in line.

    Only those of the user's own workspace say what is current, not those of a temporary clone that
    DVC runs an experiment in.
    """

    steps: tuple[Step, ...]  # one per record, a parent before what is nested in it
    retire: tuple[StoredRun, ...]  # no longer in the files: they stay, as not current
    discard: tuple[StoredRun, ...]  # left half-written by a killed publisher, or doubled
    is_workspace: bool = True
    view: str | None = None  # of the settings, that MLflow's UI is to offer; None: it does

    @property
    def is_nothing(self) -> bool:
        """True if the store is in line."""
        ids = {record.record_id: stored.mlflow_id for _, record, stored in self.steps if stored}
        return not (self.retire or self.discard or self.view) and all(
            action == "keep"
            and stored is not None
            and (not self.is_workspace or _is_in_place(record, stored, ids))
            for action, record, stored in self.steps
        )

    def runs(self, *actions: Action) -> int:
        """Number of runs among the steps of these kinds; what was shown live alone is created."""
        return sum(
            ("create" if step.stored and step.stored.is_shown_live else step.action) in actions
            and step.record.role == "run"
            for step in self.steps
        )


class Outcome(NamedTuple):
    """Result of a publication: what was to be done, and was, and one line that says so."""

    plan: Plan
    summary: str


def publish(params: Params, root: Path = Path()) -> Outcome:
    """Bring the store in line with the files, each run exactly once.

    For an SQLite store MLflow is imported only where something is to be done. Publishers on one
    machine wait for each other; one that was killed leaves at most one half-written run, which
    the next replaces. What a temporary clone of DVC's publishes is not current, and takes
    nothing from what is.

    Raises:
        InputError: where a file is missing or damaged, or the store cannot be reached.
    """
    location, experiment = store.locate(params.tracking), params.tracking.experiment
    view = settings_view(params.evaluate)
    publication = _Publication(read_records(params, root), location, params.tracking, root, view)
    state, plan = publication.compare()
    if _old_artifacts(location, state) or not plan.is_nothing:
        with store.publisher_lock(location):
            plan = publication.carry_out()
    total = plan.runs("create", "update", "keep")
    text = f"published: {total} run{'s' * (total != 1)}"
    if plan.is_nothing:
        return Outcome(plan, f"{text}, nothing new")
    retired = sum(stored.record_id[0] == "run" for stored in plan.retire)
    counts = {"new": plan.runs("create"), "updated": plan.runs("update"), "retired": retired}
    changes = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    text += f" ({changes or 'the experiment brought in line'})"
    return Outcome(plan, f"{text} to {location.safe_uri} experiment {experiment}")


def make_plan(
    records: Sequence[Record],
    state: StoreState,
    *,
    is_workspace: bool = True,
    view: str | None = None,
    is_alive: Callable[[StoredRun], bool] = lambda _: False,
) -> Plan:
    """Compare the records, parents first, with the store.

    ``view`` is that of the settings, which MLflow's UI is to offer.

    A temporary clone adds what is new and leaves alone what is current in the workspace. Left alone
    is also an unfinished MLflow run that ``is_alive``: another publisher or a training writes it.

    Of several MLflow runs with one key the complete one with the smallest id stays, so that
    publishers on different machines agree on it: two that create a run at the same moment leave
    a double, which the next publication of either removes.
    """
    groups: dict[RecordId, list[StoredRun]] = defaultdict(list)
    for stored in sorted(
        state.runs, key=lambda one: (not one.is_complete, not one.is_shown_live, one.mlflow_id)
    ):
        if stored.is_complete or not is_alive(stored):
            groups[stored.record_id].append(stored)
    steps = []
    discard = [stored for group in groups.values() for stored in group[1:]]
    for record in records:
        candidate = next(iter(groups.pop(record.record_id, ())), None)
        if candidate is None:
            steps.append(Step("create", record))
        elif not (candidate.is_complete or candidate.is_shown_live):
            discard.append(candidate)
            steps.append(Step("create", record))
        elif candidate.is_complete and (
            (candidate.is_current and not is_workspace) or _is_unchanged(record, candidate)
        ):
            steps.append(Step("keep", record, candidate))
        else:
            steps.append(Step("update", record, candidate))
    retire = []
    for stored, *_ in groups.values():
        if stored.record_id[0] != "experiment" and not stored.is_complete:
            discard.append(stored)
        elif is_workspace and (stored.is_current or stored.status == "RUNNING"):
            retire.append(stored)
    new_view = view if is_workspace and view != state.view else None
    return Plan(tuple(steps), tuple(retire), tuple(discard), is_workspace, new_view)


@dataclass(frozen=True)
class _Publication:
    records: tuple[Record, ...]
    location: Location
    tracking: Tracking
    root: Path
    view: str

    def compare(self) -> tuple[StoreState, Plan]:
        """Content of the store, and what has to be done."""
        state = store.read_state(self.location, self.tracking)
        if state.is_deleted:
            raise InputError(
                f"MLflow store {self.location.safe_uri}",
                f"the experiment {self.tracking.experiment!r} is deleted",
                f"bring it back by 'mlflow experiments restore --experiment-id "
                f"{state.experiment_id}', or give tracking.experiment another name",
            )
        is_workspace = self.root.resolve() == project_root()
        return state, make_plan(
            self.records,
            state,
            is_workspace=is_workspace,
            view=self.view,
            is_alive=lambda stored: is_written_by_another(stored, os.getpid()),
        )

    def carry_out(self) -> Plan:
        """Bring the store in line; the caller holds the lock. Gives what was done at first."""
        # Whoever held the lock may have published the same.
        location, (state, plan) = self.location, self.compare()
        if old := _old_artifacts(location, state):
            _relocate(location, old)
            state, plan = self.compare()
        if plan.is_nothing:
            return plan
        with store.explained(location), contextlib.ExitStack() as stack:
            from mlflow.exceptions import MlflowException

            store.create_database(location)
            stack.callback(store.write_back, location)
            writer = ExperimentWriter(
                location,
                self.tracking.experiment,
                state,
                self.root,
                is_current=plan.is_workspace,
            )
            # A server that answers a call twice, a call whose answer is lost, or a publisher on
            # another machine may leave a double: what was written is read again.
            left, rounds = plan, 0
            while not left.is_nothing and rounds < _ROUNDS:
                rounds += 1
                try:
                    _write(left, writer)
                except MlflowException as error:
                    # Unless a run that was to be written is not there any more.
                    is_gone = "must be in the 'active'" in str(error)
                    is_gone |= error.error_code == "RESOURCE_DOES_NOT_EXIST"
                    if rounds == _ROUNDS or not is_gone:
                        raise
                store.write_back(location)
                _, left = self.compare()
        return plan


def _is_in_place(record: Record, stored: StoredRun, ids: dict[RecordId, str]) -> bool:
    """True if an MLflow run is tagged as current and nested where its record is."""
    parent_id = ids.get(record.parent) if record.parent else None
    return stored.is_current and stored.parent_id == parent_id


def _is_unchanged(record: Record, stored: StoredRun) -> bool:
    """True if the record's content is stored, and its artifacts, if on this machine, are there."""
    if stored.tags[CONTENT] != record.content:
        return False
    if urlsplit(stored.artifact_uri).scheme not in ("", "file") or not stored.artifact_uri:
        return True
    folder = _path(stored.artifact_uri)
    return all((folder / artifact.name).is_file() for artifact in record.artifacts)


def _write(plan: Plan, writer: ExperimentWriter) -> None:
    from offset_autoencoder.reporting.terminal import Report, progress

    silent: contextlib.nullcontext[Report] = contextlib.nullcontext(lambda *_: None)
    total, done = plan.runs("create", "update"), 0
    ids: dict[RecordId, str] = {}
    with progress("publishing runs", total, total) if total > _WORTH_A_BAR else silent as report:
        for stored in plan.discard:
            writer.discard(stored)
        for action, record, current in plan.steps:
            parent_id = ids.get(record.parent) if record.parent else None
            if current is None:
                ids[record.record_id] = writer.create(record, parent_id)
            elif action == "update":
                ids[record.record_id] = writer.update(record, current, parent_id)
            else:
                ids[record.record_id] = current.mlflow_id
                if plan.is_workspace and not _is_in_place(record, current, ids):
                    writer.adopt(current, parent_id)
            if record.role == "run" and action != "keep":
                done += 1
                report(done, done)
        for stored in plan.retire:
            writer.retire(stored)
        if plan.view is not None:
            writer.set_view(plan.view)
        for action, record, _ in plan.steps:
            if record.role == "experiment" and action != "keep":
                # Which has it say how long its publication took.
                writer.client.set_terminated(ids[record.record_id], "FINISHED", now_ms())


def _old_artifacts(location: Location, state: StoreState) -> str | None:
    """URI at which an SQLite store believes its artifacts, if they lie beside it instead."""
    # So it is where we gave the place (a folder mlartifacts), and it is gone, or was copied along.
    here, there = location.artifacts, state.artifacts
    if location.database is None or here is None or there is None or there == here:
        return None
    if _path(there).name != _path(here).name or not there.startswith("file:"):
        return None
    return there if _path(here).exists() or not _path(there).exists() else None


def _relocate(location: Location, old: str) -> None:
    """Have a store name its artifacts where they are; MLflow offers no call for that."""
    assert location.database is not None
    with contextlib.closing(sqlite3.connect(location.database, timeout=20)) as connection:
        for table, column in _ARTIFACT_COLUMNS:
            # A table that this MLflow does not have has nothing to correct.
            with contextlib.suppress(sqlite3.OperationalError), connection:
                connection.execute(
                    f"UPDATE {table} SET {column} = :new || substr({column}, :length)"
                    f" WHERE {column} = :old OR substr({column}, 1, :length) = :old || '/'",
                    {"new": location.artifacts, "old": old, "length": len(old) + 1},
                )


def _path(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))
