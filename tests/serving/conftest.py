from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.serving.small_project import make_project


@pytest.fixture(scope="session")
def project_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("project")
    make_project(root)
    # What computes f(x) of kind function is found on the path of imports.
    sys.path.insert(0, str(root))
    yield root
    sys.path.remove(str(root))


@pytest.fixture
def project(project_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in the project."""
    monkeypatch.chdir(project_root)
    return project_root
