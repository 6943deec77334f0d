"""The figures of the documents are those of the rows that are kept beside them."""

import csv
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from benchmarks.results_table import BEGIN, END, SOURCES, main, results_table, with_table
from tests.reporting.conftest import make_report, make_whole

from offset_autoencoder.evaluation.comparison import compare
from offset_autoencoder.evaluation.statistics import two_way_interval
from offset_autoencoder.reporting import reports

ROOT = Path(__file__).parents[2]
KEPT = [
    ("docs/reading-results.md", "docs/results"),
    ("examples/mnist/README.md", "docs/results-mnist"),
    ("docs/anomalies.md", "docs/results-anomalies"),
]


@pytest.mark.parametrize(("document", "folder"), KEPT)
def test_the_table_of_a_document_is_that_of_its_rows(document: str, folder: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert with_table(text, results_table(ROOT / folder)) == text


def test_the_rows_of_the_readme_are_rows_of_the_whole_table() -> None:
    whole = (ROOT / "docs" / "reading-results.md").read_text(encoding="utf-8").splitlines()
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith(("| |", "| `"))]
    assert len(rows) == 6
    assert set(rows) <= set(whole)


def test_the_figures_of_the_worked_example_are_those_of_its_rows() -> None:
    def row(table: str, **where: str) -> dict[str, str]:
        with (ROOT / "docs" / "results" / table).open(newline="") as stream:
            rows = (row for row in csv.DictReader(stream) if row["setting"] == "projection rms=0.1")
            return next(row for row in rows if where.items() <= row.items())

    text = (ROOT / "docs" / "reading-results.md").read_text(encoding="utf-8")
    example = text.partition("## A worked example")[2].partition("## Words")[0]
    pair = row("comparison.csv", baseline="none", metric="mse")
    verdict = row("verdicts.csv")
    assert f"| corrected p | {float(pair['p_corrected']):.2f} |" in example
    assert f"| better at | {pair['wins']} of {pair['pairs']} seeds |" in example
    assert f"| seeds needed | at most {pair['seeds_needed']} |" in example
    unseen, controls = verdict["sentence"].split("a network trained with nothing: another's")
    for name, part in {
        "another's vector": "another's",
        "the mean vector": "the mean vector",
    }.items():
        figures = unseen.partition(f"{part} ")[2].partition("]")[0]
        assert f"| {name} | {figures}] |" in example
    assert f"| trained with nothing | {controls.partition(',')[0].strip()}" in example
    assert f"| donor shift | {100 * float(verdict['donor_shift']):.0f} % |" in example
    decodability = float(verdict["linear_decodability"])
    assert f"| linear decodability | {100 * decodability:.0f} % |" in example
    assert f"| verdict | {verdict['verdict']} |" in example
    for column in ("noise", "noise_as_trained"):
        change = 100 * float(verdict[f"against_{column}"])
        assert f"| {change:+.1f} % [" in example


