"""MLflow's client, quiet, and what it raises in one line."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from offset_autoencoder.errors import InputError
from offset_autoencoder.tracking import write_ahead
from offset_autoencoder.tracking.location import Location, sqlite_uri

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def connect(uri: str) -> MlflowClient:
    """A client of a store: quiet, without telemetry, giving up on a dead server in seconds."""
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
        "GIT_PYTHON_REFRESH": "quiet",
    }.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    return MlflowClient(tracking_uri=uri)


@contextlib.contextmanager
def explained(location: Location) -> Iterator[None]:
    """Turn what MLflow and the network raise into one line.

    Raises:
        InputError: naming the store, what went wrong in it, and how to go on.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        text = str(error).strip().splitlines() or [type(error).__name__]
        # What follows in MLflow's message is the network library's account of every retry.
        said, gone, _ = text[0].partition(" failed with exception")
        raise InputError(
            f"MLflow store {location.shown}",
            f"{said} failed: the server no longer answers" if gone else said,
            "what was published stays, and 'dvc repro' publishes the rest",
        ) from error


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
    # A store that is given its name must be one whole file, without a log beside it; nor may
    # the log of a store that was deleted be taken for its own.
    write_ahead.turn(on=False)
    write_ahead.remove_log(database)
    connect(sqlite_uri(new)).search_experiments(max_results=1)
    try:
        os.link(new, database)
    except FileExistsError:  # 'mlflow ui' was quicker
        pass
    except OSError:  # a file system without hard links
        new.replace(database)
        return
    new.unlink()


def now_ms() -> int:
    """The time, in ms since 1970."""
    return time.time_ns() // 1_000_000
