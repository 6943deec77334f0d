"""The MLflow store: its location and lock, its content by MLflow's client, its errors in one line.

What an SQLite store held is kept beside it, with the state that its file was in. As long as the
file is in that state nothing has changed, by whomever, and MLflow (seconds to import) is not
needed to read it. Of a server nothing as cheap tells, so it is asked each time.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import os
import re
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from offset_autoencoder.config.schema import Tracking
from offset_autoencoder.config.values import ENVIRONMENT, check_environment
from offset_autoencoder.errors import InputError, fault_of_disk, is_of_disk
from offset_autoencoder.io.files import write_text
from offset_autoencoder.paths import project_root
from offset_autoencoder.tracking.record_types import KEY, PARENT, VIEW, StoredRun, StoreState

if TYPE_CHECKING:
    from mlflow.store.entities import PagedList
    from mlflow.tracking import MlflowClient

T = TypeVar("T")

CHAMPION = "champion"
"""The alias of a registered model's best version; those of data sets begin so."""

_SQLITE = "sqlite:///"
_ARTIFACTS = "mlartifacts"
_SQLITE_MAGIC = b"SQLite format 3\0"
_RETRY_LATER = "what was published stays, and 'dvc repro' publishes the rest"
_CHECK_URI = "check tracking.uri and MLFLOW_TRACKING_URI"
_NOT_MLFLOW = "expected an MLflow server, got"
MLFLOW_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # A call that fails is sent again at once, and after 2, 4 and 8 s, each a little more.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "GIT_PYTHON_REFRESH": "quiet",
}


class StoreUnreachable(InputError):
    """Error of a server that does not answer, or cannot at the moment."""


@dataclass(frozen=True)
class Location:
    """Location of an MLflow store.

    The lock, which a publisher holds while it writes, lies beside an SQLite store; a server has
    one per user and machine, whatever the project's folder.
    """

    uri: str  # the tracking URI, an SQLite path in it absolute
    artifacts: str | None  # URI for those of a new experiment; None: the server says
    lock: Path
    database: Path | None = None  # the SQLite file, where the store is one

    @property
    def is_server(self) -> bool:
        """True if the store is reached over HTTP."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def safe_uri(self) -> str:
        """The URI without its password, for messages."""
        return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", self.uri)

    @property
    def name(self) -> str:
        """Kind and safe URI, for messages."""
        return f"MLflow {'server' if self.is_server else 'store'} {self.safe_uri}"


def locate(tracking: Tracking) -> Location:
    """Find the store: ``tracking.uri``, else ``MLFLOW_TRACKING_URI``, else ``mlflow.db``.

    The default, and every relative SQLite path, lies at the project root, which DVC's temporary
    clones share. The artifacts of an SQLite store lie beside it, in ``mlartifacts``.

    Raises:
        InputError: where MLflow cannot open what the environment names.
    """
    root = project_root()
    if tracking.uri is None:
        check_environment()
    uri = tracking.uri or os.environ.get(ENVIRONMENT) or sqlite_uri(root / "mlflow.db")
    if not uri.startswith(_SQLITE):
        # Clones of the project in other folders share nothing with this one but the machine.
        server = f"{user_name() or 'user'} {uri.rpartition('@')[2].rstrip('/')}"
        digest = hashlib.sha256(server.encode()).hexdigest()[:16]
        lock = Path(tempfile.gettempdir()) / f"offset-autoencoder-publish-{digest}.lock"
        other = Location(uri, (root / _ARTIFACTS).as_uri(), lock)
        return replace(other, artifacts=None) if other.is_server else other
    path, mark, query = uri.removeprefix(_SQLITE).partition("?")
    database = root / unquote(path)
    return Location(
        sqlite_uri(database) + mark + query,
        (database.parent / _ARTIFACTS).as_uri(),
        database.with_name(f"{database.name}.lock"),
        database,
    )


def sqlite_uri(database: Path) -> str:
    """The tracking URI of an SQLite file; what has a meaning in a URI is escaped."""
    return _SQLITE + str(database).replace("%", "%25").replace("?", "%3F")


@contextlib.contextmanager
def publisher_lock(location: Location) -> Iterator[None]:
    """Hold the store's lock, saying so where another process on this machine holds it.

    Raises:
        InputError: where the lock file cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(location.lock)
    try:
        try:
            held = lock.acquire(blocking=False)
        except Timeout:
            print(f"waiting for another publish (it holds {location.lock})", file=sys.stderr)
            held = lock.acquire()
    except OSError as error:
        raise InputError(str(location.lock), f"cannot be locked: {error.strerror}") from None
    with held:
        yield


def user_name() -> str | None:
    """Name of the user; some containers run under a user id that has none."""
    with contextlib.suppress(KeyError, OSError):
        return getpass.getuser()
    return None


def connect(uri: str, *, write_ahead: bool = True) -> MlflowClient:
    """A client of a store: quiet, without telemetry, giving up on a dead server in 15 to 20 s.

    ``write_ahead`` has an SQLite store keep a log beside it while it is written to.
    """
    _set_environment()
    import logging

    from mlflow.tracking import MlflowClient
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    if write_ahead != event.contains(Engine, "connect", _write_ahead):
        (event.listen if write_ahead else event.remove)(Engine, "connect", _write_ahead)
    return MlflowClient(tracking_uri=uri)


