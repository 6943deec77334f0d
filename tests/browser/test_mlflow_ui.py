"""Views of ``mlflow ui``: the settings, the tree of runs, two side by side, and a picture."""

from __future__ import annotations

import json
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
from offset_autoencoder.tracking.pages import results_page
from offset_autoencoder.tracking.record_types import StoreState

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

# Texts that a page which shows them as HTML or as a link would run.
_IMAGE = '<img src="x" onerror="window.ran = 1">'
_HTML = (
    "<script>window.ran = 1</script>",
    _IMAGE,
    "<svg onload='window.ran = 1'>",
    '<iframe srcdoc="<script>parent.ran = 1</script>"></iframe>',
    '<iframe src="javascript:parent.ran = 1"></iframe>',
    '<a href="javascript:window.ran = 1">a link</a>',
    '<a href="java\tscript:window.ran = 1">a link</a>',
)
_LAST_LINE = "the end of the note"
_NOTE = "\n\n".join(
    (*_HTML, "[a link](javascript:window.ran=1)", "\x1b]0;title\x07\u202e", "x" * 5000, _LAST_LINE)
)
_HAS_RUN = """window.ran === 1
    || [...document.links].some((link) => link.protocol === 'javascript:')"""

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
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(300_000)
    yield page
    context.close()


def kept(page: Page, tmp_path: Path, name: str) -> None:
    """A picture of the page beside the test's files, for whoever wants to look."""
    page.screenshot(path=str(tmp_path / f"{name}.png"))


def test_the_link_opens_a_flat_table_of_settings_best_first(
    ui: Ui, page: Page, tmp_path: Path
) -> None:
    page.goto(results_page(ui.uri, StoreState(ui.experiment, view="kept")))
    for cell in ("[0.015, 0.215]", "+25.0 % [+20.0, +30.0]", "worse"):
        page.get_by_text(cell, exact=True).first.wait_for()
    kept(page, tmp_path, "settings")
    heads = [text.strip() for text in page.locator(".ag-header-cell").all_inner_texts()]
    columns = ["test_mse", "interval", "difference_from_none", "against_none"]
    first = heads.index("test_mse")
    assert heads[first : first + len(columns)] == columns
    rows = page.locator(".ag-pinned-left-cols-container .ag-row").all_inner_texts()
    names = ["none", "gaussian stddev=0.1", "gaussian stddev=0.2"]
    assert [[line for line in row.splitlines() if line in names] for row in rows] == [
        [name] for name in names
    ]


def test_charts_begin_with_the_test_metric(ui: Ui, page: Page, tmp_path: Path) -> None:
    table = results_page(ui.uri, StoreState(ui.experiment, view="kept"))
    page.goto(table.replace("TABLE", "CHART"))
    title, other = (page.get_by_text(name).first for name in ("test_mse", "change_against_none"))
    title.wait_for()
    other.wait_for()
    kept(page, tmp_path, "charts")
    place, after = title.bounding_box(), other.bounding_box()
    assert place is not None
    assert after is not None
    assert (place["y"], place["x"]) < (after["y"], after["x"])


def test_the_experiment_opens_into_settings_and_seeds(ui: Ui, page: Page, tmp_path: Path) -> None:
    page.goto(f"{ui.uri}/#/experiments/{ui.experiment}/runs")
    page.get_by_text(_PARENT).first.wait_for()
    setting = "gaussian stddev=0.1"
    assert page.get_by_text(setting, exact=True).count() == 0
    for opened, within in ((_PARENT, setting), (setting, f"{setting} seed=1")):
        row = page.locator(".ag-cell", has=page.get_by_text(opened, exact=True)).first
        row.locator("button").first.click()
        page.get_by_text(within, exact=True).first.wait_for()
    kept(page, tmp_path, "runs")


