from __future__ import annotations

from typing import Any

import pytest

from offset_autoencoder.config.values import TrackingUri, check_environment, validate_value
from offset_autoencoder.errors import InputError

WHERE = "params.yaml: tracking.uri"
GOOD = [
    "sqlite:///mlflow.db",
    "sqlite:////srv/a.db?timeout=5",
    "postgresql://me:secret@db.example.org/mlflow",
    "postgresql+psycopg2://db.example.org/mlflow",
    "mysql+pymysql://db/mlflow",
    "mssql+pyodbc://db/mlflow",
    "http://127.0.0.1:5000",
    "https://example.org/mlflow",
    "databricks",
    "databricks://profile",
]
BAD = [
    ("foo://x", "no store of the scheme 'foo' (known are 'databricks', 'http', 'https', 'mssql'"),
    ("htps://x", "did you mean 'https'?"),
    ("postgres://db/mlflow", "did you mean 'postgresql'?"),
    ("sqlite+a+b:///x.db", "no store of the scheme 'sqlite+a+b'"),
    ("uc:http://x", "no store of the scheme 'uc'"),
    ("file:///srv/mlruns", "names a folder, which MLflow 3 no longer takes"),
    ("mlruns", "for example sqlite:///mlflow.db"),
    ("./ml:runs", "names a folder"),
    (r"C:\mlruns", "names a folder"),
    ("sqlite://mlflow.db", "names no file after sqlite:///"),
    ("sqlite:///", "names no file after sqlite:///"),
    ("sqlite:mlflow.db", "names no file after sqlite:///"),
    ("http:127.0.0.1", "names no server"),
    ("https://", "names no server"),
]


@pytest.mark.parametrize("uri", GOOD)
def test_what_mlflow_can_open_is_taken(uri: str) -> None:
    validate_value(TrackingUri, WHERE, uri)


@pytest.mark.parametrize(("uri", "expected"), BAD)
def test_what_it_cannot_open_is_one_line(uri: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        validate_value(TrackingUri, WHERE, uri)
    assert str(caught.value).startswith(f"{WHERE}: ")
    assert expected in str(caught.value)


def test_a_plugins_scheme_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offset_autoencoder.config.values._plugins", lambda: ["file-plugin"])
    validate_value(TrackingUri, WHERE, "file-plugin:///x")


def test_a_file_store_is_taken_where_mlflow_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    validate_value(TrackingUri, WHERE, "file:///srv/mlruns")


def test_what_the_environment_says_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    check_environment()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "foo://x")
    with pytest.raises(InputError, match=r"^MLFLOW_TRACKING_URI: .* scheme 'foo'"):
        check_environment()


@pytest.mark.slow
def test_agrees_with_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.tracking.file_store import FileStore
    from mlflow.tracking._tracking_service import utils

    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    find_builder: Any = utils._tracking_store_registry.get_store_builder
    open_folder: Any = FileStore
    builders = {uri: find_builder(uri) for uri in [*GOOD, "file:///x", "mlruns"]}
    files = {uri for uri, builder in builders.items() if builder is utils._get_file_store}
    assert files == {"file:///x", "mlruns"}
    with pytest.raises(Exception, match="maintenance mode"):
        open_folder("mlruns")
    for uri in ("foo://x", "postgres://db/mlflow"):
        with pytest.raises(Exception, match=r"(?i)unsupported|invalid"):
            find_builder(uri)
