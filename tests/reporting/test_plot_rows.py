from __future__ import annotations

import csv
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.interventions import find_intervention, scaled

from offset_autoencoder.evaluation.summary import learning_curves
from offset_autoencoder.io.tables import write_csv
from offset_autoencoder.reporting.charts import spread
from offset_autoencoder.reporting.palette import model_colours
from offset_autoencoder.reporting.rows import (
    change_plot,
    comparison_plot,
    curve_plot,
    level_plot,
    setting_plot,
)
from offset_autoencoder.reporting.wording import series

Report = Any  # conftest's, which tests cannot import
Findings = Any
Colours = Any
MakeReport = Callable[..., Report]


def _read_back(path: Path, columns: Any, rows: Any) -> list[dict[str, str]]:
    write_csv(path, columns, rows)
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_plot_has_the_word_and_the_table_the_sentence(report: Report) -> None:
    words = {row["verdict"] for row in comparison_plot(report.comparisons, "mse")[1]}
    assert words == {"better", "worse", "equivalent"}
    assert comparison_plot(report.comparisons, "mae")[1] == []


def test_against_noise_the_plot_has_every_condition(report: Report) -> None:
    rows = comparison_plot(report.comparisons, "mse")[1]
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


def test_changes_are_in_percent_of_the_own_error(
    findings: Findings, colours: Any, tmp_path: Path
) -> None:
    read = _read_back(
        tmp_path / "interventions.csv",
        *change_plot(findings.interventions, "mse", colours.by_model),
    )
    assert {row["intervention"] for row in read} == {
        "omitted",
        "permuted",
        "gaussian",
        "offset_only",
    }
    assert {row["model"] for row in read} == {"frozen", "pca", "class_code"}
    alone = [float(row["change"]) for row in read if row["intervention"] == "offset_only"]
    np.testing.assert_allclose(alone, 700, atol=30)
    assert all(float(row["low"]) < float(row["change"]) < float(row["high"]) for row in read)
    assert change_plot(findings.interventions, "psnr", colours.by_model)[1] == []


def test_levels_ascend_within_a_setting(findings: Findings, colours: Any, tmp_path: Path) -> None:
    backwards = list(reversed(findings.interventions))
    table = level_plot(backwards, "mse", "robustness", colours.by_values)
    read = _read_back(tmp_path / "robustness.csv", *table)
    for setting in findings.params.settings:
        levels = [float(row["level"]) for row in read if row["setting"] == setting.label]
        assert levels == [0, 0.1, 0.4]
    _, scales = level_plot(findings.interventions, "mse", "offset_scales", colours.by_values)
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


def test_rows_name_equal_powers_alike(report: Report, colours: Any) -> None:
    curves = learning_curves(report.histories, confidence=0.95)
    columns, rows = curve_plot(curves, colours.by_values)
    assert list(rows[0]) == columns
    values = {row["setting"]: row["values"] for row in rows}
    assert values["gaussian stddev=0.1"] == values["pca rms=0.1"] == "noise_level=0.1"
    assert values["none"] == ""


def test_a_line_of_settings_differs_in_power_alone(make_report: MakeReport) -> None:
    models = {
        "none": {"offset": "none"},
        "both": {"offset": "pca", "rms": [0.1, 0.2], "stddev": [0.0, 0.1]},
    }
    report = make_report(models=models, network={"latent_dim": [8, 16]})
    names = [series(setting) for setting in report.params.settings]
    assert names[:2] == ["none latent_dim=8", "none latent_dim=16"]
    assert names.count("both latent_dim=8 stddev=0.1") == 2
    drawn = model_colours(report.params.settings, ["none"])
    _, rows = setting_plot(report.summaries, baselines=["none"], colours=drawn)
    assert [row["noise_level"] for row in rows[:2]] == [None, None]
    assert [row["shown_as"] for row in rows] == ["reference"] * 2 + ["line"] * 8


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.001, 0.2))
def test_names_are_moved_apart_and_no_further(places: list[float], apart: float) -> None:
    places = sorted(places)
    moved = spread(places, apart)
    assert len(moved) == len(places)
    assert all(after - before >= apart - 1e-9 for before, after in itertools.pairwise(moved))
    assert sum(moved) == pytest.approx(sum(places), abs=1e-9)
    if all(after - before >= apart for before, after in itertools.pairwise(places)):
        assert moved == pytest.approx(places)


def test_names_of_lines_stand_apart_and_in_the_order_of_their_ends(
    report: Report, colours: Colours
) -> None:
    columns, rows = setting_plot(
        report.summaries, baselines=["none", "gaussian"], colours=colours.by_model
    )
    named = sorted(
        (row for row in rows if row["label_at"] is not None), key=lambda row: row["label_at"]
    )
    assert {row["series"] for row in named} == set(colours.by_model)
    means = [row["mean"] for row in named]
    assert means == sorted(means)
    assert list(rows[0]) == columns
    assert {row["noise_level"] for row in named} == {None, 0.2}
