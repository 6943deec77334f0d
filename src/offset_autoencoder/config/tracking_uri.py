"""Check of the form of a tracking URI, without importing MLflow."""

from __future__ import annotations

import os
import re
from importlib.metadata import entry_points

from offset_autoencoder.errors import InputError, did_you_mean, short_repr

ENVIRONMENT = "MLFLOW_TRACKING_URI"
_SERVERS = ("http", "https")
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_KNOWN = (*_SERVERS, *_DATABASES, "databricks")
_PLUGINS = "mlflow.tracking_store"
_MEND = "for example sqlite:///mlflow.db, http://127.0.0.1:5000, or null for the default"


def check_tracking_uri(where: str, uri: str) -> None:
    """Refuse a URI that MLflow cannot open, before anything is trained.

    Raises:
        InputError: for a scheme that MLflow and its plugins do not know, a URI that lacks its
            server or its file, and MLflow's file store, which MLflow 3 no longer opens.
    """
    if uri == "databricks":
        return
    scheme, colon, rest = uri.partition(":")
    # One letter is the drive of a path of Windows.
    if not colon or len(scheme) == 1 or not re.fullmatch(r"[\w.+-]+", scheme) or scheme == "file":
        if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1"):
            return
        what = f"{short_repr(uri)} names a folder, which MLflow 3 no longer takes for a store"
        raise InputError(where, what, _MEND)
    dialect, *drivers = scheme.split("+")
    is_database = dialect in _DATABASES and len(drivers) <= 1
    if scheme not in _KNOWN and not is_database and scheme not in _plugins():
        what = f"MLflow knows no store of the scheme {short_repr(scheme)}"
        raise InputError(where, what, did_you_mean(scheme, [*_KNOWN, *_plugins()]))
    if dialect == "sqlite" and not re.match(r"///[^?]", rest):
        raise InputError(where, f"{short_repr(uri)} names no file after sqlite:///", _MEND)
    if scheme in _SERVERS and not re.match(r"//[^/?#]", rest):
        raise InputError(where, f"{short_repr(uri)} names no server", _MEND)


def check_environment() -> None:
    """:func:`check_tracking_uri` of what ``MLFLOW_TRACKING_URI`` says."""
    if uri := os.environ.get(ENVIRONMENT):
        check_tracking_uri(ENVIRONMENT, uri)


def _plugins() -> list[str]:
    return [entry.name for entry in entry_points(group=_PLUGINS)]