def test_comparing_two_settings_opens_on_the_test_metric(
    ui: Ui, page: Page, tmp_path: Path
) -> None:
    chosen = ["gaussian stddev=0.1", "none"]
    ids = quote(str([ui.ids[name] for name in chosen]).replace("'", '"'))
    page.goto(f'{ui.uri}/#/compare-runs?runs={ids}&experiments=["{ui.experiment}"]')
    for name in chosen:
        page.get_by_text(name).first.wait_for()
    kept(page, tmp_path, "compared")
    assert "stddev" in page.inner_text("body")
    plot = page.locator(".js-plotly-plot").first
    plot.get_by_text("test_mse", exact=True).first.wait_for()
    assert plot.get_by_text("best_val_loss", exact=True).count() == 0


def test_the_picture_of_the_comparison_is_shown(ui: Ui, page: Page, tmp_path: Path) -> None:
    place = "artifacts/pictures/comparison.png"
    page.goto(f"{ui.uri}/#/experiments/{ui.experiment}/runs/{ui.ids[_PARENT]}/{place}")
    widths = "() => [...document.images].map((image) => image.naturalWidth)"
    page.wait_for_function(f"({widths})().includes({_WIDTH})")
    kept(page, tmp_path, "picture")
    assert _WIDTH in page.evaluate(widths)


def test_names_and_notes_that_try_to_be_scripts_run_nothing(
    ui: Ui, page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in _HTML:  # a page that took it for HTML would be seen to
        page.set_content(text)
        page.wait_for_function(_HAS_RUN)
    offsets = {"none": {"kind": "zero"}, "frozen": {"kind": "file", "path": f"{_IMAGE}.npy"}}
    tracking = {"experiment": _IMAGE, "models": "none", "uri": ui.uri}
    project = Project(tmp_path / "p", {**document(), "offsets": offsets, "tracking": tracking})
    schema = project.write().root / "data" / "prepared" / "schema.json"
    schema.write_text(schema.read_text().replace('"digits"', json.dumps(" ".join(_HTML))))
    table = project.root / "reports" / "comparison.csv"
    quoted = _IMAGE.replace('"', '""')
    verdict = "worse than `none` by 0.01 (p 0.04)"
    table.write_text(table.read_text().replace(verdict, f'"{quoted} {verdict}"'))
    monkeypatch.chdir(project.root)
    project.publish()
    # What may be written to the store by hand, and by whoever shares it.
    client = project.client
    experiment = client.get_experiment_by_name(_IMAGE).experiment_id
    client.set_experiment_tag(experiment, "mlflow.note.content", _NOTE)
    runs = [run.id for run in project.of_role("run")[:2]]
    for run in runs:
        client.update_run(run, name=_IMAGE)
        client.set_tag(run, "mlflow.note.content", _NOTE)
        for number, text in enumerate(_NOTE.split("\n\n")):
            client.set_tag(run, f"tag {number}", text)
    model = client.create_logged_model(experiment, name="model", source_run_id=runs[0])
    client.finalize_logged_model(model.model_id, "READY")
    client.create_registered_model(_IMAGE, {"tag": _IMAGE}, _NOTE)
    version = {"source": f"models:/{model.model_id}", "model_id": model.model_id}
    client.create_model_version(_IMAGE, **version, tags={"tag": _IMAGE}, description=_NOTE)
    client.set_registered_model_alias(_IMAGE, "champion", 1)
    compared = f"runs={quote(json.dumps(runs))}&experiments={quote(json.dumps([experiment]))}"
    places = {
        "experiments": _IMAGE,
        f"experiments/{experiment}/runs": _IMAGE,
        f"experiments/{experiment}/runs/{runs[0]}": _LAST_LINE,
        f"experiments/{experiment}/models/{model.model_id}": _IMAGE,
        f"compare-runs?{compared}": _IMAGE,
        "models": _IMAGE,
        f"models/{quote(_IMAGE)}": _LAST_LINE,
        f"models/{quote(_IMAGE)}/versions/1": _LAST_LINE,
    }
    for number, (place, text) in enumerate(places.items()):
        page.goto("about:blank")  # each of them is loaded anew
        page.goto(f"{ui.uri}/#/{place}")
        page.get_by_text(text).first.wait_for(state="attached")
        page.wait_for_timeout(1000)  # for an image that cannot be loaded
        kept(page, tmp_path, f"hostile {number}")
        assert not page.evaluate(_HAS_RUN), place
