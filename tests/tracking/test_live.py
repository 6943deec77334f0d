"""Trainings that are shown while they go on, and what becomes of their MLflow runs."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.tracking.conftest import Make
from tests.tracking.servers import free_port

from offset_autoencoder.config import Run
from offset_autoencoder.io.files import write_npz
from offset_autoencoder.tracking.following import following
from offset_autoencoder.tracking.record_types import StoredRun
from offset_autoencoder.tracking.writer import WRITER, is_written_by_another, sign_of_life


class Training:
    """Plays the trainer: the same checkpoints and run folders, without any training."""

    def __init__(self, project: Any, runs: Sequence[Run]) -> None:
        self.project = project
        self.runs = runs
        self.store = project.root / ".runs"
        self.kept = project.root / "kept"
        shutil.copytree(project.root / "models", self.kept)
        shutil.rmtree(project.root / "models")

    @property
    def handed(self) -> list[Any]:
        specs = [self.project.spec(run) for run in self.runs]
        return [
            SimpleNamespace(
                run=run,
                id=spec["id"],
                spec=SimpleNamespace(fingerprint=functools.partial(dict, spec["fingerprint"])),
            )
            for run, spec in zip(self.runs, specs, strict=True)
        ]

    def checkpoint(self, run: Run, epochs: int) -> None:
        rows = [
            (1 / e, 2 / e, 2 / e, 1_700_000_000.0 + 10.0 * e, 0.1) for e in range(1, epochs + 1)
        ]
        path = self.store / ".checkpoints" / f"{self.project.spec(run)['id']}.npz"
        write_npz(path, {"epochs": np.array(rows), "weights": np.zeros(3)})

    def end(self, run: Run) -> None:
        identity = self.project.spec(run)["id"]
        shutil.copytree(self.kept / "runs" / identity, self.store / identity)

    def leave_in_models(self) -> None:
        self.kept.rename(self.project.root / "models")

    def wait_for(self, what: Callable[[list[Any]], bool]) -> list[Any]:
        """The MLflow runs, as soon as they are as wanted."""
        runs: list[Any] = []
        for _ in range(6000):
            with contextlib.suppress(AssertionError):  # no experiment yet
                runs = self.project.shown()
                if what(runs):
                    return runs
            time.sleep(0.1)
        pytest.fail(f"not seen: {runs}")

    def wait_for_a_curve(self) -> Any:
        """The only MLflow run, as soon as the first run's checkpoint of 5 epochs is shown."""
        self.checkpoint(self.runs[0], 5)
        (run,) = self.wait_for(lambda runs: any("val_loss" in run.metrics for run in runs))
        return run

    def history(self, mlflow_id: str) -> list[tuple[int, float, int]]:
        points = self.project.client.get_metric_history(mlflow_id, "val_loss")
        return sorted((point.step, point.value, point.timestamp) for point in points)


@pytest.fixture
def training(make_project: Make) -> Training:
    """Two runs of six, of 40 epochs each."""
    project = make_project(epochs=40)
    project.document["tracking"]["curve_points"] = 30
    project.document["train"]["epochs"] = 40
    project.write()
    return Training(project, project.params.runs[:2])


@pytest.mark.slow
def test_curves_are_seen_in_training_and_publish_completes_them(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine the last points take longer than a training waits for.
    monkeypatch.setattr("offset_autoencoder.tracking.following._END_SECONDS", 600.0)
    first, second = training.runs
    with following(training.handed, 0.1):
        run = training.wait_for_a_curve()
        assert (run.name, run.status) == (first.label, "RUNNING")
        assert run.params["model"] == "none"
        assert [step for step, _, _ in training.history(run.id)] == [1, 3, 5]
        training.checkpoint(first, 25)
        training.checkpoint(second, 10)
        training.wait_for(lambda runs: len(runs) == 2)
        training.wait_for(lambda _: len(training.history(run.id)) == 13)
        training.end(first)
        training.wait_for(lambda runs: "FINISHED" in {one.status for one in runs})
        # The other ends just when the training does.
        training.end(second)
    during = {one.name: one.id for one in training.project.shown()}
    assert {one.status for one in training.project.shown()} == {"FINISHED"}
    training.leave_in_models()
    training.project.publish()
    runs = {one.name: one for one in training.project.shown() if one.role == "run"}
    assert len(runs) == 6
    assert {name: runs[name].id for name in during} == during
    settings = {one.id for one in training.project.shown() if one.role == "setting"}
    for one in runs.values():
        assert one.status == "FINISHED"
        assert one.parent in settings
        assert one.metrics["mse"] > 0
        points = training.history(one.id)
        assert [step for step, _, _ in points] == [*range(1, 41, 2), 40]
        (point,) = [point for point in points if point[0] == 5]
        assert point == (5, 0.4, 1_700_000_050_000)
    assert training.project.publish().plan.is_nothing


@pytest.mark.slow
@pytest.mark.parametrize(("dies", "status"), [("training", "KILLED"), ("follower", "RUNNING")])
def test_what_is_cut_off_is_mended_by_publish(
    training: Training, monkeypatch: pytest.MonkeyPatch, dies: str, status: str
) -> None:
    real, started = subprocess.Popen, list[subprocess.Popen[bytes]]()

    def start(*arguments: Any, **options: Any) -> Any:
        started.append(real(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    with contextlib.suppress(KeyboardInterrupt), following(training.handed, 0.1):
        training.wait_for_a_curve()
        if dies == "training":
            raise KeyboardInterrupt
        started[0].send_signal(signal.SIGKILL)
    project = training.project
    assert len(started) == 1
    assert [run.status for run in project.shown()] == [status]
    training.leave_in_models()
    project.publish()
    runs = project.of_role("run")
    assert sorted(run.name for run in runs) == sorted(run.label for run in project.params.runs)
    assert {run.status for run in runs} == {"FINISHED"}
    assert all(len(training.history(run.id)) == 21 for run in runs)


@pytest.mark.slow
def test_a_dead_server_costs_the_training_a_line(
    training: Training, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    said = ""
    with following(training.handed, 0.1):
        training.checkpoint(training.runs[0], 5)
        while not said:
            time.sleep(0.1)
            said += capfd.readouterr().err
    assert said.startswith("warning: the training is not shown in MLflow for now: MLflow server")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("live_after", [None, 60.0])
def test_a_short_training_starts_nothing(
    training: Training, monkeypatch: pytest.MonkeyPatch, live_after: float | None
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr("subprocess.Popen", refuse)
    with following(training.handed, live_after):
        training.checkpoint(training.runs[0], 5)


def test_a_sign_of_life_is_believed_while_it_can_be_true() -> None:
    def is_alive(tag: str, status: str = "RUNNING", process: int = 0) -> bool:
        return is_written_by_another(StoredRun("1", status, "", {WRITER: tag}), process)

    own = sign_of_life(os.getpid())
    assert is_alive(own)
    assert not is_alive(own, process=os.getpid())
    assert not is_alive(own, "FINISHED")
    with subprocess.Popen(["true"]) as ended:
        pass
    assert not is_alive(sign_of_life(ended.pid))
    assert is_alive(f"elsewhere 1 {int(time.time()) - 60}")
    assert not is_alive(f"elsewhere 1 {int(time.time()) - 600}")
    assert not is_alive("nonsense")
