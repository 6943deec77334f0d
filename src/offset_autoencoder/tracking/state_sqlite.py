"""The state of an SQLite store, by SQL."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from pathlib import Path
from urllib.parse import quote

from offset_autoencoder.errors import InputError
from offset_autoencoder.tracking.records import KEY
from offset_autoencoder.tracking.state import Present, StoreState

_RUNS = """
    SELECT run_uuid, status, artifact_uri FROM runs
    WHERE experiment_id = :experiment AND lifecycle_stage = 'active'
    AND run_uuid IN (SELECT run_uuid FROM tags WHERE key = :key)
"""
_TAGS = """
    SELECT run_uuid, key, value FROM tags
    WHERE run_uuid IN (SELECT run_uuid FROM runs WHERE experiment_id = :experiment)
"""


def read(database: Path, experiment: str) -> StoreState | None:
    """Read the state of a store.

    Args:
        database: The SQLite file.
        experiment: The MLflow experiment's name.

    Returns:
        The state; None where the tables are not those of the MLflow this was written for.

    Raises:
        InputError: where the file is no SQLite database, or cannot be read or written.
    """
    if not database.exists():
        return StoreState()
    # rw, not ro: only a connection that may write can roll back what a killed writer left.
    uri = f"file:{quote(str(database))}?mode=rw"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=20)) as connection:
            return _read(connection, experiment)
    except sqlite3.OperationalError as error:
        if str(error).startswith("no such"):
            return None
        raise InputError(
            str(database),
            f"cannot be read: {error}",
            "nothing else is lost: 'dvc repro' publishes once it can",
        ) from None
    except sqlite3.DatabaseError as error:
        raise InputError(
            str(database), f"is not an SQLite database: {error}", "move it away and publish again"
        ) from None


def _read(connection: sqlite3.Connection, experiment: str) -> StoreState | None:
    rows = connection.execute(
        "SELECT experiment_id, lifecycle_stage, artifact_location FROM experiments WHERE name = ?",
        (experiment,),
    ).fetchall()
    if len(rows) > 1:  # one name in several of MLflow's workspaces
        return None
    if not rows:
        return StoreState()
    experiment_id, stage, artifacts = rows[0]
    which = {"experiment": experiment_id, "key": KEY}
    tags: dict[str, dict[str, str]] = defaultdict(dict)
    for run, key, value in connection.execute(_TAGS, which):
        tags[run][key] = value
    present = tuple(
        Present(run, status, artifact_uri or "", tags[run])
        for run, status, artifact_uri in connection.execute(_RUNS, which)
    )
    return StoreState(str(experiment_id), stage == "deleted", present, artifacts)
