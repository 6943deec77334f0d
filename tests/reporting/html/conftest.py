from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.reporting.html.elements import Element, parse
from tests.reporting.html.project import Project, make_project

LABELS = [str(digit) for digit in range(10)]


@pytest.fixture(scope="session")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a small project with labels and images."""
    return make_project(tmp_path_factory.mktemp("project"), labels=LABELS, seeds=10).write()


@pytest.fixture(scope="session")
def page(html: str) -> Element:
    """The same, as elements."""
    return parse(html)


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Project]:
    """Makes a project of a test's own."""

    def make(**arguments: Any) -> Project:
        return make_project(tmp_path, **arguments)

    return make
