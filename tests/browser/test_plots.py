"""The page of ``dvc plots diff``, drawn without the network, on a light and on a dark screen."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.end_to_end.project import ROOT, commit, run
from tests.reporting.html.project import make_project

from offset_autoencoder.reporting.page import vega_script
from offset_autoencoder.reporting.palette import DARK_PAGE, contrast

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

PLOTS = ("learning_curves", "comparison", "settings", "interventions", "robustness")
WORSE = 1.2
COLOURS = """([what, property]) => [...new Set([...document.querySelectorAll(what)]
    .filter((each) => each.getBoundingClientRect().width > 0)
    .map((each) => getComputedStyle(each)[property]))]"""


@pytest.fixture(scope="module")
def diff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that compares HEAD with a workspace where every error is a fifth larger."""
    folder = tmp_path_factory.mktemp("diff")
    make_project(folder, seeds=10)
    shutil.copytree(ROOT / ".dvc" / "plots", folder / ".dvc" / "plots")
    shutil.copyfile(ROOT / ".dvc" / "config", folder / ".dvc" / "config")
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"plots": plots}))
    run(folder, "git", "init", "--quiet")
    commit(folder)
    for name in PLOTS:
        path = folder / "reports" / "plots" / f"{name}.csv"
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        for row in rows:
            for key in {"mean", "low", "high", "change"} & row.keys():
                row[key] = row[key] and str(float(row[key]) * WORSE)
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
    run(folder, "dvc", "plots", "diff", "HEAD", "workspace", "--out", "shown")
    (folder / "shown" / "vega.js").write_text(vega_script(), encoding="utf-8")
    return folder / "shown" / "index.html"


def _open(browser: Browser, path: Path, scheme: str) -> tuple[Page, list[str]]:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    context.route("http*://**", lambda route: route.abort())
    page, faults = context.new_page(), list[str]()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(path.as_uri())
    return page, faults


def _hex(colour: str) -> str | None:
    """``rgb(r, g, b)`` as ``#rrggbb``; None where nothing is painted."""
    found = re.fullmatch(r"rgb\((\d+), (\d+), (\d+)\)", colour)
    return "#" + "".join(f"{int(channel):02x}" for channel in found.groups()) if found else None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_revisions_are_drawn_and_legible(browser: Browser, diff: Path, scheme: str) -> None:
    page, faults = _open(browser, diff, scheme)
    for name in PLOTS:
        chart = page.locator(f"#reports_plots_{name}_csv svg.marks")
        chart.wait_for(timeout=600_000)
        legend = chart.locator(".role-legend-label text").all_text_contents()
        assert {"HEAD", "workspace"} <= set(legend)
    ground = DARK_PAGE if scheme == "dark" else "#ffffff"
    names = "svg.marks .role-axis text, svg.marks .role-legend text, svg.marks .role-title text"
    words = {_hex(c) for c in page.evaluate(COLOURS, [names, "fill"])}
    assert all(contrast(str(colour), ground) >= 7 for colour in words)
    text = {_hex(c) for c in page.evaluate(COLOURS, ["svg.marks text", "fill"])} - {None}
    marks = "svg.marks .mark-symbol.role-mark path"
    fills, strokes = (page.evaluate(COLOURS, [marks, each]) for each in ("fill", "stroke"))
    lines = page.evaluate(COLOURS, ["svg.marks .mark-line.role-mark path", "stroke"])
    # A hollow mark is filled as the page is, and has its colour around it.
    drawn = {_hex(c) for c in (*fills, *strokes, *lines)} - {None, "#ffffff"}
    assert len(drawn) > 5
    least = 4.4 if scheme == "dark" else 1.5  # on white they are the pictures' own
    assert all(contrast(str(colour), ground) >= least for colour in drawn | text)
    assert faults == []
    page.context.close()


def test_a_screen_that_turns_dark_turns_the_charts(browser: Browser, diff: Path) -> None:
    page, faults = _open(browser, diff, "light")
    titles = "#reports_plots_settings_csv svg.marks .role-title text"
    page.wait_for_selector(titles, timeout=600_000)
    before = page.evaluate(COLOURS, [titles, "fill"])
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "([what, old]) => [...document.querySelectorAll(what)]"
        ".some((each) => getComputedStyle(each).fill !== old)",
        arg=[titles, before[0]],
    )
    assert faults == []
    page.context.close()


def test_without_network_and_copy_it_says_so(browser: Browser, diff: Path, tmp_path: Path) -> None:
    shutil.copyfile(diff, tmp_path / "index.html")
    page, faults = _open(browser, tmp_path / "index.html", "light")
    assert "Vega came neither" in page.inner_text("#reports_plots_settings_csv")
    assert faults == []
    page.context.close()
