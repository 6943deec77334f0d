"""``reports/index.html`` as its readers meet it."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.browser.conftest import Opened

pytestmark = pytest.mark.slow

OpenPage = Callable[..., Opened]

CURVES = "figure[data-chart=learning-curves]"
LINES = f"{CURVES} .mark-line path"


def column(page: Any, table: str, place: int) -> list[str]:
    cells = page.locator(f"#{table} tbody tr > :nth-child({place})")
    found: list[str] = cells.all_inner_texts()
    return found


def numbers(texts: list[str]) -> list[float]:
    return [float(text.split(" ")[0].replace("−", "-")) for text in texts]


def test_it_opens_without_errors_and_without_the_network(
    open_page: OpenPage, report_file: Path
) -> None:
    opened = open_page(report_file)
    assert opened.errors == []
    assert opened.requests == [report_file.as_uri()]
    figures = opened.page.locator("figure[data-chart]")
    assert figures.count() == 5
    for place in range(5):
        drawn = figures.nth(place).locator("svg .mark-line path, svg .mark-symbol path")
        assert drawn.count() > 2
    assert opened.page.evaluate("window.hacked") is None
    # Panels of codes fit the window.
    codes = opened.page.locator("figure[data-chart=codes]")
    assert codes.get_attribute("data-columns") == "4"
    opened.page.set_viewport_size({"width": 480, "height": 800})
    opened.page.wait_for_selector("figure[data-chart=codes][data-columns='2']")
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 480


def test_a_table_is_sorted_by_click_and_by_keyboard(open_page: OpenPage, report_file: Path) -> None:
    page = open_page(report_file).page
    page.locator("details:has(#settings) > summary").click()
    before = column(page, "settings", 2)
    heading = page.locator("#settings thead th").nth(1)
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert numbers(column(page, "settings", 2)) == sorted(numbers(before))
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert numbers(column(page, "settings", 2)) == sorted(numbers(before), reverse=True)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    names = column(page, "settings", 1)
    assert names == sorted(names)
    assert names[:3] == [f"class_code rms={power}" for power in (0.05, 0.1, 0.2)]
    assert heading.get_attribute("aria-sort") is None
    page.keyboard.press("Space")
    page.keyboard.press("Space")
    assert column(page, "settings", 2) == before
    heading.locator("button").click()  # the pictures go with their rows
    places = page.locator("#settings tbody circle").evaluate_all(
        "marks => marks.map(mark => Number(mark.getAttribute('cx')))"
    )
    assert places == sorted(places)


def test_curves_are_switched_on_and_off_and_say_what_they_are(
    open_page: OpenPage, report_file: Path
) -> None:
    opened = open_page(report_file)
    page = opened.page
    figure = page.locator(CURVES)
    every = page.locator(LINES).count()
    assert every == 13
    figure.get_by_label("pca", exact=True).uncheck()
    page.wait_for_function(f"document.querySelectorAll('{LINES}').length === {every - 3}")
    figure.get_by_label("pca", exact=True).focus()
    page.keyboard.press("Space")
    page.wait_for_function(f"document.querySelectorAll('{LINES}').length === {every}")
    figure.get_by_role("button", name="none", exact=True).click()
    page.wait_for_function(f"document.querySelectorAll('{LINES}').length === 0")
    figure.get_by_role("button", name="all", exact=True).click()
    page.wait_for_function(f"document.querySelectorAll('{LINES}').length === {every}")
    figure.get_by_role("button", name="none", exact=True).click()
    figure.get_by_label("none", exact=True).check()
    page.wait_for_function(f"document.querySelectorAll('{LINES}').length === 1")
    figure.locator(".plot svg").hover()
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    keys, values = (tip.locator(f"td.{kind}").all_inner_texts() for kind in ("key", "value"))
    rows = dict(zip(keys, values, strict=True))
    assert rows["setting"] == "none"
    assert rows["runs"] == "10"
    assert float(rows["epoch"]) >= 1
    low, high = map(float, rows["interval"].split(" to "))
    assert low < float(rows["mean"]) < high
    assert opened.errors == []


def test_the_first_screen_answers(open_page: OpenPage, report_file: Path) -> None:
    opened = open_page(report_file)
    page = opened.page
    rows = page.locator("#answer tbody tr")
    ends = rows.evaluate_all("rows => rows.map(row => row.getBoundingClientRect().bottom)")
    assert ends == sorted(ends)
    height = (ends[-1] - ends[0]) / (len(ends) - 1)
    assert ends[0] + 15 * height <= 900  # sixteen rows without scrolling
    # Contents stand beside it, and stay there; nothing is right of the window.
    assert page.locator("nav a").first.is_visible()
    box = "e => [e.getBoundingClientRect().right, e.getBoundingClientRect().top]"
    assert page.locator("nav").evaluate(box)[0] <= page.locator("main").evaluate(
        "e => e.offsetLeft"
    )
    page.locator("#codes-section").scroll_into_view_if_needed()
    assert page.locator("nav").evaluate(box)[1] == 0
    page.wait_for_selector("nav a[href='#codes-section'][aria-current]")
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
    # A phone has the contents folded above, and the first rows in sight.
    page.set_viewport_size({"width": 375, "height": 800})
    page.wait_for_selector("#contents:not([open])", state="attached")
    page.evaluate("window.scrollTo(0, 0)")
    box = "e => [e.getBoundingClientRect().bottom, e.scrollWidth - e.clientWidth]"
    bottom, beyond = rows.nth(7).evaluate(box)
    assert bottom < 800
    assert beyond == 0


def test_a_phone_scrolls_down_only(open_page: OpenPage, report_file: Path) -> None:
    phone = {"viewport": {"width": 375, "height": 812}, "has_touch": True, "is_mobile": True}
    page = open_page(report_file, **phone).page
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    for each in page.locator("details").all():
        each.evaluate("details => { details.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    wide = (
        "[...document.querySelectorAll('main p, main h2, figcaption, fieldset, .plot, img, "
        ".plot .role-legend text')]"
    )
    assert page.evaluate(f"Math.max(...{wide}.map(e => e.getBoundingClientRect().right))") <= 375


def luminance(page: Any, selector: str, name: str) -> float:
    script = f"getComputedStyle(document.querySelector('{selector}')).{name}"
    colour = page.evaluate(script).removeprefix("rgb(").removesuffix(")")
    return sum(map(float, colour.split(","))) / (3 * 255)


def test_it_is_dark_where_the_reader_s_system_is(open_page: OpenPage, report_file: Path) -> None:
    for scheme in ("light", "dark"):
        page = open_page(report_file, color_scheme=scheme).page
        ground = luminance(page, "body", "backgroundColor")
        inks = [
            luminance(page, "body", "color"),
            luminance(page, f"{CURVES} .role-axis-label text", "fill"),
            luminance(page, f"{CURVES} .mark-line path", "stroke"),  # of none: black or white
        ]
        assert (ground > 0.9) == (scheme == "light")
        assert all(abs(ink - ground) > 0.7 for ink in inks)


def test_print_shows_all_of_it_on_white(
    open_page: OpenPage, report_file: Path, tmp_path: Path
) -> None:
    page = open_page(report_file, color_scheme="dark").page
    folded = page.locator("details:not([open])")
    assert folded.count() > 3
    page.emulate_media(media="print")
    assert luminance(page, "body", "backgroundColor") > 0.9
    # The switches stay as the legend of what is shown.
    assert page.locator(".switches label span").first.is_visible()
    assert not page.locator(".switches input").first.is_visible()
    assert not page.locator("nav").is_visible()
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert folded.count() == 0
    assert page.locator("#learning-curve-numbers tbody td").first.is_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert folded.count() > 3
    # A4 within its margins, pixels: upright, and lying for the tables of many columns.
    for width, tables in ((703, ".scroll:not(.wide) table, .plot svg"), (1032, ".wide table")):
        page.set_viewport_size({"width": width, "height": 900})
        elements = f"[...document.querySelectorAll('{tables}')]"
        right = f"Math.max(...{elements}.map(e => e.getBoundingClientRect().right))"
        assert 0 < page.evaluate(right) <= width
    printed = page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    assert len(printed) > 50_000


def test_of_a_hundred_settings_the_screen_shows_thirty_and_the_baselines_and_print_all(
    open_page: OpenPage, report_file: Path
) -> None:
    page = open_page(report_file).page
    baselines = page.evaluate(
        """() => {
            const body = document.querySelector("#answer tbody"), section = body.closest("section");
            const baselines = [...body.querySelectorAll(".baseline")];
            while (body.rows.length < 100) body.append(body.rows[0].cloneNode(true));
            body.append(...baselines);
            section.insertAdjacentHTML("afterbegin", "<input type=checkbox id=all-settings>");
            return baselines.length;
        }"""
    )
    shown = page.locator("#answer tbody tr").filter(visible=True)
    assert baselines > 0
    assert shown.count() == 30 + baselines
    page.emulate_media(media="print")
    assert shown.count() == 100
    page.emulate_media(media="screen")
    page.locator("#all-settings").check()
    assert shown.count() == 100


def test_without_scripts_it_still_reads(open_page: OpenPage, report_file: Path) -> None:
    page = open_page(report_file, drawn=False, java_script_enabled=False).page
    assert page.locator("noscript").inner_text().startswith("The charts need JavaScript")
    assert page.locator("#settings tbody tr").count() == 13
    page.locator("main details:has(table) > summary").first.click()
    assert page.locator("details[open] table").first.is_visible()


def test_it_is_drawn_in_a_frame_that_allows_scripts_alone(
    open_page: OpenPage, report_file: Path, tmp_path: Path
) -> None:
    # As an artifact is shown: from a text, with an origin of its own.
    outer = tmp_path / "outer.html"
    text = html.escape(report_file.read_text(encoding="utf-8"))
    outer.write_text(f'<iframe sandbox="allow-scripts" srcdoc="{text}"></iframe>', encoding="utf-8")
    opened = open_page(outer, drawn=False)
    frame = opened.page.frame_locator("iframe")
    frame.locator("html[data-drawn]").wait_for(state="attached", timeout=600_000)
    assert frame.locator("figure svg").count() == 5
    assert opened.errors == []
