"""Publishing to real SQLite stores: what MLflow shows, each run exactly once."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.tracking.conftest import Make, Project

from offset_autoencoder.tracking.store import locate


def test_fresh_store_gets_a_parent_and_every_run_once(make_project: Make) -> None:
    project = make_project(has_store=False)
    outcome = project.publish()
    assert outcome.summary.startswith("published: 6 runs (6 new) to sqlite:///")
    assert outcome.summary.endswith("experiment trial")
    runs = project.shown()
    (parent,) = [run for run in runs if run.role == "experiment"]
    settings = {run.id: run.name for run in runs if run.parent == parent.id}
    assert sorted(settings.values()) == ["gaussian stddev=0.1", "gaussian stddev=0.2", "none"]
    nested = {run.name: settings[run.parent] for run in runs if run.role == "run"}
    assert nested == {r.label: r.setting.label for r in project.params.runs}
    assert len(runs) == 1 + 3 + 6
    assert {run.status for run in runs} == {"FINISHED"}
    assert {run.tags["current"] for run in runs} == {"true"}
    assert not (project.root / "mlruns").exists()
    assert not list(project.root.glob("mlflow.db.new*"))


def test_a_run_holds_params_curves_metrics_and_tags(published: Project) -> None:
    of_params = {run.label: run for run in published.params.runs}
    (run,) = [run for run in published.shown() if run.name == "gaussian stddev=0.2 seed=1"]
    expected = {
        "model": "gaussian",
        "seed": "1",
        "offset": "none",
        "offset_kind": "zero",
        "stddev": "0.2",
        "noise_level": "0.2",
        "latent_dim": "4",
        "hidden": "8",
        "learning_rate": "0.001",
        "normalize": "true",
        "data": "digits",
    }
    assert expected.items() <= run.params.items()
    assert "rms" not in run.params
    mse = published.mse(of_params[run.name])
    assert run.metrics["mse"] == pytest.approx(mse)
    assert run.metrics["mse_clean"] == pytest.approx(mse / 2)
    client = published.client
    for curve, scale in (("loss", 1.0), ("val_loss", 2.0)):
        history = sorted(client.get_metric_history(run.id, curve), key=lambda point: point.step)
        assert [point.step for point in history] == [1, 2, 3]
        assert [point.value for point in history] == pytest.approx([scale, scale / 2, scale / 3])
        times = [1_700_000_000_000 + 10_000 * epoch for epoch in (1, 2, 3)]
        assert [point.timestamp for point in history] == times
    assert (run.start, run.end) == (1_700_000_010_000, 1_700_000_030_000)
    spec = published.spec(of_params[run.name])
    tags = {
        "run_id_sha256": spec["id"],
        "model": "gaussian",
        "setting": "gaussian stddev=0.2",
        "seed": "1",
        "status": "finished",
        "engine": "numba",
        "dvc_stage": "train",
        "data_sha256": "d" * 64,
        "offset_sha256": spec["fingerprint"]["table"],
        "times": "known",
    }
    assert tags.items() <= run.tags.items()


def test_the_parent_holds_params_verdicts_and_reports(published: Project) -> None:
    (parent,) = published.of_role("experiment")
    expected = {"seeds": "0-1", "data": "digits", "latent_dim": "4", "metric": "mse"}
    assert (expected | {"learning_rate": "0.001"}).items() <= parent.params.items()
    assert not any("." in name for name in parent.params)
    assert parent.metrics == {"runs": 6.0, "settings": 3.0, "diverged": 0.0}
    assert parent.end is not None
    assert parent.end >= max(run.start for run in published.shown() if run.role == "setting")
    note = parent.tags["mlflow.note.content"]
    assert "| gaussian stddev=0.1 | 0.115 [0.015, 0.215] | worse, +25.0 % |" in note
    assert "not of the chosen metric" not in note
    folder = Path(parent.artifact_uri.removeprefix("file://"))
    assert folder.is_relative_to(published.root / "mlartifacts")
    kept = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert kept == {
        "params.yaml",
        "pictures/comparison.png",
        "reports/comparison.csv",
        "reports/metrics.json",
        "reports/plots/curves.csv",
        "reports/plots/learning_curves.csv",
        "reports/runs.csv",
        "reports/verdicts.csv",
    }
    original = (published.root / "reports" / "runs.csv").read_bytes()
    assert (folder / "reports" / "runs.csv").read_bytes() == original


def test_a_setting_holds_mean_interval_curve_and_verdict(published: Project) -> None:
    (setting,) = [run for run in published.shown() if run.name == "gaussian stddev=0.1"]
    expected = {"test_mse": 0.115, "test_mse_low": 0.015, "test_mse_high": 0.215, "seeds": 2.0}
    expected |= {"change_against_none": 0.25, "diverged": 0.0, "best_val_loss": 1 / 3}
    assert setting.metrics == pytest.approx(expected)
    assert next(iter(setting.metrics)) == "test_mse"  # by which MLflow compares two of them
    assert setting.params["stddev"] == "0.1"
    assert "seed" not in setting.params
    cells = {"interval": "[0.015, 0.215]", "difference_from_none": "+25.0 % [+20.0, +30.0]"}
    assert (cells | {"against_none": "worse"}).items() <= setting.tags.items()
    folder = Path(setting.artifact_uri.removeprefix("file://")) / "results"
    assert json.loads((folder / "metrics.json").read_text())["mse"]["low"] == pytest.approx(0.015)
    lines = (folder / "comparison.csv").read_text().splitlines()
    assert [line.split(",")[6] for line in lines] == ["metric", "mse", "mae"]
    assert setting.tags["trained"] == "2023-11-14 22:13:30 UTC to 2023-11-14 22:13:50 UTC"
    assert "**worse** worse than `none` by 0.01" in setting.tags["mlflow.note.content"]
    client = published.client
    curve = sorted(
        (p.step, p.value) for p in client.get_metric_history(setting.id, "best_val_loss")
    )
    assert curve == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    (other,) = [run for run in published.shown() if run.name == "gaussian stddev=0.2"]
    assert "against_none" not in other.tags
    assert "best_val_loss" not in other.metrics


def test_data_sets_are_logged_with_our_digests(published: Project) -> None:
    client = published.client
    for run in published.shown():
        inputs = datasets(client, run)
        splits = {"train": "train" * 8, "validation": "validation" * 8, "test": "test" * 8}
        assert {c: inputs[c].digest for c in splits} == {c: d[:32] for c, d in splits.items()}
        assert json.loads(inputs["train"].profile)["shape"] == [60, 64]
        assert ("offset" in inputs) == (run.role != "experiment")
    (none,) = [run for run in published.shown() if run.name == "none seed=0"]
    offset = datasets(client, none)["offset"]
    table = published.spec(published.params.runs[0])["fingerprint"]["table"]
    assert (offset.name, offset.digest) == ("none", table[:32])


def datasets(client: Any, run: Any) -> dict[str, Any]:
    """The data sets of an MLflow run, by context."""
    inputs = client.get_run(run.id).inputs.dataset_inputs
    return {one.tags[0].value: one.dataset for one in inputs}


def test_again_adds_nothing(project: Project) -> None:
    before = project.shown()
    outcome = project.publish()
    assert outcome.summary == "published: 6 runs, nothing new"
    assert project.shown() == before


def test_one_id_under_two_models_and_settings_is_shown_under_each(make_project: Make) -> None:
    project = make_project()
    project.document["offsets"]["nought"] = {"kind": "zero"}
    project.document["models"] |= {
        "none": {"offset": ["none", "nought"]},
        "twin": {"offset": "none"},
    }
    project.write().publish()
    runs = project.of_role("run")
    assert Counter(run.name for run in runs) == Counter(run.label for run in project.params.runs)
    twins = [run.tags["run_id_sha256"] for run in runs if run.tags["model"] in ("none", "twin")]
    assert (len(twins), len(set(twins))) == (6, 2)
    assert project.publish().plan.is_nothing


def test_diverged_run_is_failed(make_project: Make) -> None:
    project = make_project(diverged=("gaussian stddev=0.2 seed=1",))
    project.publish()
    (run,) = [run for run in project.shown() if run.status == "FAILED"]
    assert run.name == "gaussian stddev=0.2 seed=1"
    assert run.tags["status"] == "diverged"
    assert "mse" not in run.metrics
    assert math.isnan(run.metrics["loss"])
    assert run.metrics["diverged_epoch"] == 3.0
    (parent,) = project.of_role("experiment")
    assert parent.tags["mlflow.note.content"].startswith("6 runs, 1 of them diverged")
    (setting,) = [other for other in project.shown() if other.id == run.parent]
    assert (setting.status, setting.metrics["diverged"]) == ("FINISHED", 1.0)
    assert project.publish().plan.is_nothing


def test_runs_without_times_say_so(make_project: Make) -> None:
    project = make_project(timeless=True)
    project.publish()
    for run in project.shown():
        if run.role == "run":
            assert run.tags["times"] == "unknown"
            assert run.start == run.end
            assert run.start > 1_700_000_030_000
    project.write(timeless=False)
    assert project.publish().plan.is_nothing


@pytest.mark.parametrize("most", [None, 100])
def test_long_curves_arrive_whole_or_thinned_with_the_history_beside(
    make_project: Make, most: int | None
) -> None:
    epochs = 1100
    project = make_project(epochs=epochs)
    project.document["seeds"], project.document["models"] = 1, {"none": {"offset": "none"}}
    project.document["tracking"]["curve_points"] = most
    project.write().publish()
    (run,) = project.of_role("run")
    points = project.client.get_metric_history(run.id, "val_loss")
    values = {point.step: point.value for point in points}
    steps = [*range(1, epochs + 1)] if most is None else [*range(1, epochs + 1, 16), epochs]
    assert sorted(values) == steps
    assert values == {step: 2 / step for step in steps}
    folder = Path(run.artifact_uri.removeprefix("file://"))
    (history,) = project.root.glob("models/runs/*/history.csv")
    if most is None:
        assert not folder.exists()
    else:
        assert (folder / "history.csv").read_bytes() == history.read_bytes()
    assert project.publish().plan.is_nothing


def test_folder_with_odd_name(make_project: Make) -> None:
    project = make_project("with space ü 100%20 why? a#b")
    project.publish()
    assert project.publish().plan.is_nothing
    assert len(project.shown(locate(project.params.tracking).uri)) == 10
    assert list((project.root / "mlartifacts").rglob("comparison.csv"))
