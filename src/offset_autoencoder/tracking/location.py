"""Location of the MLflow store, and the lock that lets one publisher at a time write to it."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from offset_autoencoder.config.schema import Tracking
from offset_autoencoder.config.values import ENVIRONMENT, check_environment
from offset_autoencoder.errors import InputError
from offset_autoencoder.paths import project_root

_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Location:
    """An MLflow store.

    Attributes:
        uri: The tracking URI. A relative SQLite path has been made absolute.
        artifacts: Where the artifacts of a new experiment go, as a URI; None: the server says.
        lock: The file whose lock a publisher holds while it writes: beside an SQLite store, and
            for a server one per user and machine, whatever the project's folder.
    """

    uri: str
    artifacts: str | None
    lock: Path

    @property
    def database(self) -> Path | None:
        """The SQLite file, where the store is one."""
        return _database(self.uri)

    @property
    def is_server(self) -> bool:
        """True if the store is reached over HTTP."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def safe_uri(self) -> str:
        """The URI without its password, for messages."""
        return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", self.uri)


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
    database = _database(uri)
    if database is not None:
        database = root / database
        query = uri.partition("?")[2]
        return Location(
            uri=sqlite_uri(database) + (f"?{query}" if query else ""),
            artifacts=(database.parent / "mlartifacts").as_uri(),
            lock=database.with_name(f"{database.name}.lock"),
        )
    is_server = uri.startswith(("http://", "https://"))
    return Location(
        uri=uri,
        artifacts=None if is_server else (root / "mlartifacts").as_uri(),
        lock=_lock_of_server(uri),
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
        location.lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"waiting for another publish (it holds {location.lock})", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        raise InputError(str(location.lock), f"cannot be locked: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


def _database(uri: str) -> Path | None:
    if not uri.startswith(_SQLITE):
        return None
    return Path(unquote(uri.removeprefix(_SQLITE).partition("?")[0]))


def _lock_of_server(uri: str) -> Path:
    # Clones of the project in other folders share nothing with this one but the machine.
    user = "user"
    with contextlib.suppress(KeyError, OSError):  # some containers have no name for it
        user = getpass.getuser()
    server = uri.rpartition("@")[2].rstrip("/")
    digest = hashlib.sha256(f"{user} {server}".encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"offset-autoencoder-publish-{digest}.lock"
