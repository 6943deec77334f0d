"""Rows of every csv file of ``reports/``, as they are read back."""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.interventions import find_intervention, scaled
from tests.reporting.conftest import NOTHING, make_findings, make_results

from offset_autoencoder.evaluation.interventions import PERMUTED
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.io.tables import csv_text
from offset_autoencoder.reporting.palette import model_colours
from offset_autoencoder.reporting.plot_rows import plot_tables, spread
from offset_autoencoder.reporting.report_rows import report_tables
from offset_autoencoder.reporting.rows import Rows
from offset_autoencoder.reporting.wording import series


def read_back(table: Rows) -> list[dict[str, str]]:
    columns, rows = table
    assert len(set(columns)) == len(columns)
    assert all(set(row) <= set(columns) for row in rows)
    return list(csv.DictReader(io.StringIO(csv_text(columns, rows))))


def compared(results: ExperimentResults) -> dict[tuple[str, ...], dict[str, str]]:
    rows = read_back(report_tables(results)["comparison"])
    return {
        (row["model"], row["rms"], row["baseline"]): row for row in rows if row["metric"] == "mse"
    }


def test_rows_say_what_was_tested_and_shown(whole: ExperimentResults) -> None:
    rows = compared(whole)
    same, other = rows["frozen", "0.05", "none"], rows["gaussian", "", "none"]
    assert (same["stddev"], other["stddev"]) == ("", "0.2")
    assert (same["margin"], same["equivalent"], other["equivalent"]) == ("0.05", "True", "False")
    assert float(same["p_equivalence"]) == 2**-10
    assert 2**-10 <= float(same["p_equivalence_corrected"]) <= 2 * 2**-10
    assert -0.05 < float(same["change_low"]) < float(same["change_high"]) < 0.05
    assert float(other["change_low"]) > 0.05
    assert (same["needed_for"], other["needed_for"]) == ("equivalence", "difference")
    assert int(same["seeds_needed"]) <= int(same["pairs"]) == 10
    low, high = int(same["seeds_needed_low"]), int(same["seeds_needed_high"])
    assert low <= int(same["seeds_needed"]) <= high
    assert (same["two_way_low"], same["two_way_high"]) == ("", "")  # runs without sample errors


def test_what_is_not_known_is_an_empty_cell() -> None:
    row = compared(make_results(seeds=1))["frozen", "0.05", "none"]
    for column in ("low", "change_high", "seeds_needed", "seeds_needed_low", "needed_for"):
        assert row[column] == "", column
    assert (row["pairs"], row["equivalent"]) == ("1", "False")


def test_every_intervention_of_every_setting_has_a_row(whole: ExperimentResults) -> None:
    read = read_back(report_tables(whole)["interventions"])
    assert len(read) == len(whole.interventions)
    setting = next(s for s in whole.settings if s.label == "pca rms=0.1")
    item = find_intervention(whole.interventions, setting, PERMUTED, "mse")
    assert item is not None
    (row,) = (
        row
        for row in read
        if (row["model"], row["rms"], row["intervention"]) == ("pca", "0.1", "permuted")
        and (row["network"], row["split"]) == ("own", "test")
    )
    assert (row["level"], row["stddev"], row["metric"], row["runs"]) == ("", "", "mse", "10")
    assert float(row["mean"]) == np.mean(item.values)
    assert float(row["difference"]) == pytest.approx(np.mean(item.values - item.own))
    change = np.mean(list(item.changes.values()))
    assert float(row["change"]) == pytest.approx(change)
    assert float(row["change_low"]) < change < float(row["change_high"])
    where = [
        (each["network"], each["split"])
        for each in read
        if (each["setting"], each["intervention"]) == ("pca rms=0.1", "mean")
    ]
    networks = ("own", "trained with nothing")
    assert where == [(network, split) for network in networks for split in ("test", "train")]
    levels = [row["level"] for row in read if row["model"] == "none" and row["split"] == "test"]
    assert levels == ["", "0.0", "0.1", "0.4"]


def test_a_setting_has_one_row_with_all_that_was_found(whole: ExperimentResults) -> None:
    read = read_back(report_tables(whole)["probes"])
    assert [row["model"] for row in read] == [setting.model for setting in whole.settings]
    plain = read[0]
    assert plain["slope"] == plain["offset_explained"] == plain["encoder_adaptation"] == ""
    assert float(plain["code_explained"]) == pytest.approx(0.8, abs=0.02)
    assert float(plain["generalization_gap_relative"]) == pytest.approx(1 / 9)
    (row,) = (row for row in read if (row["model"], row["rms"]) == ("pca", "0.2"))
    words = (row["encoder_adaptation"], row["offset_over"], row["runs"])
    assert words == ("reinforces", "samples", "10")
    assert float(row["offset_explained"]) == 0.5
    assert float(row["offset_explained_low"]) == pytest.approx(0.5 - 0.0196, abs=1e-4)
    assert float(row["learnt_slope"]) == pytest.approx(
        float(row["slope"]) - float(row["plain_slope"])
    )
    assert float(row["offset_accuracy"]) == 0.5


def test_without_labels_there_are_no_accuracies(whole: ExperimentResults) -> None:
    plain = replace(whole, probes=make_findings(whole.params, labels=False)["probes"])
    columns, _ = report_tables(plain)["probes"]
    assert not [column for column in columns if "accuracy" in column]
    assert report_tables(replace(whole, **NOTHING))["probes"][1] == []


