from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from offset_autoencoder.io.tables import write_csv
from offset_autoencoder.reporting.comparisons import comparison_rows, difference_rows

Report = Any  # conftest's, which tests cannot import
MakeReport = Callable[..., Report]


def _written(report: Report, path: Path) -> dict[tuple[str, ...], dict[str, str]]:
    write_csv(path, *comparison_rows(report.comparisons, report.params.settings))
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows = [row for row in rows if row["metric"] == "mse"]
    return {(row["model"], row["rms"], row["baseline"]): row for row in rows}


def test_rows_say_what_was_tested_and_shown(report: Report, tmp_path: Path) -> None:
    rows = _written(report, tmp_path / "comparison.csv")
    same, other = rows["frozen", "0.05", "none"], rows["gaussian", "", "none"]
    assert (same["stddev"], other["stddev"]) == ("", "0.2")
    assert (same["margin"], same["equivalent"], other["equivalent"]) == ("0.05", "True", "False")
    assert float(same["p_equivalence"]) == 2**-10
    assert float(same["p_equivalence_corrected"]) == 12 * 2**-10
    assert -0.05 < float(same["change_low"]) < float(same["change_high"]) < 0.05
    assert float(other["change_low"]) > 0.05
    assert (same["needed_for"], other["needed_for"]) == ("equivalence", "difference")
    assert int(same["seeds_needed"]) <= int(same["pairs"]) == 10


def test_what_is_not_known_is_an_empty_cell(make_report: MakeReport, tmp_path: Path) -> None:
    rows = _written(make_report(seeds=1), tmp_path / "comparison.csv")
    row = rows["frozen", "0.05", "none"]
    for column in ("low", "change_high", "seeds_needed", "needed_for"):
        assert row[column] == "", column
    assert (row["pairs"], row["equivalent"]) == ("1", "False")


def test_the_plot_has_the_word_and_the_table_the_sentence(report: Report) -> None:
    words = {row["verdict"] for row in difference_rows(report.comparisons, "mse")}
    assert words == {"better", "worse", "equivalent"}
    assert difference_rows(report.comparisons, "mae") == []


def test_against_noise_the_plot_has_every_condition(report: Report) -> None:
    rows = difference_rows(report.comparisons, "mse")
    conditions = {
        (row["baseline"], row["condition"]): row for row in rows if row["setting"] == "pca rms=0.1"
    }
    assert list(conditions) == [
        ("none", "deployed"),
        *(("gaussian", condition) for condition in ("deployed", "as trained", "clean")),
    ]
    items = {
        (item.baseline.model, item.metric): item.equivalence.change.mean
        for item in report.comparisons
        if item.setting.label == "pca rms=0.1"
    }
    assert conditions["none", "deployed"]["change"] == 100 * items["none", "mse"]
    assert (
        conditions["gaussian", "as trained"]["change"] == 100 * items["gaussian", "mse_as_trained"]
    )
    assert conditions["gaussian", "clean"]["change"] == 100 * items["gaussian", "mse_clean"]
