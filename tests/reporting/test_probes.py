from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offset_autoencoder.io.tables import write_csv
from offset_autoencoder.reporting.probes import probe_rows

Findings = Any  # conftest's, which tests cannot import
MakeFindings = Callable[..., Findings]


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
