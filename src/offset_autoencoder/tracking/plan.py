"""The difference between what the files say and what the store holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from offset_autoencoder.tracking.records import Record
from offset_autoencoder.tracking.state import Present, StoreState


@dataclass(frozen=True)
class Plan:
    """What has to be done to bring the store in line.

    Attributes:
        experiment: The parent's record.
        parent: The parent in the store, where it is there.
        is_parent_outdated: Whether the parent is missing, unfinished or says something else.
        create: Runs that are not in the store.
        update: Runs whose metrics or tags differ.
        keep: Runs that stand as they should, though maybe not as current or under this parent.
        retire: MLflow runs that are no longer in the files: they stay, as not current.
        discard: MLflow runs that a killed publisher left half-written, or that are doubled.
        is_workspace: Whether the files are those of the user's own workspace, which alone says
            what is current, and not those of a temporary clone that DVC runs an experiment in.
    """

    experiment: Record
    parent: Present | None
    is_parent_outdated: bool
    create: tuple[Record, ...]
    update: tuple[tuple[Record, Present], ...]
    keep: tuple[Present, ...]
    retire: tuple[Present, ...]
    discard: tuple[Present, ...]
    is_workspace: bool = True

    def adopt(self, parent_id: str) -> tuple[Present, ...]:
        """The kept runs that are not yet current under this parent, for the workspace."""
        if not self.is_workspace:
            return ()
        return tuple(run for run in self.keep if not run.is_current or run.parent_id != parent_id)

    @property
    def is_nothing(self) -> bool:
        """Whether the store is in line."""
        return (
            self.parent is not None
            and not self.is_parent_outdated
            and (self.parent.is_current or not self.is_workspace)
            and not (self.create or self.update or self.retire or self.discard)
            and not self.adopt(self.parent.mlflow_id)
        )


def make_plan(
    experiment: Record, runs: Sequence[Record], state: StoreState, *, is_workspace: bool = True
) -> Plan:
    """Compare the records with the store.

    A temporary clone adds what is new and leaves alone what is current in the workspace.

    Of several MLflow runs with one key the complete one with the smallest id stays, so that
    publishers on different machines agree on which.
    """
    alike: dict[tuple[str, str], list[Present]] = defaultdict(list)
    for present in state.present:
        alike[present.which].append(present)
    discard, found = [], {}
    for which, group in alike.items():
        first, *others = sorted(group, key=lambda run: (not run.is_complete, run.mlflow_id))
        found[which] = first
        discard += others
    create, update, keep = [], [], []
    for record in runs:
        present_run = found.pop(("run", record.key), None)
        if present_run is None:
            create.append(record)
        elif not present_run.is_complete:
            discard.append(present_run)
            create.append(record)
        elif present_run.holds(record) or (present_run.is_current and not is_workspace):
            keep.append(present_run)
        else:
            update.append((record, present_run))
    parent = found.pop(("experiment", experiment.key), None)
    retire = []
    for left in found.values():
        if left.which[0] == "run" and not left.is_complete:
            discard.append(left)
        elif is_workspace and (left.is_current or left.status == "RUNNING"):
            retire.append(left)
    return Plan(
        experiment=experiment,
        parent=parent,
        is_parent_outdated=parent is None
        or not (parent.holds(experiment) or (parent.is_current and not is_workspace)),
        create=tuple(create),
        update=tuple(update),
        keep=tuple(keep),
        retire=tuple(retire),
        discard=tuple(discard),
        is_workspace=is_workspace,
    )