@contextlib.contextmanager
def explained(location: Location) -> Iterator[None]:
    """Turn what MLflow and the network raise into one line.

    Raises:
        InputError: naming the store, what went wrong in it, and how to go on;
            :class:`StoreUnreachable` where that is to wait for its server.
    """
    _set_environment()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        if isinstance(error, OSError) and is_of_disk(error):  # MLflow names a file that has gone
            what, mend = fault_of_disk(error)
            place = f", in {Path(error.filename).parent}" if error.filename else ""
            raise InputError(location.name, what + place, f"{mend}; {_RETRY_LATER}") from error
        text = str(error).strip()
        what = text.splitlines()[0] if text else type(error).__name__
        wrong = server_error(location.name, text) or InputError(location.name, what, _RETRY_LATER)
        raise wrong from error


def server_error(where: str, text: str, again: str = _RETRY_LATER) -> InputError | None:
    """Error of a server that cannot be used, by MLflow's message on it; None: it is about another.

    It is a :class:`StoreUnreachable` where to wait for the server helps, and then ``again``.
    """
    # What follows in MLflow's message is the network library's account of every retry.
    if status := re.search(r"too many (\d+) error responses", text):
        return StoreUnreachable(where, f"answers with HTTP status {status[1]}", again)
    if re.search(r" failed with (timeout )?exception|Max retries exceeded", text):
        reason = re.search(r"\[Errno -?\d+\] [^'\")]+", text)
        what = f"cannot be reached: {reason[0] if reason else 'it does not answer'}"
        return StoreUnreachable(where, what, again)
    status = re.search(r"failed with error code (\d+)", text)
    if status and status[1] in ("401", "403"):
        mend = "check MLFLOW_TRACKING_USERNAME and _PASSWORD, or MLFLOW_TRACKING_TOKEN"
        return InputError(where, f"refuses the login, with HTTP status {status[1]}", mend)
    if status or "not in a valid JSON format" in text:
        answer = f"HTTP status {status[1]}" if status else "another answer"
        return InputError(where, f"{_NOT_MLFLOW} {answer}", _CHECK_URI)
    return None


def all_pages(search: Callable[[str | None], PagedList[T]]) -> list[T]:
    """Everything that one of the client's searches finds, page by page."""
    page = search(None)
    found = list(page)
    while page.token:
        page = search(page.token)
        found += page
    return found


def read_state(location: Location, tracking: Tracking) -> StoreState:
    """Read what a store holds; MLflow is imported only where the kept state does not count.

    Raises:
        InputError: where the store cannot be read or reached.
    """
    database = location.database
    if database is None:
        return _ask(location, tracking)
    if not database.exists():
        return StoreState()
    _check_magic(database)
    kept = database.with_name(f"{database.name}.state.json")
    named = [tracking.experiment, tracking.models != "none", tracking.registered_model]
    before = [location.uri, named, _fingerprint(database)]
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        *circumstances, state = json.loads(kept.read_text())
        if circumstances == before:
            runs, models = (StoredRun(**run) for run in state["runs"]), state["models"]
            return StoreState(**state | {"runs": tuple(runs), "models": tuple(models)})
    state = _ask(location, tracking)
    if _fingerprint(database) == before[-1]:
        with contextlib.suppress(OSError):  # only a publication then takes longer
            write_text(kept, json.dumps([*before, asdict(state)]))
    return state


def create_database(location: Location) -> None:
    """Create an SQLite store that does not exist: whole, or not at all; the caller holds the lock.

    MLflow makes its tables in some 50 steps; a process killed among them would leave a file that
    MLflow refuses. So they are made in another file that is then given its name.
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


def _set_environment() -> None:
    """Set what MLflow is to find in its environment when it is imported, unless the user has."""
    for name, value in MLFLOW_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _ask(location: Location, tracking: Tracking) -> StoreState:
    with explained(location):
        client = connect(location.uri)
        found = client.get_experiment_by_name(tracking.experiment)
        if found is None:
            return StoreState()
        if not found.experiment_id:  # MLflow's client fills in what an answer lacks
            raise InputError(location.name, f"{_NOT_MLFLOW} another answer", _CHECK_URI)
        ids, ours = [found.experiment_id], f"tags.`{KEY}` LIKE '%'"
        runs = all_pages(lambda page: client.search_runs(ids, ours, page_token=page))
        models, of_aliases = [], {}
        if tracking.models != "none":
            models = all_pages(lambda page: client.search_logged_models(ids, page_token=page))
            if tracking.registered_model:
                of_aliases = champions(client, tracking.registered_model)
    is_deleted = found.lifecycle_stage == "deleted"
    stored = tuple(
        StoredRun(
            run.info.run_id,
            run.info.status,
            run.info.artifact_uri or "",
            {n: v for n, v in run.data.tags.items() if n == PARENT or not n.startswith("mlflow.")},
        )
        for run in runs
    )
    logged = tuple(str(model.model_id) for model in models)
    return StoreState(
        found.experiment_id,
        is_deleted,
        stored,
        found.artifact_location,
        logged,
        of_aliases,
        found.tags.get(VIEW),
    )


def champions(client: MlflowClient, name: str) -> dict[str, str]:
    """Champions of a registered model: by alias the version, if its logged model is there."""
    from mlflow.exceptions import MlflowException

    found: dict[str, str] = {}
    try:
        aliases = client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return found
    for alias, number in sorted(aliases.items()):
        if not alias.startswith(CHAMPION):
            continue
        try:
            version = client.get_model_version(name, str(number))
            scheme, _, model_id = str(version.source).partition("/")
            if scheme == "models:":
                client.get_logged_model(model_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        else:
            found[alias] = str(version.version)
    return found


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


def _write_ahead(connection: Any, _record: object) -> None:
    """Have an SQLite connection that SQLAlchemy opens write ahead."""
    # MLflow commits several times per run, and each commit would wait twice for the disk. With a
    # log it need not: a kill loses nothing, and a loss of power the last runs, never the store.
    if isinstance(connection, sqlite3.Connection):
        with contextlib.suppress(sqlite3.Error):  # a store that can only be read
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
