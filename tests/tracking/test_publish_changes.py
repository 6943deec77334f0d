"""Publishing after the params, the reports or the models' names changed."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest
from tests.tracking.conftest import Make, Project


def test_changed_metrics_update_the_runs_that_are_there(project: Project) -> None:
    before = {run.name: run for run in project.shown()}
    project.write(shift=-0.004)
    outcome = project.publish()
    assert "6 updated" in outcome.summary
    assert "new" not in outcome.summary
    after = {run.name: run for run in project.shown()}
    assert {run.id for run in after.values()} == {run.id for run in before.values()}
    for run in project.params.runs:
        assert after[run.label].metrics["mse"] == pytest.approx(project.mse(run))
        assert after[run.label].metrics["loss"] == before[run.label].metrics["loss"]
    (parent,) = [run for run in after.values() if run.role == "experiment"]
    assert "worse, +24.6 %" in parent.tags["mlflow.note.content"]
    assert project.publish().plan.is_nothing


def test_metric_and_artifact_that_are_gone_are_removed(project: Project) -> None:
    path = project.root / "reports" / "runs.csv"
    rows = [line.rpartition(",")[0] for line in path.read_text().splitlines()]
    path.write_text("\n".join(rows) + "\n")
    (project.root / "reports" / "plots" / "curves.csv").unlink()
    (project.root / "reports" / "plots" / "new.csv").write_text("a\n")
    project.publish()
    runs = project.of_role("run")
    assert len(runs) == 6
    assert not any("mse_clean" in run.metrics for run in runs)
    kept = {path.name for path in (project.root / "mlartifacts").rglob("*.csv")}
    tables = {"comparison.csv", "runs.csv", "verdicts.csv"}
    assert kept == {*tables, "new.csv", "learning_curves.csv"}


def test_renamed_model_is_shown_under_its_new_name(project: Project) -> None:
    project.document["models"]["noisy"] = project.document["models"].pop("gaussian")
    project.write()
    assert "4 new, 4 retired" in project.publish().summary
    runs = project.of_role("run")
    current = [run for run in runs if run.tags["current"] == "true"]
    assert Counter(run.tags["model"] for run in current) == {"none": 2, "noisy": 4}
    past = [run for run in runs if run.tags["current"] == "false"]
    assert [run.tags["model"] for run in past] == ["gaussian"] * 4
    old = {run.tags["run_id_sha256"] for run in past}
    assert old == {run.tags["run_id_sha256"] for run in current if run.tags["model"] == "noisy"}


def test_params_put_back_bring_back_the_first_parent(project: Project) -> None:
    first = {run.name: run.id for run in project.shown()}
    project.document["models"]["gaussian"]["stddev"] = [0.1, 0.3]
    project.write()
    assert "6 runs (2 new, 2 retired)" in project.publish().summary
    runs = project.shown()
    (parent,) = [run for run in runs if run.role == "experiment" and run.tags["current"] == "true"]
    assert parent.id not in first.values()
    settings = {run.id for run in runs if run.parent == parent.id}
    nested = {run.name for run in runs if run.parent in settings}
    assert nested == {run.label for run in project.params.runs}
    project.document["models"]["gaussian"]["stddev"] = [0.1, 0.2]
    project.write().publish()
    current = {run.name: run.id for run in project.shown() if run.tags["current"] == "true"}
    assert current == first
    parents = {run.parent for run in project.shown() if run.tags["current"] == "true"}
    assert len(parents - {""}) == 1 + 3


def test_swept_and_single_value_are_one_run_under_a_new_name(project: Project) -> None:
    ids = {run.id for run in project.shown() if run.name.startswith("gaussian stddev=0.2 seed=")}
    project.document["models"]["gaussian"]["stddev"] = 0.2
    project.write().publish()
    assert {run.id for run in project.shown() if run.name.startswith("gaussian seed=")} == ids


def test_runs_of_others_in_the_experiment_are_let_alone(project: Project) -> None:
    client = project.client
    experiment = client.get_experiment_by_name("trial")
    assert experiment is not None
    mine = client.create_run(experiment.experiment_id, run_name="mine").info.run_id
    assert project.publish().plan.is_nothing
    project.write(shift=1.0).publish()
    (run,) = [run for run in project.shown() if run.id == mine]
    assert run.status == "RUNNING"
    assert "current" not in run.tags


def test_a_temporary_clone_adds_runs_and_takes_nothing_from_the_workspace(
    make_project: Make, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {run.id: run for run in project.shown()}
    monkeypatch.setenv("DVC_ROOT", str(project.root))
    monkeypatch.setenv("DVC_EXP_NAME", "brisk-lark")
    clone = make_project("clone", has_store=False, shift=0.5)
    clone.document["models"]["gaussian"]["stddev"] = [0.1, 0.3]
    clone.write()
    assert "6 runs (2 new)" in clone.publish().summary
    assert clone.publish().plan.is_nothing
    assert not clone.database.exists()
    assert not (clone.root / "mlartifacts").exists()
    after = {run.id: run for run in project.shown()}
    assert {run_id: after[run_id] for run_id in before} == before
    added = [run for run_id, run in after.items() if run_id not in before]
    assert {run.tags["current"] for run in added} == {"false"}
    assert {run.tags["dvc_experiment"] for run in added} == {"brisk-lark"}
    names = sorted(run.name for run in added if run.role == "run")
    assert names == ["gaussian stddev=0.3 seed=0", "gaussian stddev=0.3 seed=1"]
    # The experiment is then applied to the workspace: its runs become current, none is doubled.
    monkeypatch.chdir(project.root)
    project.document, project.shift = clone.document, clone.shift
    project.write()
    assert "new" not in project.publish().summary
    assert {run.id for run in project.shown()} == set(after)
    current = {
        run.name for run in project.shown() if run.tags["current"] == "true" and run.role == "run"
    }
    assert current == {run.label for run in project.params.runs}


def test_a_project_that_is_moved_takes_its_artifacts_along(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {run.id for run in project.shown()}
    old = project.root
    project.root = old.rename(old.with_name("moved"))
    monkeypatch.chdir(project.root)
    project.publish()
    assert project.publish().plan.is_nothing
    project.write(shift=0.25).publish()
    assert not old.exists()
    runs = project.shown()
    assert {run.id for run in runs} == before
    there = (project.root / "mlartifacts").as_uri()
    assert all(run.artifact_uri.startswith(f"{there}/") for run in runs)
    (kept,) = (project.root / "mlartifacts").rglob("runs.csv")
    assert kept.read_bytes() == (project.root / "reports" / "runs.csv").read_bytes()


def test_a_project_that_is_copied_leaves_the_first_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = (project.root / "mlartifacts").rglob("runs.csv")
    before = first.read_bytes()
    copy = project.root.with_name("copy")
    shutil.copytree(project.root, copy)
    project.root = copy
    monkeypatch.chdir(copy)
    project.write(shift=0.25).publish()
    assert first.read_bytes() == before
    assert all(run.artifact_uri.startswith(copy.as_uri()) for run in project.shown())
