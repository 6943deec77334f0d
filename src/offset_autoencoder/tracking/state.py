"""What the MLflow store holds of ours, found out without importing MLflow where that can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from offset_autoencoder.tracking.location import Location
from offset_autoencoder.tracking.records import CONTENT, CURRENT, CURVES, KEY, PARENT, ROLE, Record


@dataclass(frozen=True)
class Present:
    """An MLflow run of ours that is in the store and not deleted."""

    mlflow_id: str
    status: str
    artifact_uri: str
    tags: Mapping[str, str]

    @property
    def which(self) -> tuple[str, str]:
        """Role and key: the record that it holds."""
        return self.tags.get(ROLE, ""), self.tags[KEY]

    @property
    def content(self) -> str | None:
        """The digest of what was published; None until all of it was."""
        return self.tags.get(CONTENT)

    @property
    def is_complete(self) -> bool:
        """Whether it was written to its end."""
        return self.content is not None and self.status in ("FINISHED", "FAILED")

    @property
    def is_continued(self) -> bool:
        """Whether it was shown while its training went on, up to its last epoch."""
        return self.content is None and CURVES in self.tags and self.status != "KILLED"

    @property
    def is_current(self) -> bool:
        """Whether it is tagged as standing in the project's files."""
        return self.tags.get(CURRENT) == "true"

    @property
    def parent_id(self) -> str | None:
        """The MLflow run under which it is nested."""
        return self.tags.get(PARENT)

    def holds(self, record: Record) -> bool:
        """Whether it holds this record, whole and as it is now."""
        return self.is_complete and self.content == record.content


@dataclass(frozen=True)
class StoreState:
    """What a store holds.

    Attributes:
        experiment_id: None where the store has no such experiment, or does not exist yet.
        is_deleted: Whether the experiment is in MLflow's bin.
        present: Our runs in it.
        artifacts: Where the experiment's artifacts go, as a URI, where that is known.
    """

    experiment_id: str | None = None
    is_deleted: bool = False
    present: tuple[Present, ...] = ()
    artifacts: str | None = None


def read_state(location: Location, experiment: str) -> StoreState | None:
    """Read the store's state through SQLite or HTTP.

    Args:
        location: The store.
        experiment: The MLflow experiment's name.

    Returns:
        The state; None where it takes MLflow itself to find out.

    Raises:
        InputError: where the store cannot be read or reached.
    """
    if location.database is not None:
        from offset_autoencoder.tracking import state_sqlite

        return state_sqlite.read(location.database, experiment)
    if location.is_server:
        from offset_autoencoder.tracking import state_rest

        return state_rest.read(location, experiment)
    return None
