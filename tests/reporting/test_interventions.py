from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.evaluation.interventions import PERMUTED, find_intervention, scaled
from offset_autoencoder.io.tables import write_csv
from offset_autoencoder.reporting.interventions import (
    CHANGE_COLUMNS,
    LEVEL_COLUMNS,
    change_rows,
    intervention_rows,
    level_rows,
)

Findings = Any  # conftest's, which tests cannot import


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


def test_changes_are_in_percent_of_the_own_error(
    findings: Findings, colours: Any, tmp_path: Path
) -> None:
    rows = change_rows(findings.interventions, "mse", colours.by_model)
    read = _read_back(tmp_path / "interventions.csv", CHANGE_COLUMNS, rows)
    assert {row["intervention"] for row in read} == {
        "omitted",
        "permuted",
        "gaussian",
        "offset_only",
    }
    assert {row["model"] for row in read} == {"frozen", "pca", "class_code"}
    alone = [float(row["change"]) for row in read if row["intervention"] == "alone"]
    np.testing.assert_allclose(alone, 700, atol=30)
    assert all(float(row["low"]) < float(row["change"]) < float(row["high"]) for row in read)
    assert change_rows(findings.interventions, "psnr", colours.by_model) == []


def test_levels_ascend_within_a_setting(findings: Findings, colours: Any, tmp_path: Path) -> None:
    backwards = list(reversed(findings.interventions))
    rows = level_rows(backwards, "mse", "noise", colours.by_values)
    read = _read_back(tmp_path / "robustness.csv", LEVEL_COLUMNS, rows)
    for setting in findings.params.settings:
        levels = [float(row["level"]) for row in read if row["setting"] == setting.label]
        assert levels == [0, 0.1, 0.4]
    scales = level_rows(findings.interventions, "mse", "scaled", colours.by_values)
    assert {row["model"] for row in scales} == {"frozen", "pca", "class_code"}
    assert {row["level"] for row in scales} == {-1, 0, 1, 2}
    assert {row["values"] for row in scales} == {
        "noise_level=0.05",
        "noise_level=0.1",
        "noise_level=0.2",
    }
    first = find_intervention(
        findings.interventions, findings.params.settings[-1], scaled(-1), "mse"
    )
    assert first is not None
    assert scales[-4]["mean"] == first.estimate.mean
