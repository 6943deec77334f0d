"""An SQLite store that was moved or copied together with its artifacts.

MLflow writes down where artifacts are as absolute paths, so that a project folder which is
renamed would have its store look for them, and write them, in the old place.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from offset_autoencoder.tracking.location import Location
from offset_autoencoder.tracking.state import StoreState

_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def old_place(location: Location, state: StoreState) -> str | None:
    """Where the store believes its artifacts to be, if they lie beside it instead.

    That is so where the place is one that we gave (a folder ``mlartifacts``), another than the
    one beside the database, and either gone, or copied along with the store.
    """
    here, there = location.artifacts, state.artifacts
    if location.database is None or here is None or there is None or there == here:
        return None
    if _path(there).name != _path(here).name or not there.startswith("file:"):
        return None
    return there if _path(here).exists() or not _path(there).exists() else None


def take_along(location: Location, old: str) -> None:
    """Have the store name its artifacts where they are. The caller holds the lock."""
    assert location.database is not None
    with contextlib.closing(sqlite3.connect(location.database, timeout=20)) as connection:
        for table, column in _COLUMNS:
            # A table that this MLflow does not have has nothing to correct.
            with contextlib.suppress(sqlite3.OperationalError), connection:
                connection.execute(
                    f"UPDATE {table} SET {column} = :new || substr({column}, :length)"
                    f" WHERE {column} = :old OR substr({column}, 1, :length) = :old || '/'",
                    {"new": location.artifacts, "old": old, "length": len(old) + 1},
                )


def _path(uri: str) -> Path:
    return Path(url2pathname(urlsplit(uri).path))
