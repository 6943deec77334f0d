"""Publishing that was cut off, and stores that are damaged, emptied by hand or not ours."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections import Counter
from typing import Any

import pytest
from tests.tracking.conftest import Make, Project

from offset_autoencoder.errors import InputError


def test_lost_artifacts_come_back(project: Project) -> None:
    shutil.rmtree(project.root / "mlartifacts")
    assert not project.publish().plan.is_nothing
    assert list((project.root / "mlartifacts").rglob("comparison.csv"))
    assert project.publish().plan.is_nothing
    assert len(project.shown()) == 10


def test_failure_after_any_call_is_mended(
    make_project: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the process were killed between two calls to the store, each of them in turn."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    writers = ["create_experiment", "create_run", "log_batch", "update_run_info", "set_tag"]
    writers += ["log_inputs"]
    allowed = calls = 0

    def limited(real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal allowed
            if allowed == 0:
                raise ConnectionError("gone")
            allowed -= 1
            return real(*args, **kwargs)

        return call

    is_whole = False
    while not is_whole:
        project = make_project(f"after {calls} calls")
        project.document |= {"seeds": 1, "models": {"none": {"offset": "none"}}}
        project.write()
        allowed = calls
        with monkeypatch.context() as patch, contextlib.suppress(InputError):
            for name in writers:
                patch.setattr(SqlAlchemyStore, name, limited(getattr(SqlAlchemyStore, name)))
            project.publish()
            is_whole = True
        project.publish()
        runs = project.shown()
        assert {run.name for run in runs if run.role == "run"} == {"none seed=0"}, calls
        assert [run.status for run in runs] == ["FINISHED"] * 3, calls
        assert all(len(run.metrics) == 7 for run in runs if run.role == "run"), calls
        assert project.publish().plan.is_nothing, calls
        calls += 1
    assert calls > 10


def test_ctrl_c_leaves_nothing_running(make_project: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    project = make_project()
    real = MlflowClient.log_batch

    def interrupted(self: Any, run_id: str, metrics: Any = (), *rest: Any) -> None:
        if any(metric.key == "val_loss" for metric in metrics):
            raise KeyboardInterrupt
        real(self, run_id, metrics, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            project.publish()
    assert Counter(run.status for run in project.shown()) == {"FINISHED": 4, "KILLED": 1}
    project.publish()
    assert [run.status for run in project.shown()] == ["FINISHED"] * 10


def test_update_that_was_cut_off_is_not_taken_for_done(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics overwritten, then the process ends, then the old reports are put back."""
    from mlflow.tracking import MlflowClient

    project.write(shift=0.5)
    real = MlflowClient.log_batch

    def half(self: Any, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        if any(metric.key == "mse" for metric in metrics):
            real(self, run_id, metrics, params)
            raise ConnectionError("gone")
        real(self, run_id, metrics, params, tags)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", half)
        with pytest.raises(InputError, match=r"gone .*'dvc repro' publishes the rest"):
            project.publish()
    project.write(shift=0.0).publish()
    found = {run.name: run.metrics["mse"] for run in project.of_role("run")}
    assert found == pytest.approx({run.label: project.mse(run) for run in project.params.runs})


def test_run_deleted_by_hand_comes_back(project: Project) -> None:
    project.client.delete_run(project.of_role("run")[0].id)
    assert "(1 new)" in project.publish().summary
    assert len(project.shown()) == 10


def test_deleted_experiment_names_the_way_back(project: Project) -> None:
    client = project.client
    experiment = client.get_experiment_by_name("trial")
    assert experiment is not None
    identity = experiment.experiment_id
    client.delete_experiment(identity)
    with pytest.raises(InputError, match=f"restore --experiment-id {identity}"):
        project.publish()
    client.restore_experiment(identity)
    assert project.publish().plan.is_nothing


def test_file_that_is_no_database_is_named(make_project: Make) -> None:
    project = make_project()
    project.database.write_text("not a database, and long enough to have been one" * 10)
    with pytest.raises(InputError, match=r"mlflow.db: is not an SQLite database"):
        project.publish()


def test_store_that_mlflow_refuses_is_one_line(
    make_project: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:./mlruns")
    with pytest.raises(InputError, match=r"MLFLOW_TRACKING_URI: 'file:./mlruns' names a folder"):
        project.publish()


def test_foreign_sqlite_file_is_one_line(make_project: Make) -> None:
    project = make_project(has_store=False)
    with sqlite3.connect(project.database) as connection:
        connection.execute("CREATE TABLE experiments (name TEXT)")
    with pytest.raises(InputError, match=r"MLflow store sqlite:///"):
        project.publish()


def test_a_call_that_is_carried_out_twice_leaves_no_double(
    make_project: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the answer to a call were lost, and it were sent again."""
    from mlflow.tracking import MlflowClient

    project = make_project()
    real = MlflowClient.create_run

    def twice(*args: Any, **kwargs: Any) -> Any:
        real(*args, **kwargs)
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_run", twice)
        project.publish()
    runs = project.shown()
    assert len(runs) == 10
    assert {run.status for run in runs} == {"FINISHED"}
    assert project.publish().plan.is_nothing


@pytest.mark.parametrize("name", ["set_experiment_tag", "log_inputs"])
def test_what_another_publisher_adds_at_the_same_moment_is_no_fault(
    name: str, make_project: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow looks for the row, the other adds it, and MLflow's own row is then one too many."""
    from mlflow.exceptions import MlflowException
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    late: list[str] = []
    real = getattr(SqlAlchemyStore, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        if not late:
            late.append(name)
            raise MlflowException("(sqlite3.IntegrityError) UNIQUE constraint failed")
        return result

    project = make_project("late")
    with monkeypatch.context() as patch:
        patch.setattr(SqlAlchemyStore, name, call)
        project.publish()
    assert late
    assert project.publish().plan.is_nothing