def test_the_file_holds_the_figures_of_the_sentence(whole: ExperimentResults) -> None:
    rows = read_back(report_tables(whole)["verdicts"])
    assert len(rows) == len(whole.verdicts) == 9
    row = next(row for row in rows if (row["model"], row["rms"]) == ("class_code", "0.2"))
    assert (row["verdict"], row["permuted_shift"], row["seeds"]) == ("second encoder", "more", "10")
    assert float(row["permuted_low"]) < float(row["permuted"]) < float(row["permuted_high"])
    assert float(row["permuted_p_more"]) == 2**-10
    assert float(row["permuted_p_same"]) == 1
    assert f"unseen samples: another's {100 * float(row['permuted']):+.0f} %" in row["sentence"]
    trained = f"training samples: another's {100 * float(row['permuted_train']):+.0f} %"
    assert trained in row["sentence"]
    beyond = float(row["permuted_beyond_nothing"])
    assert beyond == pytest.approx(float(row["permuted"]), abs=0.03)
    assert (row["permuted_beyond_noise_shift"], row["donor_shift_shift"]) == ("more", "more")
    assert float(row["against_noise_as_trained"]) == pytest.approx(0.05, abs=0.02)
    assert (row["unit"], row["unsettled"]) == ("trained with nothing", "")
    assert row["seeds_needed"] == ""
    assert list(row)[:5] == ["model", "setting", "verdict", "stddev", "rms"]


def test_the_plot_has_the_word_of_every_condition(whole: ExperimentResults) -> None:
    rows = plot_tables(whole)["comparison"][1]
    assert {row["verdict"] for row in rows} == {"better", "worse", "equivalent"}
    conditions = {
        (row["baseline"], row["condition"]): row["change"]
        for row in rows
        if row["setting"] == "pca rms=0.1"
    }
    changes = {
        (item.baseline.model, item.metric): 100 * item.equivalence.change.mean
        for item in whole.comparisons
        if item.setting.label == "pca rms=0.1"
    }
    assert conditions == {
        ("none", "deployed"): changes["none", "mse"],
        ("gaussian", "deployed"): changes["gaussian", "mse"],
        ("gaussian", "as trained"): changes["gaussian", "mse_as_trained"],
        ("gaussian", "clean"): changes["gaussian", "mse_clean"],
    }


def test_changes_are_in_percent_of_the_baselines_error(whole: ExperimentResults) -> None:
    read = read_back(plot_tables(whole)["interventions"])
    names = {row["intervention"] for row in read}
    assert names == {"omitted", "permuted", "gaussian", "mean", "offset_only"}
    assert {row["split"] for row in read} == {"unseen samples", "training samples"}
    assert {row["model"] for row in read} == {"frozen", "pca", "class_code"}
    alone = [float(row["change"]) for row in read if row["intervention"] == "offset_only"]
    np.testing.assert_allclose(alone, 700, atol=30)
    assert all(float(row["low"]) < float(row["change"]) < float(row["high"]) for row in read)


def test_plots_are_of_the_metric_that_is_asked_for() -> None:
    tables = plot_tables(make_results(seeds=2, evaluate={"metric": "psnr"}))
    for name in ("comparison", "interventions", "robustness", "offset_scales"):
        assert tables[name][1] == []


def test_levels_ascend_within_a_setting(whole: ExperimentResults) -> None:
    backwards = replace(whole, interventions=list(reversed(whole.interventions)))
    read = read_back(plot_tables(backwards)["robustness"])
    for setting in whole.settings:
        levels = [float(row["level"]) for row in read if row["setting"] == setting.label]
        assert levels == [0, 0.1, 0.4]
    _, scales = plot_tables(whole)["offset_scales"]
    assert {row["model"] for row in scales} == {"frozen", "pca", "class_code"}
    assert {row["level"] for row in scales} == {-1, 0, 1, 2}
    levels_of = {f"noise_level={level}" for level in (0.05, 0.1, 0.2)}
    assert {row["values"] for row in scales} == levels_of
    first = find_intervention(whole.interventions, whole.settings[-1], scaled(-1), "mse")
    assert first is not None
    assert scales[-4]["mean"] == first.estimate.mean


def test_rows_name_equal_powers_alike(whole: ExperimentResults) -> None:
    columns, rows = plot_tables(whole)["learning_curves"]
    assert list(rows[0]) == columns
    values = {row["setting"]: row["values"] for row in rows}
    assert values["gaussian stddev=0.1"] == values["pca rms=0.1"] == "noise_level=0.1"
    assert values["none"] == ""


def test_a_line_of_settings_differs_in_power_alone() -> None:
    models = {
        "none": {"offset": "none"},
        "both": {"offset": "pca", "rms": [0.1, 0.2], "stddev": [0.0, 0.1]},
    }
    results = make_results(models=models, network={"latent_dim": [8, 16]})
    names = [series(setting) for setting in results.settings]
    assert names[:2] == ["none latent_dim=8", "none latent_dim=16"]
    assert names.count("both latent_dim=8 stddev=0.1") == 2
    _, rows = plot_tables(results)["settings"]
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
    whole: ExperimentResults,
) -> None:
    columns, rows = plot_tables(whole)["settings"]
    named = sorted(
        (row for row in rows if row["label_at"] is not None), key=lambda row: row["label_at"]
    )
    assert {row["series"] for row in named} == set(whole.params.models)
    means = [row["mean"] for row in named]
    assert means == sorted(means)
    assert list(rows[0]) == columns
    assert {row["noise_level"] for row in named} == {None, 0.2}


def test_a_model_has_one_colour_in_every_file(whole: ExperimentResults) -> None:
    tables = plot_tables(whole)
    seen = {
        (row["model"], row["colour"])
        for name in ("settings", "interventions")
        for row in tables[name][1]
    }
    assert seen == set(model_colours(whole.settings, whole.evaluate.baselines).items())
