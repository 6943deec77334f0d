"""The MLflow store, through MLflow's client: opened, read, and what goes wrong in one line.

What an SQLite store held is kept beside it, with the state that its file was in. As long as the
file is in that state nothing has changed, by whomever, and MLflow (seconds to import) is not
needed to read it. Of a server nothing as cheap tells, so it is asked each time.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import write_text
from offset_autoencoder.tracking.location import Location, sqlite_uri
from offset_autoencoder.tracking.record_types import (
    CONTENT,
    CURRENT,
    CURVES,
    KEY,
    PARENT,
    ROLE,
    Record,
    RecordId,
)

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_PAGE = 1000
_SQLITE_MAGIC = b"SQLite format 3\0"
_RETRY_LATER = "what was published stays, and 'dvc repro' publishes the rest"
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "GIT_PYTHON_REFRESH": "quiet",
}
# MLflow's tables and columns that hold absolute paths of artifacts.
_ARTIFACT_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


@dataclass(frozen=True)
class StoredRun:
    """An MLflow run of ours that is in the store and not deleted.

    Attributes:
        mlflow_id: Its id in MLflow.
        status: ``RUNNING``, ``FINISHED``, ``FAILED`` or ``KILLED``.
        artifact_uri: Where its artifacts are.
        tags: Its tags, without those that MLflow shows alone.
    """

    mlflow_id: str
    status: str
    artifact_uri: str
    tags: Mapping[str, str]

    @property
    def record_id(self) -> RecordId:
        """Role and key of the record that it holds."""
        return self.tags.get(ROLE, ""), self.tags[KEY]

    @property
    def content(self) -> str | None:
        """The digest of what was published; None until all of it was."""
        return self.tags.get(CONTENT)

    @property
    def is_complete(self) -> bool:
        """True if it was written to its end."""
        return self.content is not None and self.status in ("FINISHED", "FAILED")

    @property
    def is_shown_live(self) -> bool:
        """True if it was shown while its training went on, up to its last epoch."""
        return self.content is None and CURVES in self.tags and self.status != "KILLED"

    @property
    def is_current(self) -> bool:
        """True if it is tagged as standing in the project's files."""
        return self.tags.get(CURRENT) == "true"

    @property
    def parent_id(self) -> str | None:
        """The MLflow run under which it is nested."""
        return self.tags.get(PARENT)

    def holds(self, record: Record) -> bool:
        """True if it holds this record, whole and as it is now."""
        return self.is_complete and self.content == record.content


@dataclass(frozen=True)
class StoreState:
    """Content of a store.

    Attributes:
        experiment_id: None where the store has no such experiment, or does not exist yet.
        is_deleted: Whether the experiment is in MLflow's bin.
        runs: Our runs in it.
        artifacts: Where the experiment's artifacts go, as a URI.
    """

    experiment_id: str | None = None
    is_deleted: bool = False
    runs: tuple[StoredRun, ...] = ()
    artifacts: str | None = None


def connect(uri: str, *, write_ahead: bool = True) -> MlflowClient:
    """A client of a store: quiet, without telemetry, giving up on a dead server in seconds.

    Args:
        uri: The tracking URI.
        write_ahead: Whether an SQLite store keeps a log beside it while it is written to.
    """
    _set_environment()
    from mlflow.tracking import MlflowClient

    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    _set_write_ahead(on=write_ahead)
    return MlflowClient(tracking_uri=uri)


@contextlib.contextmanager
def explained(location: Location) -> Iterator[None]:
    """Turn what MLflow and the network raise into one line.

    Raises:
        InputError: naming the store, what went wrong in it, and how to go on.
    """
    _set_environment()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        name = f"MLflow {'server' if location.is_server else 'store'} {location.safe_uri}"
        text = str(error).strip()
        # What follows in MLflow's message is the network library's account of every retry.
        if " failed with exception" in text:
            reason = re.search(r"\[Errno -?\d+\] [^'\")]+", text)
            what = f"cannot be reached: {reason[0] if reason else 'it does not answer'}"
            raise InputError(name, what, _RETRY_LATER) from error
        if status := re.search(r"failed with error code (\d+)", text):
            what = f"expected an MLflow server, got HTTP status {status[1]}"
            raise InputError(name, what, "check tracking.uri and MLFLOW_TRACKING_URI") from error
        lines = text.splitlines() or [type(error).__name__]
        raise InputError(name, lines[0], _RETRY_LATER) from error


def read_state(location: Location, experiment: str) -> StoreState:
    """Read what a store holds; MLflow is imported only where the kept state does not count.

    Args:
        location: The store.
        experiment: The MLflow experiment's name.

    Raises:
        InputError: where the store cannot be read or reached.
    """
    database = location.database
    if database is None:
        return _ask(location, experiment)
    if not database.exists():
        return StoreState()
    _check_magic(database)
    before = _fingerprint(database)
    if (kept := _read_kept(location, experiment, before)) is not None:
        return kept
    state = _ask(location, experiment)
    if _fingerprint(database) == before:
        _keep(location, experiment, before, state)
    return state


