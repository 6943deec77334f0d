from __future__ import annotations

from pathlib import Path

import pytest

from offset_autoencoder.project import project_root, run_store


def test_the_project_is_where_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert project_root() == tmp_path.resolve()
    monkeypatch.setenv("DVC_ROOT", "")
    assert project_root() == tmp_path.resolve()


def test_a_temporary_clone_keeps_its_runs_in_the_project_it_was_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clone").mkdir()
    monkeypatch.chdir(tmp_path / "clone")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert run_store() == tmp_path.resolve() / ".runs"
    assert run_store().is_absolute()
