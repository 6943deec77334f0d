from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluation.interventions import find_intervention

from offset_autoencoder.evaluation.interventions import PERMUTED
from offset_autoencoder.evaluation.offset_verdict import OffsetVerdict
from offset_autoencoder.io.tables import write_csv
from offset_autoencoder.reporting.rows import (
    comparison_rows,
    intervention_rows,
    probe_rows,
    verdict_rows,
)

Report = Any  # conftest's, which tests cannot import
Findings = Any
Colours = Any
MakeReport = Callable[..., Report]
MakeFindings = Callable[..., Findings]
MakeVerdicts = Callable[..., list[OffsetVerdict]]


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


def _read_back(path: Path, columns: Any, rows: Any) -> list[dict[str, str]]:
    write_csv(path, columns, rows)
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_intervention_of_every_setting_has_a_row(findings: Findings, tmp_path: Path) -> None:
    columns, rows = intervention_rows(findings.interventions, findings.params.settings)
    assert all(set(row) <= set(columns) for row in rows)
    read = _read_back(tmp_path / "interventions.csv", columns, rows)
    assert len(read) == len(findings.interventions)
    setting = next(s for s in findings.params.settings if s.label == "pca rms=0.1")
    item = find_intervention(findings.interventions, setting, PERMUTED, "mse")
    assert item is not None
    (row,) = (
        row
        for row in read
        if (row["model"], row["rms"], row["intervention"]) == ("pca", "0.1", "permuted")
    )
    assert (row["level"], row["stddev"], row["metric"], row["runs"]) == ("", "", "mse", "10")
    assert float(row["mean"]) == np.mean(item.values)
    assert float(row["difference"]) == pytest.approx(np.mean(item.values - item.own))
    assert float(row["relative_low"]) < np.mean(item.values / item.own - 1)
    assert float(row["relative_high"]) > np.mean(item.values / item.own - 1)
    levels = [row["level"] for row in read if row["model"] == "none"]
    assert levels == ["", "0.0", "0.1", "0.4"]


def test_a_setting_has_one_row_with_all_that_was_found(findings: Findings, tmp_path: Path) -> None:
    settings = findings.params.settings
    columns, rows = probe_rows(
        findings.probes, findings.encoder_adaptations, findings.generalization_gaps, settings
    )
    assert all(set(row) <= set(columns) for row in rows)
    assert len(set(columns)) == len(columns)
    path = tmp_path / "probes.csv"
    write_csv(path, columns, rows)
    with path.open(newline="") as stream:
        read = list(csv.DictReader(stream))
    assert [row["model"] for row in read] == [setting.model for setting in settings]
    plain = read[0]
    assert plain["slope"] == plain["offset_explained"] == plain["encoder_adaptation"] == ""
    assert float(plain["code_explained"]) == pytest.approx(0.8, abs=0.02)
    assert float(plain["generalization_gap_relative"]) == pytest.approx(1 / 9)
    (row,) = (row for row in read if (row["model"], row["rms"]) == ("pca", "0.2"))
    assert (row["encoder_adaptation"], row["offset_over"], row["runs"]) == (
        "reinforces",
        "samples",
        "10",
    )
    assert float(row["offset_explained"]) == 0.5
    assert float(row["offset_explained_low"]) == pytest.approx(0.5 - 0.0196, abs=1e-4)
    assert float(row["learnt_slope"]) == pytest.approx(
        float(row["slope"]) - float(row["plain_slope"])
    )
    assert float(row["offset_accuracy"]) == 0.5


def test_without_labels_there_are_no_accuracies(
    findings: Findings, make_findings: MakeFindings
) -> None:
    plain = make_findings(findings.params, labels=False)
    columns, _ = probe_rows(
        plain.probes, plain.encoder_adaptations, plain.generalization_gaps, plain.params.settings
    )
    assert not [column for column in columns if "accuracy" in column]
    assert probe_rows([], [], [], plain.params.settings)[1] == []


def test_the_file_holds_the_figures_of_the_sentence(
    report: Any, make_verdicts: MakeVerdicts, tmp_path: Path
) -> None:
    verdicts = make_verdicts(report.params)
    write_csv(tmp_path / "verdicts.csv", *verdict_rows(verdicts, report.params.settings))
    with (tmp_path / "verdicts.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(verdicts) == 9
    row = next(row for row in rows if (row["model"], row["rms"]) == ("class_code", "0.2"))
    assert (row["verdict"], row["permuted_shift"], row["seeds"]) == ("second encoder", "more", "10")
    assert float(row["permuted_low"]) < float(row["permuted"]) < float(row["permuted_high"])
    assert float(row["permuted_p_more"]) == 9 * 2**-10
    assert float(row["permuted_p_same"]) == 1
    assert f"another sample's {100 * float(row['permuted']):+.0f} %" in row["sentence"]
    assert row["seeds_needed"] == ""
    assert list(row)[:4] == ["model", "setting", "stddev", "rms"]
