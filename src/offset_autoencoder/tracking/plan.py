"""The difference between what the files say and what the store holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from offset_autoencoder.tracking.records import Record, Which
from offset_autoencoder.tracking.state import Present, StoreState

Action = Literal["create", "update", "keep"]


@dataclass(frozen=True)
class Step:
    """What is done with a record.

    Attributes:
        action: ``keep``: it stands as it should, though maybe not as current or elsewhere.
        record: The record.
        present: The MLflow run that holds it, unless it is created.
    """

    action: Action
    record: Record
    present: Present | None = None


@dataclass(frozen=True)
class Plan:
    """What has to be done to bring the store in line.

    Attributes:
        steps: One a record, in the order of the records: a parent before what is nested in it.
        retire: MLflow runs that are no longer in the files: they stay, as not current.
        discard: MLflow runs that a killed publisher left half-written, or that are doubled.
        is_workspace: Whether the files are those of the user's own workspace, which alone says
            what is current, and not those of a temporary clone that DVC runs an experiment in.
    """

    steps: tuple[Step, ...]
    retire: tuple[Present, ...]
    discard: tuple[Present, ...]
    is_workspace: bool = True

    @property
    def is_nothing(self) -> bool:
        """Whether the store is in line."""
        ids = {step.record.which: step.present.mlflow_id for step in self.steps if step.present}
        return not (self.retire or self.discard) and all(
            step.action == "keep"
            and step.present is not None
            and (not self.is_workspace or is_in_place(step.record, step.present, ids))
            for step in self.steps
        )

    def runs(self, *actions: Action) -> int:
        """How many runs are among the steps of these kinds."""
        return sum(step.action in actions and step.record.role == "run" for step in self.steps)


def is_in_place(record: Record, present: Present, ids: dict[Which, str]) -> bool:
    """Whether an MLflow run is tagged as current and nested where its record is.

    Args:
        record: The record that it holds.
        present: The MLflow run.
        ids: The MLflow runs of the records.
    """
    parent_id = ids.get(record.parent) if record.parent else None
    return present.is_current and present.parent_id == parent_id


def make_plan(
    records: Sequence[Record],
    state: StoreState,
    *,
    is_workspace: bool = True,
    is_alive: Callable[[Present], bool] = lambda _: False,
) -> Plan:
    """Compare the records with the store.

    A temporary clone adds what is new and leaves alone what is current in the workspace.

    Of several MLflow runs with one key the complete one with the smallest id stays, so that
    publishers on different machines agree on which.

    Args:
        records: Everything that the store should hold, parents first.
        state: What it holds.
        is_workspace: Whether the files are those of the user's own workspace.
        is_alive: Whether an unfinished MLflow run is that of a training that goes on elsewhere.
    """
    alike: dict[Which, list[Present]] = defaultdict(list)
    for present in state.present:
        alike[present.which].append(present)
    discard, found = [], {}
    for which, group in alike.items():
        first, *others = sorted(group, key=_rank)
        found[which] = first
        discard += others
    steps = []
    for record in records:
        there = found.pop(record.which, None)
        if there is None:
            steps.append(Step("create", record))
        elif not (there.is_complete or there.is_continued):
            discard.append(there)
            steps.append(Step("create", record))
        elif there.holds(record) or (there.is_current and there.is_complete and not is_workspace):
            steps.append(Step("keep", record, there))
        else:
            steps.append(Step("update", record, there))
    retire = []
    for left in found.values():
        if left.which[0] != "experiment" and not left.is_complete:
            discard += [] if is_alive(left) else [left]
        elif is_workspace and (left.is_current or left.status == "RUNNING"):
            retire.append(left)
    return Plan(tuple(steps), tuple(retire), tuple(discard), is_workspace)


def _rank(present: Present) -> tuple[bool, bool, str]:
    return not present.is_complete, not present.is_continued, present.mlflow_id