def test_the_words_that_batches_of_seeds_share_are_those_of_their_rows() -> None:
    with (ROOT / "docs" / "results-batches" / "words.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    of_offsets = [row for row in rows if not row["baseline"]]
    against = [row for row in rows if row["baseline"] == "none"]
    others = [row for row in rows if row["baseline"] not in ("", "none")]
    text = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    for first, second in (("20-39", "40-59"), ("0-19", "20-39"), ("0-19", "40-59")):
        same = [
            sum(row[first] == row[second] for row in part)
            for part in (against, others, of_offsets, rows)
        ]
        batches = f"{first} and {second}".replace("-", "–")
        line = f"| {batches} | {same[0]} of {len(against)} | {same[1]} of {len(others)} "
        line += f"| {same[2]} of {len(of_offsets)} | {100 * same[3] / len(rows):.0f} % |"
        assert line in text
        assert all({row[first], row[second]} != {"better", "worse"} for row in rows)


def test_every_figure_of_a_line_comes_from_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plots").mkdir()
    settings, comparison, verdicts = (tmp_path / source for source in SOURCES)
    settings.write_text(
        "setting,metric,mean,low,high\nnone,mse,0.008,0.007,0.009\nmine,mse,0.006,0.005,0.007\n"
    )
    comparison.write_text(
        "setting,baseline,metric,change,change_low,change_high,verdict\n"
        "mine,none,mse,-0.25,-0.3,-0.2,better than none by much\n"
        "mine,none,psnr,9,9,9,worse than none\n"
        "mine,gaussian,mse_as_trained,0.5,0.4,0.6,worse than gaussian\n"
        "mine,gaussian,mse,8,8,8,better than gaussian\n"
    )
    verdicts.write_text("setting,verdict\nmine,memorised\n")
    document = tmp_path / "document.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    monkeypatch.setattr("sys.argv", ["", str(tmp_path), str(document), str(tmp_path / "kept")])
    main()
    text = document.read_text()
    assert text == with_table(f"before\n{BEGIN}\n{END}\nafter\n", results_table(tmp_path / "kept"))
    cells = ["`mine`", "6.00 ± 1.00", "-25.0 % [-30.0, -20.0] better"]
    cells += ["+800.0 % [+800.0, +800.0] better", "+50.0 % [+40.0, +60.0] worse", "memorised"]
    assert f"| {' | '.join(cells)} |" in text
    assert "| `none` | 8.00 ± 1.00 |  |  |  |  |" in text
    assert "- Against nothing added: **better**: `mine`." in text
    assert "psnr" not in (tmp_path / "kept" / "comparison.csv").read_text()
    assert "test samples too" not in text


def test_reports_of_one_split_have_intervals_over_test_samples_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of data that bring a test split: real reports, with an error for each test sample."""
    made = make_report(seeds=6, split={"vary": False})
    luck = np.random.default_rng(0).normal(0, 4e-3, size=(len(made.params.settings), 40))
    luck -= luck.mean(axis=1, keepdims=True)
    of = {setting.label: luck[n] for n, setting in enumerate(made.params.settings)}
    runs = [
        replace(row, sample_errors=(row.metrics["mse"] + of[row.run.setting.label]))
        if row.finished
        else row
        for row in made.runs
    ]
    comparisons = compare(runs, made.params.settings, made.params.evaluate)
    with patch.object(reports, "draw_pictures"):
        whole = make_whole(made, runs=runs, comparisons=comparisons)
        reports.write_reports(tmp_path / "reports", whole)
    document = tmp_path / "docs" / "other.md"
    document.parent.mkdir()
    document.write_text(f"{BEGIN}\n{END}\n")
    folder = tmp_path / "docs" / "results-other"
    monkeypatch.setattr("sys.argv", ["", str(tmp_path / "reports"), str(document), str(folder)])
    main()
    head, _, *lines = document.read_text().splitlines()[1:]
    columns = [cell.strip() for cell in head.strip("|").split("|")]
    rows = {}
    for line in lines[: len(made.params.settings)]:
        label, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[label] = dict(zip(columns[1:], cells, strict=True))
    errors = {
        label: np.array([r.sample_errors for r in runs if r.run.setting.label == label])
        for label in ("none", "pca rms=0.1")
    }
    both = two_way_interval(errors["pca rms=0.1"], 0.95)
    row = rows["`pca rms=0.1`"]
    written = f"{1e3 * both.mean:.2f} ± {1e3 * both.half:.2f}"
    assert row["over test samples too"] == written
    assert row["error, 1e-3"].partition(" ")[0] == written.partition(" ")[0]
    assert row["error, 1e-3"] != written
    apart = two_way_interval(errors["pca rms=0.1"] - errors["none"], 0.95)
    heading = "difference from nothing added, 1e-3, over test samples too"
    assert row[heading] == f"{1e3 * apart.mean:+.2f} ± {1e3 * apart.half:.2f}"
    assert rows["`none`"][heading] == ""
    with (folder / "settings.csv").open(newline="") as stream:
        kept = {row["setting"]: row for row in csv.DictReader(stream)}
    assert float(kept["pca rms=0.1"]["two_way_low"]) == pytest.approx(both.low)


def test_what_no_number_of_seeds_settles_is_named(tmp_path: Path) -> None:
    (tmp_path / "settings.csv").write_text("setting,metric,mean,low,high\nmine,psnr,20,19,21\n")
    (tmp_path / "comparison.csv").write_text(
        "setting,baseline,metric,change,change_low,change_high,verdict\n"
        "mine,none,psnr,0.1,-0.1,0.3,inconclusive: no number of seeds would settle it\n"
        "other,none,psnr,0.1,-0.1,0.3,inconclusive\n"
    )
    (tmp_path / "verdicts.csv").write_text("setting,verdict\n")
    text = results_table(tmp_path)
    assert "| | psnr | against nothing added |" in text
    assert "| `mine` | 20.00 ± 1.00 | +10.0 % [-10.0, +30.0] inconclusive |" in text
    never = "If means and spreads are as seen, no number of seeds would settle `mine`."
    assert f"**inconclusive**: `mine`, `other`. {never}" in text


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="no markers"):
        with_table("text", "table")
