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
from tests.tracking.conftest import Make, Show
from tests.tracking.servers import free_port

from offset_autoencoder.config import Run
from offset_autoencoder.io.files import write_npz
from offset_autoencoder.tracking.following import following
from offset_autoencoder.tracking.records import run_name
from offset_autoencoder.tracking.store import StoredRun
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


@pytest.fixture
def training(make_project: Make) -> Training:
    """Two runs of six, of 40 epochs each."""
    project = make_project(epochs=40)
    return Training(project, project.params.runs[:2])


def wait_for(
    training: Training, shown: Show, what: Callable[[list[Any]], bool], seconds: float = 90
) -> list[Any]:
    """The MLflow runs, as soon as they are as wanted."""
    runs: list[Any] = []
    for _ in range(int(seconds / 0.1)):
        with contextlib.suppress(AssertionError):  # no experiment yet
            runs = shown(training.project)
            if what(runs):
                return runs
        time.sleep(0.1)
    pytest.fail(f"not seen within {seconds} s: {runs}")


def history(training: Training, mlflow_id: str) -> list[tuple[int, float, int]]:
    client = training.project.client
    points = client.get_metric_history(mlflow_id, "val_loss")
    return sorted((point.step, point.value, point.timestamp) for point in points)


@pytest.mark.slow
def test_curves_are_seen_in_training_and_publish_completes_them(
    training: Training, shown: Show
) -> None:
    first, second = training.runs
    with following(training.handed, 0.1):
        training.checkpoint(first, 5)
        (run,) = wait_for(training, shown, lambda runs: any("val_loss" in r.metrics for r in runs))
        assert (run.name, run.status) == (run_name(first), "RUNNING")
        assert run.params["model"] == "none"
        assert [step for step, _, _ in history(training, run.id)] == [1, 2, 3, 4, 5]
        training.checkpoint(first, 25)
        training.checkpoint(second, 10)
        wait_for(training, shown, lambda runs: len(runs) == 2)
        wait_for(training, shown, lambda _: len(history(training, run.id)) == 25)
        training.end(first)
        wait_for(training, shown, lambda runs: "FINISHED" in {one.status for one in runs})
        # The other ends just when the training does.
        training.end(second)
    during = {one.name: one.id for one in shown(training.project)}
    assert {one.status for one in shown(training.project)} == {"FINISHED"}
    training.leave_in_models()
    training.project.publish()
    runs = {one.name: one for one in shown(training.project) if one.role == "run"}
    assert len(runs) == 6
    assert {name: runs[name].id for name in during} == during
    settings = {one.id for one in shown(training.project) if one.role == "setting"}
    for one in runs.values():
        assert one.status == "FINISHED"
        assert one.parent in settings
        assert one.metrics["mse"] > 0
        points = history(training, one.id)
        assert [step for step, _, _ in points] == list(range(1, 41))
        assert points[9] == (10, 0.2, 1_700_000_100_000)
    assert training.project.publish().plan.is_nothing


@pytest.mark.slow
def test_a_training_that_is_cut_off_leaves_nothing_running(training: Training, shown: Show) -> None:
    with contextlib.suppress(KeyboardInterrupt), following(training.handed, 0.1):
        training.checkpoint(training.runs[0], 5)
        wait_for(training, shown, lambda runs: any("val_loss" in r.metrics for r in runs))
        raise KeyboardInterrupt
    assert [run.status for run in shown(training.project)] == ["KILLED"]
    training.leave_in_models()
    training.project.publish()
    runs = [run for run in shown(training.project) if run.role == "run"]
    assert sorted(run.name for run in runs) == sorted(map(run_name, training.project.params.runs))
    assert {run.status for run in runs} == {"FINISHED"}


@pytest.mark.slow
def test_a_follower_that_is_killed_is_mended_by_publish(
    training: Training, shown: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, started = subprocess.Popen, []

    def start(*arguments: Any, **options: Any) -> Any:
        started.append(real(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    with following(training.handed, 0.1):
        training.checkpoint(training.runs[0], 5)
        wait_for(training, shown, lambda runs: any("val_loss" in r.metrics for r in runs))
        (follower,) = started
        follower.send_signal(signal.SIGKILL)
    assert [run.status for run in shown(training.project)] == ["RUNNING"]
    training.leave_in_models()
    training.project.publish()
    runs = [run for run in shown(training.project) if run.role == "run"]
    assert len(runs) == 6
    assert {run.status for run in runs} == {"FINISHED"}
    assert all(len(history(training, run.id)) == 40 for run in runs)


@pytest.mark.slow
def test_a_dead_server_costs_the_training_a_line(
    training: Training, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    said = ""
    with following(training.handed, 0.1):
        training.checkpoint(training.runs[0], 5)
        for _ in range(600):
            said += capfd.readouterr().err
            if said:
                break
            time.sleep(0.1)
    assert said.startswith("warning: the training is not shown in MLflow for now: MLflow server")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("live_after", [None, 60.0])
def test_a_short_training_starts_nothing(
    training: Training, monkeypatch: pytest.MonkeyPatch, live_after: float | None
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr("subprocess.Popen", refuse)
    began = time.monotonic()
    with following(training.handed, live_after):
        training.checkpoint(training.runs[0], 5)
    assert time.monotonic() - began < 1


def test_a_sign_of_life_is_believed_while_it_can_be_true() -> None:
    def is_alive(tag: str, status: str = "RUNNING", process: int = 0) -> bool:
        return is_written_by_another(StoredRun("1", status, "", {WRITER: tag}), process)

    own = sign_of_life(os.getpid())
    assert is_alive(own)
    assert not is_alive(own, process=os.getpid())
    assert not is_alive(own, "FINISHED")
    assert not is_alive(sign_of_life(_ended_process()))
    assert is_alive(f"elsewhere 1 {int(time.time()) - 60}")
    assert not is_alive(f"elsewhere 1 {int(time.time()) - 600}")
    assert not is_alive("nonsense")


def _ended_process() -> int:
    done = subprocess.Popen(["true"])
    done.wait()
    return done.pid
