"""The whole page: its structure, that it needs nothing else, and that it is readable always."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.reporting.html.elements import Element, parse
from tests.reporting.html.project import SECRET, Project, read_csv

from offset_autoencoder.errors import InputError
from offset_autoencoder.reporting.page import reason_of

MakeProject = Callable[..., Project]

ATTACK = '"></script><script>window.hacked=1</script><img src=x onerror="window.hacked=1">'
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


def everything(page: Element) -> list[Element]:
    found = []
    for child in page.children:
        found += [child, *everything(child)]
    return found


def rows_of(page: Element, table: str) -> list[list[str]]:
    (found,) = [each for each in page.all("table") if each.attributes.get("id") == table]
    rows = found.all("tbody")[0].all("tr")
    return [[cell.text for cell in row.children] for row in rows]


def test_a_screen_reader_finds_its_way(page: Element) -> None:
    elements = everything(page)
    ids = [each.attributes["id"] for each in elements if "id" in each.attributes]
    assert len(set(ids)) == len(ids)
    for each in elements:
        for name in ("aria-labelledby", "for", "aria-controls"):
            assert each.attributes.get(name, ids[0]) in ids
        if each.attributes.get("href", "").startswith("#"):
            assert each.attributes["href"][1:] in ids
    levels = [int(each.name[1]) for each in elements if each.name in HEADINGS]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert [len(page.all(name)) for name in ("header", "nav", "main", "footer")] == [1] * 4
    assert page.all("html")[0].attributes["lang"] == "en"
    assert page.all("title")[0].text


def test_tables_pictures_and_controls_are_named(page: Element) -> None:
    for table in page.all("table"):
        assert table.all("caption")[0].text
        scopes = {head.attributes["scope"] for head in table.all("th")}
        assert scopes <= {"col", "row", "colgroup"}
        widths, above = set(), 0  # cells that reach down from the row above
        for row in table.all("tr"):
            spans = [cell.attributes for cell in row.children]
            widths.add(above + sum(int(each.get("colspan", 1)) for each in spans))
            above = sum(each.get("rowspan") == "2" for each in spans)
        assert len(widths) == 1
    assert all(image.attributes["alt"] for image in page.all("img"))
    for element in everything(page):
        role = element.attributes.get("role")
        if role in ("img", "region"):
            assert element.attributes.get("aria-label") or element.attributes["aria-labelledby"]
        if element.name == "svg":
            assert element.attributes["aria-hidden"] == "true"
        if element.name == "input":
            assert "label" in element.within
        if element.name == "button":
            assert element.text
        if "onclick" in element.attributes:
            raise AssertionError("a handler within the page, which its own policy forbids")


def test_every_chart_has_its_numbers_in_a_table(page: Element) -> None:
    charts = [each.attributes["data-chart"] for each in page.all("figure")]
    tables = {each.attributes.get("id") for each in page.all("table")}
    assert charts == ["noise-level", "learning-curves", "robustness", "offset-scales", "codes"]
    numbers = {"noise-level": "settings", "codes": "code-numbers", "learning-curves": None}
    for chart in charts:
        named = numbers.get(chart) or f"{chart.removesuffix('s')}-numbers"
        assert named in tables or f"{chart}-numbers" in tables


def test_it_asks_no_network(page: Element, html: str) -> None:
    for element in everything(page):
        for name, value in element.attributes.items():
            if name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
                assert value.startswith(("#", "data:image/png;base64,")), value
        if element.name in ("link", "iframe", "object", "embed", "base", "form"):
            raise AssertionError(f"<{element.name}>")
        style = element.text if element.name == "style" else element.attributes.get("style", "")
        assert not re.search(r"url\(|@import|expression\(", style)
    for spec in page.all("script"):
        if spec.attributes.get("type") == "application/json":
            assert '"url"' not in "".join(spec.parts)
            assert "http" not in "".join(spec.parts)


def test_its_policy_allows_its_own_scripts_and_nothing_else(page: Element) -> None:
    (policy,) = [
        meta.attributes["content"]
        for meta in page.all("meta")
        if meta.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert allowed["default-src"] == "'none'"
    scripts = [each for each in page.all("script") if "type" not in each.attributes]
    digests = [hashlib.sha256("".join(each.parts).encode()).digest() for each in scripts]
    assert allowed["script-src"].split() == [
        f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests
    ]
    assert "unsafe-eval" not in policy


@pytest.mark.slow
def test_another_process_gives_the_same_bytes(project: MakeProject, tmp_path: Path) -> None:
    made = project(labels=["a", "b"])
    first = made.write()
    assert made.write() == first
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.reporting.html.project import make_project\n"
        "made = make_project(Path(sys.argv[1]), labels=['a', 'b'])\n"
        "made.write()\n"
    )
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path]),
    }
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "other")], env=environment, check=True
    )
    other = tmp_path / "other" / "reports" / "index.html"
    assert other.read_text(encoding="utf-8") == first


def test_the_first_table_answers_best_first_and_as_the_files_have_it(project: MakeProject) -> None:
    made = project(labels=["a"], seeds=10)
    page = parse(made.write())
    first = page.all("main")[0].all("table")[0]
    assert first.attributes["id"] == "answer"
    assert "answer" in page.all("main")[0].all("section")[0].attributes["id"]
    rows = rows_of(page, "answer")
    means = {row["name"]: row for row in read_csv(made.reports / "plots" / "settings.csv")}
    labels = {row["name"]: row["setting"] for row in means.values()}
    assert [row[0] for row in rows] == sorted(means, key=lambda name: float(means[name]["mean"]))
    compared = {
        (row["setting"], row["baseline"]): row
        for row in read_csv(made.reports / "comparison.csv")
        if row["metric"] == "mse"
    }
    words = {row["setting"]: row for row in read_csv(made.reports / "verdicts.csv")}
    cells = first.all("tbody")[0].all("tr")
    for (name, _, mean, nothing, noise, offset), row in zip(rows, cells, strict=True):
        label = labels[name]
        assert float(mean.split(" ")[0]) == pytest.approx(
            1e3 * float(means[name]["mean"]), abs=0.006
        )
        for text, baseline in ((nothing, "none"), (noise, "gaussian")):
            item = compared.get((label, baseline))
            if item is None:
                own = name.split(" ")[0] == baseline
                assert text == ("baseline" if own else "no noise")
                continue
            assert item["verdict"].startswith(text.split(" ")[0])
            change = float(re.findall(r"[−+][\d.]+", text)[0].replace("−", "-"))
            assert change == pytest.approx(100 * float(item["change"]), abs=0.6)
            # Pointing at the word gives the sentence.
            assert item["verdict"] in {each.attributes["title"] for each in row.all("abbr")}
        assert offset == (words[label]["verdict"] if label in words else "no offset")
    chips = page.all("main")[0].all("p")[0].text
    for word in {row["verdict"] for row in words.values()}:
        assert f"{word} {sum(row['verdict'] == word for row in words.values())}" in chips


def test_the_tables_say_what_the_files_say(project: MakeProject) -> None:
    made = project(labels=["a"])
    page = parse(made.write())
    settings = read_csv(made.reports / "plots" / "settings.csv")
    shown = rows_of(page, "settings")
    assert [row[0] for row in shown] == [row["name"] for row in settings]
    for row, expected in zip(shown, settings, strict=True):
        mean, _, half = row[1].partition(" ± ")
        width = float(expected["high"]) - float(expected["low"])
        assert float(mean) == pytest.approx(1e3 * float(expected["mean"]), abs=0.006)
        assert float(half) == pytest.approx(1e3 * width / 2, abs=0.006)
    differences = read_csv(made.reports / "plots" / "comparison.csv")
    tables = [t for t in page.all("table") if t.attributes.get("id", "").startswith("comparison-")]
    groups = {(row["baseline"], row["condition"]) for row in differences}
    assert len(tables) == len(groups) == 4
    words = [row[1] for table in tables for row in rows_of(page, table.attributes["id"])]
    assert [word.split(" <")[0] for word in words] == [row["verdict"] for row in differences]


def test_every_verdict_is_said_with_its_reason(project: MakeProject) -> None:
    assert reason_of("pca: inconclusive: open (margin 5 %); about 8 seeds more", "pca") == (
        "open; about 8 seeds more"
    )
    assert reason_of("pca: said in another way", "pca") == "said in another way"
    made = project(seeds=10)
    page = parse(made.write())
    cards = [each for each in page.all("li") if "card" in each.attributes.get("class", "").split()]
    assert [card.all("h3")[0].text for card in cards] == ["frozen", "pca", "class_code"]
    assert "noise: it does not matter whose it is" in cards[0].text
    assert sum(len(card.all("tr")) - 2 * len(card.all("table")) for card in cards) == 9
    for verdict in made.results.verdicts:
        reason = reason_of(verdict.sentence, verdict.setting.label)
        assert f": {reason.partition(';')[0]}" in verdict.sentence
        assert not re.search(f"{verdict.setting.label}|margin", reason)
    changes = read_csv(made.reports / "verdicts.csv")[0]
    assert f"{100 * float(changes['mean']):.0f}".replace("-", "−") in cards[0].text
    numbers = rows_of(page, "verdicts-numbers")
    assert [row[0] for row in numbers] == [
        f"{model} rms={rms}"
        for model in ("frozen", "pca", "class_code")
        for rms in ("0.05", "0.1", "0.2")
    ]
    assert len(numbers[0]) == 23


def test_what_a_user_wrote_stays_text(project: MakeProject) -> None:
    made = project(
        labels=[ATTACK, "b"],
        source=ATTACK,
        document={"seeds": 3, "data": {"source": ATTACK}, "tracking": {"uri": SECRET}},
    )
    html = made.write()
    page = parse(html)
    plain = parse(project(labels=["a", "b"]).write())
    assert len(everything(page)) == len(everything(plain))
    assert not [each for each in everything(page) if "onerror" in each.attributes]
    (codes,) = [each for each in page.all("figure") if each.attributes["data-chart"] == "codes"]
    spec = json.loads("".join(codes.all("script")[0].parts))
    (data,) = spec["datasets"].values()
    assert {label for row in data for label in row["label"]} == {ATTACK, "b"}
    assert ATTACK in page.all("main")[0].text
    assert html.count("</script") == len(plain.all("script"))


def test_it_is_small_and_tells_of_divergence_but_not_where_records_are_sent(
    html: str, page: Element
) -> None:
    assert len(html.encode()) < 1_500_000
    assert "Diverged and left out of every mean: pca rms=0.2 (1 of 10)" in page.text
    assert "hunter2" not in html
    assert "tracking:" not in html


NO_OFFSET: dict[str, Any] = {"none": {"offset": "none"}, "gaussian": {"offset": "none"}}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param({"seeds": 1}, "single seed", id="one seed"),
        pytest.param({"diverged": True}, "No run finished", id="all diverged"),
        pytest.param({"samples": "none"}, "there is nothing to look at", id="no samples"),
        pytest.param({"samples": "profiles"}, "a line over its features", id="profiles"),
        pytest.param({"codes": False}, "no codes to show", id="no codes"),
        pytest.param({"labels": None}, "first component", id="no labels"),
        pytest.param(
            {"models": NO_OFFSET, "evaluate": {"baselines": ["none"]}},
            "nothing to judge",
            id="no offsets",
        ),
        pytest.param(
            {"models": {"none": {"offset": "none"}}, "evaluate": {"baselines": ["none"]}},
            "No setting could be compared",
            id="one model",
        ),
        pytest.param({"evaluate": {"metric": "mse", "baselines": []}}, "No setting", id="alone"),
    ],
)
def test_it_is_a_page_whatever_is_missing(
    arguments: dict[str, Any], said: str, project: MakeProject
) -> None:
    html = project(**arguments).write()
    page = parse(html)
    assert said in page.all("main")[0].text + "".join(s.text for s in page.all("script"))
    assert not re.search(r"\bnan\b|NaN|None\b|Infinity", page.all("main")[0].text)
    assert len(page.all("h2")) == 11


def test_a_missing_file_is_named(project: MakeProject) -> None:
    made = project()
    (made.root / "data" / "offsets" / "pca" / "offset.json").unlink()
    with pytest.raises(InputError, match=r"offset\.json: no such file"):
        made.write()
