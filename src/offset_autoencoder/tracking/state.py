"""Content of an MLflow store, as far as it is ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from offset_autoencoder.tracking import record_types
from offset_autoencoder.tracking.record_types import CONTENT, CURVES, KEY, PARENT, RecordId


@dataclass(frozen=True)
class StoredRun:
    """An MLflow run of ours that is in the store and not deleted."""

    mlflow_id: str
    status: str  # RUNNING, FINISHED, FAILED or KILLED
    artifact_uri: str
    tags: Mapping[str, str]  # without those that MLflow shows alone

    @property
    def record_id(self) -> RecordId:
        """Role and key of the record that it holds."""
        return self.tags.get(record_types.ROLE, ""), self.tags[KEY]

    @property
    def is_complete(self) -> bool:
        """True if it was written to its end, which its status says last."""
        return CONTENT in self.tags and self.status in ("FINISHED", "FAILED")

    @property
    def is_shown_live(self) -> bool:
        """True if it was shown while its training went on, up to its last epoch."""
        return CONTENT not in self.tags and CURVES in self.tags and self.status != "KILLED"

    @property
    def is_current(self) -> bool:
        """True if it is tagged as standing in the project's files."""
        return self.tags.get(record_types.CURRENT) == "true"

    @property
    def parent_id(self) -> str | None:
        """The MLflow run under which it is nested."""
        return self.tags.get(PARENT)


@dataclass(frozen=True)
class StoreState:
    """Content of a store: an experiment, with our runs in it, and its models where any are served.

    Attributes:
        experiment_id: Its id; None: there is no such experiment, or no store yet.
        is_deleted: Whether the experiment is in MLflow's bin.
        artifacts: URI at which the experiment keeps its artifacts.
        models: Ids of the experiment's logged models.
        champion: Version of the registered model that has the alias; None: there is none, or its
            model was deleted.
    """

    experiment_id: str | None = None
    is_deleted: bool = False
    runs: tuple[StoredRun, ...] = ()
    artifacts: str | None = None
    models: tuple[str, ...] = ()
    champion: str | None = None
