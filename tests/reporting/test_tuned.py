"""Settings that validation selected, in their file, on the page and in the terminal."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.reporting.conftest import make_report, make_results, make_whole
from tests.reporting.html.elements import parse
from tests.reporting.html.project import Project, make_project

from offset_autoencoder.evaluation.statistics import Design
from offset_autoencoder.reporting.report_rows import report_tables
from offset_autoencoder.reporting.terminal_report import print_report

RATES = [0.001, 0.002, 0.003]
SECTIONS: dict[str, Any] = {
    "network": {"latent_dim": 4},
    "models": {
        "none": {"offset": "none", "learning_rate": RATES},
        "gaussian": {"offset": "none", "stddev": [0.1, 0.2], "learning_rate": RATES},
        "pca": {"offset": "pca", "rms": [0.1, 0.2], "learning_rate": RATES},
        "wide": {"offset": "none"},
        "twice": {"latent_dim": 8},
    },
    "evaluate": {"select": ["train.learning_rate"], "own_baselines": {"wide": "twice"}},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("tuned"), seeds=12, **SECTIONS)


def _flat(text: str) -> str:
    return " ".join(text.split())


def test_its_file_has_the_budget_and_the_comparison_of_each(project: Project) -> None:
    with (project.reports / "tuned.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = ["model", "setting", "learning_rate", "stddev", "rms", "candidates"]
    assert list(rows[0])[:8] == [*columns, "validation_metric", "validation"]
    assert {row["validation_metric"] for row in rows} == {"mse"}
    results = project.results
    assert [row["setting"].split()[0] for row in rows if not row["baseline"]] == ["none"]
    rows = [row for row in rows if row["baseline"]]
    assert len(rows) == len(results.tuned_comparisons)
    best = {item.setting.label: item for item in results.selected}
    assert list(dict.fromkeys(row["setting"] for row in rows)) == [
        label for label in best if not label.startswith("none")
    ]
    by_label = {
        (item.setting.label, item.baseline.model, item.metric): item
        for item in results.tuned_comparisons
    }
    for row in rows:
        item = by_label[row["setting"], row["baseline"], row["metric"]]
        assert row["baseline_setting"] == item.baseline.label
        assert float(row["difference"]) == pytest.approx(item.difference.mean)
        assert float(row["validation"]) == pytest.approx(best[row["setting"]].validation.mean)
        assert int(row["candidates"]) == (1 if row["model"] in ("wide", "twice") else 3)
        assert int(row["baseline_candidates"]) == (1 if row["baseline"] == "twice" else 3)


def test_without_select_the_file_has_a_head_alone(tmp_path: Path) -> None:
    made = make_project(tmp_path, **SECTIONS | {"evaluate": {}})
    text = (made.reports / "tuned.csv").read_text()
    assert text.startswith("model,setting,")
    assert text.count("\n") == 1
    page = made.write()
    assert "tuned-section" not in page


def test_the_page_shows_them_beside_all_settings(project: Project) -> None:
    page = parse(project.write())
    tables = {table.attributes.get("id"): table for table in page.all("table")}
    assert len(tables["settings"].all("tbody")[0].all("tr")) == 3 + 6 + 6 + 1 + 1
    selected = [item.setting.label for item in project.results.selected]
    rows = [
        [cell.text for cell in row.children] for row in tables["tuned"].all("tbody")[0].all("tr")
    ]
    assert [row[0] for row in rows] == selected
    assert [row[-1] for row in rows] == ["3"] * 5 + ["1"] * 2
    (section,) = [s for s in page.all("section") if s.attributes.get("id") == "tuned-section"]
    assert "By the mean over the seeds; the test split has no part in it." in _flat(section.text)
    assert "out of 1 of wide, twice; 3 of none, gaussian, pca" in _flat(section.text)
    headings = [heading.text for heading in section.all("h3")]
    assert headings == ["Against none", "Against gaussian", "Against twice"]


def test_the_page_has_noise_off_and_noise_on_side_by_side(project: Project) -> None:
    page = parse(project.write())
    headings = [heading.text for heading in page.all("h4")]
    assert headings == ["gaussian with its noise off, and with its noise on"] * 2
    tables = {table.attributes.get("id"): table for table in page.all("table")}
    (name,) = [name for name in tables if name == "conditions-comparison-1"]
    heads = [head.text for head in tables[name].all("thead")[0].all("th")]
    assert heads == [
        "setting",
        *("deployed, %, ±", "verdict"),
        *("as trained, %, ±", "verdict"),
        *("clean, %, ±", "verdict"),
    ]
    noise_on = [row.children[2].text for row in tables["settings"].all("tbody")[0].all("tr")]
    assert [bool(cell) for cell in noise_on] == [False] * 3 + [True] * 6 + [False] * 8


def test_where_splits_vary_values_that_seeds_differ_in_are_called_tuned(tmp_path: Path) -> None:
    """In the file with what was picked how often, on the page and in the terminal."""
    made = make_project(tmp_path, seeds=12, **SECTIONS)
    design = Design(varies=True, overlap=0.3, validation_overlap=0.2)
    project = replace(made, results=make_whole(make_report(seeds=12, **SECTIONS), design=design))
    (none, *_) = project.results.selected
    assert none.setting.label == "none learning_rate=tuned"
    columns, rows = report_tables(project.results)["tuned"]
    (row,) = (row for row in rows if row["setting"] == none.setting.label)
    assert row["learning_rate"] == "tuned"
    assert "picked" in columns
    counts = [int(count) for count in re.findall(r"learning_rate=[\d.]+ \((\d+)\)", row["picked"])]
    assert len(counts) > 1
    assert sum(counts) == 12
    compared = [row for row in rows if row["model"] == "pca" and row.get("metric") == "mse"]
    assert {row["pairs"] for row in compared} == {12}
    assert {row["baseline_setting"] for row in compared} == {
        "none learning_rate=tuned",
        *(f"gaussian stddev={level} learning_rate=tuned" for level in (0.1, 0.2)),
    }
    (section,) = [
        section
        for section in parse(project.write()).all("section")
        if section.attributes.get("id") == "tuned-section"
    ]
    assert "Each seed selects for itself" in _flat(section.text)
    assert row["picked"] in section.text
    assert "Against gaussian at the same noise level" in _flat(section.text)
    assert "same learning_rate" not in _flat(section.text)
    stream = io.StringIO()
    print_report(Console(file=stream, width=140), project.results)
    assert "none learning_rate=tuned" in stream.getvalue()
    assert "Each seed selects for itself" in _flat(stream.getvalue())


@pytest.mark.parametrize("width", [100, 140])
def test_the_terminal_has_a_table_of_its_own_for_them(width: int) -> None:
    whole = make_results(seeds=12, **SECTIONS)
    stream = io.StringIO()
    print_report(Console(file=stream, width=width), whole)
    before, after = stream.getvalue().split("Selected by validation: train.learning_rate\n")
    assert ("validation ±" in after) == (width == 140)
    if width == 140:
        assert max(map(len, before.splitlines() + after.splitlines())) <= width
    for item in whole.selected:
        own = [line for line in after.splitlines() if line.startswith(item.setting.label + " ")]
        assert own, item.setting.label
    assert "unequal budgets" in _flat(after)
    assert "no `twice` setting that matches" not in _flat(before)
    # The own baseline of one model is a table of one line.
    lines = before[before.index("against `twice`") :].splitlines()
    assert [line.split()[0] for line in lines[1:] if line.startswith(("wide", "pca", "none"))][
        :1
    ] == ["wide"]
