"""An SQLite store that keeps a write-ahead log while it is published to.

MLflow commits several times a run, and each commit would wait twice for the disk. With a log
beside the file it need not: a process that is killed loses nothing by it, and a machine that
loses power may lose the last runs, never the store; the next publication brings them back.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any


def turn(*, on: bool) -> None:
    """Whether SQLite connections that SQLAlchemy opens from now on write ahead."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    if on != event.contains(Engine, "connect", _write_ahead):
        (event.listen if on else event.remove)(Engine, "connect", _write_ahead)


def write_back(database: Path | None) -> None:
    """Bring what the log holds into the file, which then says everything by itself.

    Where somebody else is just reading, the log stays, and SQLite reads both as one.
    """
    if database is None:
        return
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(database, timeout=5)) as connection,
    ):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def remove_log(database: Path) -> None:
    """Remove the log of a database whose file is gone: a new file would take it for its own."""
    for suffix in ("-wal", "-shm", "-journal"):
        database.with_name(f"{database.name}{suffix}").unlink(missing_ok=True)


def _write_ahead(connection: Any, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
