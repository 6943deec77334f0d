"""Views of ``mlflow ui``: the tree of runs, two of them side by side, and a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import pytest
from tests.tracking.conftest import Project, document
from tests.tracking.servers import Server

from offset_autoencoder.reporting.rendering import png

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

_PARENT = "digits: 2 models, 6 runs"
_WIDTH = 48  # of the picture, pixels


@dataclass(frozen=True)
class Ui:
    """A server with a project's runs.

    Attributes:
        uri: Its address.
        experiment: The MLflow experiment's id.
        ids: The runs' ids in MLflow, by name.
    """

    uri: str
    experiment: str
    ids: dict[str, str]


@pytest.fixture(scope="module")
def ui(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """The runs of a small project on an MLflow server of our own."""
    folder = tmp_path_factory.mktemp("ui")
    server = Server(f"sqlite:///{folder}/store.db", folder)
    server.start()
    try:
        tracking = {"experiment": "shown", "models": "none", "uri": server.uri}
        project = Project(folder / "project", {**document(), "tracking": tracking}).write()
        picture = project.root / "reports" / "plots" / "comparison.png"
        picture.write_bytes(png(np.full((32, _WIDTH, 3), 128, np.uint8)))
        with pytest.MonkeyPatch.context() as moved:
            moved.chdir(project.root)
            project.publish()
        experiment = project.client.get_experiment_by_name("shown").experiment_id
        yield Ui(server.uri, experiment, {run.name: run.id for run in project.shown()})
    finally:
        server.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(600_000)
    yield page
    context.close()


def kept(page: Page, tmp_path: Path, name: str) -> None:
    """A picture of the page beside the test's files, for whoever wants to look."""
    page.screenshot(path=str(tmp_path / f"{name}.png"))


def test_the_experiment_opens_into_settings_and_seeds(ui: Ui, page: Page, tmp_path: Path) -> None:
    page.goto(f"{ui.uri}/#/experiments/{ui.experiment}/runs")
    page.get_by_text(_PARENT).first.wait_for()
    assert page.get_by_text("gaussian 0.1", exact=True).count() == 0
    for opened, within in ((_PARENT, "gaussian 0.1"), ("gaussian 0.1", "gaussian 0.1 seed 1")):
        row = page.locator(".ag-cell", has=page.get_by_text(opened, exact=True)).first
        row.locator("button").first.click()
        page.get_by_text(within, exact=True).first.wait_for()
    kept(page, tmp_path, "runs")


def test_two_settings_are_compared_side_by_side(ui: Ui, page: Page, tmp_path: Path) -> None:
    chosen = ["gaussian 0.1", "gaussian 0.2"]
    ids = quote(str([ui.ids[name] for name in chosen]).replace("'", '"'))
    page.goto(f'{ui.uri}/#/compare-runs?runs={ids}&experiments=["{ui.experiment}"]')
    for name in chosen:
        page.get_by_text(name).first.wait_for()
    kept(page, tmp_path, "compared")
    said = page.inner_text("body")
    assert "stddev" in said
    assert "mse" in said


def test_the_picture_of_the_comparison_is_shown(ui: Ui, page: Page, tmp_path: Path) -> None:
    place = "artifacts/pictures/comparison.png"
    page.goto(f"{ui.uri}/#/experiments/{ui.experiment}/runs/{ui.ids[_PARENT]}/{place}")
    widths = "() => [...document.images].map((image) => image.naturalWidth)"
    page.wait_for_function(f"({widths})().includes({_WIDTH})")
    kept(page, tmp_path, "picture")
    assert _WIDTH in page.evaluate(widths)
