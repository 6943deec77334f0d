"""Where the MLflow store is: its URI, its artifacts, and the lock that guards it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from offset_autoencoder.config.schema import Tracking
from offset_autoencoder.config.tracking_uri import ENVIRONMENT, check_environment
from offset_autoencoder.paths import project_root

_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Location:
    """An MLflow store.

    Attributes:
        uri: The tracking URI. A relative SQLite path has been made absolute.
        artifacts: Where the artifacts of a new experiment go, as a URI; None: the server says.
        lock: The file whose lock a publisher holds while it writes.
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
        """Whether the store is reached over HTTP."""
        return self.uri.startswith(("http://", "https://"))

    @property
    def shown(self) -> str:
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
        lock=root / "mlflow.db.lock",
    )


def sqlite_uri(database: Path) -> str:
    """The tracking URI of an SQLite file; what has a meaning in a URI is escaped."""
    return _SQLITE + str(database).replace("%", "%25").replace("?", "%3F")


def _database(uri: str) -> Path | None:
    if not uri.startswith(_SQLITE):
        return None
    return Path(unquote(uri.removeprefix(_SQLITE).partition("?")[0]))
