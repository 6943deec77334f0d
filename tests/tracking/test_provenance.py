from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.tracking.conftest import Make

from offset_autoencoder.tracking.writer import provenance


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit of three files."""
    for name in ("params.yaml", "dvc.lock", ".gitignore"):
        (tmp_path / name).write_text("1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    git(tmp_path, *who, "commit", "--quiet", "--message", "first")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_commit_and_clean_tree(repository: Path) -> None:
    tags = provenance(repository)
    assert tags["mlflow.source.git.commit"] == git(repository, "rev-parse", "HEAD")
    assert tags["git_dirty"] == "false"


@pytest.mark.parametrize(
    ("changed", "dirty"), [("params.yaml", "true"), ("dvc.lock", "false"), ("new.txt", "false")]
)
def test_dirty_is_what_a_person_changed(repository: Path, changed: str, dirty: str) -> None:
    (repository / changed).write_text("2\n")
    assert provenance(repository)["git_dirty"] == dirty


def test_without_git_the_tags_are_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    tags = provenance(tmp_path)
    assert "mlflow.source.git.commit" not in tags
    assert "git_dirty" not in tags


def test_a_later_commit_changes_nothing_that_is_published(
    make_project: Make, repository: Path
) -> None:
    project = make_project()
    assert project.root.parent == repository
    project.publish()
    first = git(repository, "rev-parse", "HEAD")
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    git(repository, *who, "commit", "--quiet", "--allow-empty", "--message", "second")
    assert project.publish().plan.is_nothing
    assert {run.tags["mlflow.source.git.commit"] for run in project.shown()} == {first}
