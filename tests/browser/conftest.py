"""A real browser: Debian's Chromium, without a window, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.reporting.html.project import make_project

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Without a sandbox, as root in a container has none to give; and without any word to the network.
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


@dataclass
class Opened:
    """A page, and what happened in it.

    Attributes:
        page: The page.
        errors: What it wrote to the console as error or warning, and what it did not catch.
        requests: The addresses that it asked for, ``data:`` apart.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser; tests are skipped where it, or what drives it, is not installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip(f"no {', '.join(_NAMES)}: install Debian's package chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=list(_FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def report_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a small project; one label tries to be a script."""
    labels = ["a", "b", '<img src="x" onerror="window.hacked = 1">']
    made = make_project(tmp_path_factory.mktemp("project"), seeds=10, labels=labels)
    made.write()
    return made.reports / "index.html"


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """Opens a file as ``Browser.new_context`` is told, and waits until its charts are drawn."""
    contexts = []

    def open_it(path: Path, *, drawn: bool = True, **context: Any) -> Opened:
        options = {"viewport": {"width": 1280, "height": 900}, **context}
        contexts.append(browser.new_context(**options))
        opened = Opened(contexts[-1].new_page())
        opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.page.on(
            "console",
            lambda said: (
                opened.errors.append(said.text) if said.type in ("error", "warning") else None
            ),
        )
        opened.page.on(
            "request",
            lambda asked: (
                None if asked.url.startswith("data:") else opened.requests.append(asked.url)
            ),
        )
        opened.page.goto(path.as_uri())
        if drawn:
            opened.page.wait_for_selector("html[data-drawn]", state="attached", timeout=600_000)
        return opened

    yield open_it
    for context in contexts:
        context.close()
