from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.reporting.conftest import NOTHING, make_report, make_whole

from offset_autoencoder.reporting.reports import write_reports

FILES = [
    "comparison.csv",
    "errors/test.parquet",
    "errors/thresholds.csv",
    "interventions.csv",
    "metrics.json",
    "plots/codes.csv",
    "plots/comparison.csv",
    "plots/comparison.png",
    "plots/interventions.csv",
    "plots/interventions.png",
    "plots/learning_curves.csv",
    "plots/learning_curves.png",
    "plots/offset_scales.csv",
    "plots/offset_scales.png",
    "plots/probes.png",
    "plots/reconstructions.png",
    "plots/robustness.csv",
    "plots/robustness.png",
    "plots/settings.csv",
    "plots/test_metric.png",
    "probes.csv",
    "runs.csv",
    "tuned.csv",
    "verdicts.csv",
]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def written(report: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    write_reports(folder, make_whole(report))
    return folder


def test_every_report_is_there_and_nothing_else(written: Path) -> None:
    assert list(contents(written)) == FILES


def test_the_runs_come_back(report: Any, written: Path) -> None:
    back = pd.read_csv(written / "runs.csv")
    named = ["id", "model", "setting", "stddev", "rms", "seed", "engine", "status"]
    assert list(back.columns) == [*named, "mse", "mse_as_trained", "mse_clean", "mse_validation"]
    assert list(back["id"]) == [row.id for row in report.runs]
    assert list(back["setting"]) == [row.run.setting.label for row in report.runs]
    expected = [row.metrics.get("mse", np.nan) for row in report.runs]
    np.testing.assert_array_equal(back["mse"], expected)
    gone = back[back["status"] == "diverged"]
    assert len(gone) == 1
    assert gone["mse"].isna().all()


def test_the_metrics_are_those_of_the_runs(report: Any, written: Path) -> None:
    tree = json.loads((written / "metrics.json").read_text())
    assert list(tree) == list(report.params.models)
    values = [
        row.metrics["mse"] for row in report.runs if row.run.setting.label == "gaussian stddev=0.1"
    ]
    leaf = tree["gaussian"]["stddev=0.1"]["mse"]
    assert leaf["mean"] == pytest.approx(np.mean(values))
    assert leaf["low"] < leaf["mean"] < leaf["high"]
    assert tree["pca"]["rms=0.2"]["diverged"] == 1
    assert tree["pca"]["rms=0.2"]["mse"]["runs"] == 9


def test_every_comparison_is_a_row(report: Any, written: Path) -> None:
    rows = list(csv.DictReader((written / "comparison.csv").open(newline="")))
    assert len(rows) == len(report.comparisons)
    assert list(rows[0]) == [
        *("model", "setting", "stddev", "rms", "baseline", "baseline_setting", "outcome"),
        *("metric", "difference"),
        *("low", "high", "two_way_low", "two_way_high", "p", "p_corrected"),
        *("change", "change_low", "change_high", "margin"),
        *("p_equivalence", "p_equivalence_corrected", "equivalent"),
        *("seeds_needed", "seeds_needed_low", "seeds_needed_high", "needed_for"),
        "interval_floor",
        *("wins", "pairs", "verdict"),
    ]
    by_hand = {row.run.label: row.metrics.get("mse") for row in report.runs}
    differences = [
        by_hand[f"class_code rms=0.1 seed={seed}"] - by_hand[f"none seed={seed}"]
        for seed in report.params.seeds
    ]
    (row,) = [
        row
        for row in rows
        if (row["model"], row["rms"], row["baseline"], row["metric"])
        == ("class_code", "0.1", "none", "mse")
    ]
    assert float(row["difference"]) == pytest.approx(np.mean(differences))


def test_the_pictures_are_of_a_size_to_be_seen(written: Path) -> None:
    for path in (written / "plots").glob("*.png"):
        picture = Image.open(path)
        assert picture.mode == "RGBA"
        assert 300 < picture.width < 1100, path.name


def test_a_second_report_is_the_same_bytes_and_nothing_older_stays(
    report: Any, written: Path, tmp_path: Path
) -> None:
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    (tmp_path / "plots" / "old.png").write_bytes(b"")
    write_reports(tmp_path, make_whole(report, samples="none"))
    expected = contents(written)
    del expected["plots/reconstructions.png"]
    assert contents(tmp_path) == expected


def test_all_diverged_is_still_reported(tmp_path: Path) -> None:
    made = make_report(seeds=2, diverged=True)
    write_reports(tmp_path, make_whole(made, samples="none", curves=[], **NOTHING))
    rows = list(csv.DictReader((tmp_path / "runs.csv").open(newline="")))
    assert {row["status"] for row in rows} == {"diverged"}
    tree = json.loads((tmp_path / "metrics.json").read_text())
    assert tree["none"] == {"diverged": 2}
    assert (tmp_path / "plots" / "learning_curves.csv").read_text().count("\n") == 1


def test_the_outcome_is_a_word_and_the_verdict_on_an_offset_stands_beside_its_setting(
    report: Any, written: Path
) -> None:
    compared = list(csv.DictReader((written / "comparison.csv").open(newline="")))
    assert [row["outcome"] for row in compared] == [item.outcome for item in report.comparisons]
    head = (written / "verdicts.csv").read_text().splitlines()[0]
    assert head.startswith("model,setting,verdict,stddev,rms,")