def create_database(location: Location) -> None:
    """Create an SQLite store that does not exist: whole, or not at all.

    MLflow makes its tables in some 50 steps; a process killed among them would leave a file that
    MLflow refuses. So they are made in another file that is then given its name. The caller
    holds the lock.
    """
    database = location.database
    if database is None or database.exists():
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    new = database.with_name(f"{database.name}.new")
    for leftover in database.parent.glob(f"{new.name}*"):
        leftover.unlink()
    # The log of a store that was deleted must not be taken for that of the new one.
    for suffix in ("-wal", "-shm", "-journal"):
        database.with_name(f"{database.name}{suffix}").unlink(missing_ok=True)
    # A store that is given its name must be one whole file, without a log beside it.
    connect(sqlite_uri(new), write_ahead=False).search_experiments(max_results=1)
    try:
        os.link(new, database)
    except FileExistsError:  # 'mlflow ui' was quicker
        pass
    except OSError:  # a file system without hard links
        new.replace(database)
        return
    new.unlink()


def write_back(location: Location) -> None:
    """Bring the write-ahead log into the SQLite file, which then says everything by itself.

    Where somebody else is just reading, the log stays, and SQLite reads both as one.
    """
    if location.database is not None:
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(location.database, timeout=5)) as connection,
        ):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def old_artifacts(location: Location, state: StoreState) -> str | None:
    """URI at which an SQLite store believes its artifacts, if they lie beside it instead.

    That is so where the place is one that we gave (a folder ``mlartifacts``), another than the
    one beside the database, and either gone, or copied along with the store.
    """
    here, there = location.artifacts, state.artifacts
    if location.database is None or here is None or there is None or there == here:
        return None
    if _path(there).name != _path(here).name or not there.startswith("file:"):
        return None
    return there if _path(here).exists() or not _path(there).exists() else None


def relocate(location: Location, old: str) -> None:
    """Have a store that was moved or copied name its artifacts where they are.

    MLflow writes down absolute paths and offers no call to change them. The caller holds the
    lock.
    """
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


def now_ms() -> int:
    """The time, in ms since 1970."""
    return time.time_ns() // 1_000_000


def _set_environment() -> None:
    """Set what MLflow is to find in its environment when it is imported, unless the user has."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _path(uri: str) -> Path:
    return Path(url2pathname(urlsplit(uri).path))


def _ask(location: Location, experiment: str) -> StoreState:
    with explained(location):
        client = connect(location.uri)
        found = client.get_experiment_by_name(experiment)
        if found is None:
            return StoreState()
        runs: list[StoredRun] = []
        token: str | None = None
        while True:
            page = client.search_runs(
                [found.experiment_id], f"tags.`{KEY}` LIKE '%'", max_results=_PAGE, page_token=token
            )
            for run in page:
                tags = {
                    name: value
                    for name, value in run.data.tags.items()
                    if name == PARENT or not name.startswith("mlflow.")
                }
                info = run.info
                runs.append(StoredRun(info.run_id, info.status, info.artifact_uri or "", tags))
            token = page.token
            if not token:
                break
    is_deleted = found.lifecycle_stage == "deleted"
    return StoreState(found.experiment_id, is_deleted, tuple(runs), found.artifact_location)


def _check_magic(database: Path) -> None:
    try:
        with database.open("rb") as stream:
            head = stream.read(len(_SQLITE_MAGIC))
    except OSError as error:
        raise InputError(str(database), f"cannot be read: {error.strerror}", _RETRY_LATER) from None
    if head and head != _SQLITE_MAGIC:
        raise InputError(
            str(database), "is not an SQLite database", "move it away and publish again"
        )


def _fingerprint(database: Path) -> list[int]:
    """Identity, size and time of the file and of its log: another after every change."""
    fingerprint = []
    for suffix in ("", "-wal", "-journal"):
        with contextlib.suppress(OSError):
            status = database.with_name(database.name + suffix).stat()
            if status.st_size:
                fingerprint += [status.st_ino, status.st_size, status.st_mtime_ns]
    return fingerprint


def _kept_file(database: Path) -> Path:
    return database.with_name(f"{database.name}.state.json")


def _keep(location: Location, experiment: str, fingerprint: list[int], state: StoreState) -> None:
    assert location.database is not None
    kept = [location.uri, experiment, fingerprint, asdict(state)]
    with contextlib.suppress(OSError):  # only a publication then takes longer
        write_text(_kept_file(location.database), json.dumps(kept))


def _read_kept(location: Location, experiment: str, fingerprint: list[int]) -> StoreState | None:
    assert location.database is not None
    try:
        *circumstances, state = json.loads(_kept_file(location.database).read_text())
        if circumstances != [location.uri, experiment, fingerprint]:
            return None
        runs = tuple(StoredRun(**run) for run in state.pop("runs"))
        return StoreState(**state, runs=runs)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _set_write_ahead(*, on: bool) -> None:
    """Have SQLite connections that SQLAlchemy opens from now on write ahead, or not.

    MLflow commits several times per run, and each commit would wait twice for the disk. With a
    log beside the file it need not: a process that is killed loses nothing by it, and a machine
    that loses power may lose the last runs, never the store; the next publication brings them
    back.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    if on != event.contains(Engine, "connect", _write_ahead):
        (event.listen if on else event.remove)(Engine, "connect", _write_ahead)


def _write_ahead(connection: Any, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        with contextlib.suppress(sqlite3.Error):  # a store that can only be read
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
