from __future__ import annotations

from pathlib import Path

import pytest

from offset_autoencoder.config.schema import Tracking
from offset_autoencoder.tracking.store import locate


def test_default_lies_at_the_project_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    location = locate(Tracking())
    assert location.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert location.database == tmp_path / "mlflow.db"
    assert location.artifacts == (tmp_path / "mlartifacts").as_uri()


def test_params_go_before_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert locate(Tracking()).uri == "http://127.0.0.1:1"
    assert locate(Tracking(uri="sqlite:////srv/a.db")).uri == "sqlite:////srv/a.db"


def test_relative_sqlite_path_is_anchored_at_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    location = locate(Tracking(uri="sqlite:///stores/a.db?timeout=5"))
    assert location.uri == f"sqlite:///{tmp_path}/stores/a.db?timeout=5"
    assert location.database == tmp_path / "stores" / "a.db"
    assert location.lock.parent == tmp_path / "stores"


def test_a_server_keeps_its_artifacts_where_it_says() -> None:
    location = locate(Tracking(uri="https://example.org/mlflow"))
    assert location.is_server
    assert location.artifacts is None
    assert location.database is None


def test_password_is_not_shown() -> None:
    location = locate(Tracking(uri="postgresql://me:s3cret@db.example.org/mlflow"))
    assert location.safe_uri == "postgresql://me:***@db.example.org/mlflow"
    assert "s3cret" in location.uri
