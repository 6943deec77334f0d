"""The files that are kept with a record, and whether they are still there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from offset_autoencoder.tracking.records import Artifact

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def are_lost(artifact_uri: str, artifacts: Iterable[Artifact]) -> bool:
    """Whether a local artifact folder lacks one of the files; a remote one is not looked at."""
    parts = urlsplit(artifact_uri)
    if parts.scheme not in ("", "file") or not parts.path:
        return False
    folder = Path(url2pathname(parts.path))
    return any(not (folder / artifact.name).is_file() for artifact in artifacts)


def mirror(client: MlflowClient, mlflow_id: str, artifacts: Iterable[Artifact]) -> None:
    """Make the folders that the artifacts name hold just them: send all, remove what is left over.

    Args:
        client: The store.
        mlflow_id: The MLflow run.
        artifacts: All files; other top-level folders of the run are not touched.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    wanted = {artifact.name: artifact for artifact in artifacts}
    # Not by the client, which remembers where a run's artifacts were.
    repository = get_artifact_repository(
        client.get_run(mlflow_id).info.artifact_uri, tracking_uri=client.tracking_uri
    )
    for name, artifact in wanted.items():
        folder = name.rpartition("/")[0]
        repository.log_artifact(  # type: ignore[no-untyped-call]
            str(artifact.source), folder or None
        )
    for folder in {name.partition("/")[0] for name in wanted if "/" in name}:
        for name in list(_files(client, mlflow_id, folder)):
            if name not in wanted:
                repository.delete_artifacts(name)  # type: ignore[no-untyped-call]


def _files(client: MlflowClient, mlflow_id: str, folder: str) -> Iterator[str]:
    for entry in client.list_artifacts(mlflow_id, folder):
        if entry.is_dir:
            yield from _files(client, mlflow_id, entry.path)
        else:
            yield entry.path
