from __future__ import annotations

from pathlib import Path

import pytest

from offset_autoencoder.paths import CUSTOM, RAW, copy_into_clone, project_root, run_store


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


def test_the_run_store_lies_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    for value, folder in (("", ".runs"), ("kept/runs", "kept/runs"), ("/shared", "/shared")):
        monkeypatch.setenv("OFFSET_AUTOENCODER_RUNS", value)
        assert run_store() == tmp_path.resolve() / folder
    monkeypatch.setenv("OFFSET_AUTOENCODER_RUNS", "~/runs")
    assert run_store() == Path.home() / "runs"


@pytest.mark.parametrize("folder", [RAW, CUSTOM], ids=str)
def test_a_temporary_clone_gets_the_files_it_lacks_and_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    own, clone = tmp_path / folder, tmp_path / "clone"
    (own / "deep").mkdir(parents=True)
    (clone / folder).mkdir(parents=True)
    for name in ("a.csv", "deep/b.csv", "both.csv", "a.csv.dvc"):
        (own / name).write_text("the project's")
    (clone / folder / "both.csv").write_text("the clone's")
    monkeypatch.chdir(clone)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    for _ in range(2):
        copy_into_clone(folder)
        found = {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*.*")}
        assert found == {
            "a.csv": "the project's",
            "deep/b.csv": "the project's",
            "both.csv": "the clone's",
        }
    # As a link it would be committed, and applied in the place of what it points to.
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    copy_into_clone(tmp_path / "elsewhere")
    copy_into_clone(Path("nothing/here"))


def test_nothing_is_brought_into_the_project_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / RAW).mkdir(parents=True)
    (tmp_path / RAW / "a.csv").touch()
    monkeypatch.chdir(tmp_path)
    for root in ("", str(tmp_path)):
        monkeypatch.setenv("DVC_ROOT", root)
        copy_into_clone(RAW)
    assert [path.name for path in (tmp_path / RAW).iterdir()] == ["a.csv"]
    assert not (tmp_path / RAW / "a.csv").is_symlink()
