"""Publishing to real servers that share nothing with the project: SQLite and PostgreSQL.

Each test begins in an experiment of its own, and ends with the same question: is every run of
``models/`` there exactly once, whole, and nothing else current?
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tracking.conftest import Make, Project
from tests.tracking.servers import Server, postgresql
from tests.tracking.test_live import Training

from offset_autoencoder.tracking.following import following
from offset_autoencoder.tracking.records import read_records
from offset_autoencoder.tracking.writer import WRITER

pytestmark = pytest.mark.slow

# The stage publish, but that the experiment is created when every other publisher is about to.
PUBLISH_AT_ONCE = """
import os, sys, time
from pathlib import Path
from mlflow.tracking import MlflowClient
from offset_autoencoder.errors import run_command
from offset_autoencoder.stages.publish import main

def create(*arguments, **options):
    (gate / str(os.getpid())).touch()
    for _ in range(60_000):
        if len(list(gate.iterdir())) == int(sys.argv[2]):
            break
        time.sleep(0.01)
    return real(*arguments, **options)

gate, real = Path(sys.argv[1]), MlflowClient.create_experiment
MlflowClient.create_experiment = create
run_command(main)
"""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with contextlib.ExitStack() as stack:
        backend = f"sqlite:///{folder}/store.db"
        if request.param == "postgresql":
            backend = stack.enter_context(postgresql())
        started = Server(backend, folder)
        stack.callback(started.stop)
        started.start()
        yield started


@pytest.fixture
def make(make_project: Make, server: Server, request: pytest.FixtureRequest) -> Make:
    """Projects that publish to an experiment of this test's own."""

    def made(name: str = "project", **changes: Any) -> Project:
        project = make_project(name, has_store=False, **changes)
        project.document["tracking"] |= {"experiment": request.node.name, "uri": server.uri}
        return project.write()

    return made


def check(project: Project) -> None:
    """Every run once and whole, everything current in its place, nothing running."""
    runs = project.shown()
    assert not [run.name for run in runs if run.status == "RUNNING"]
    current = [run for run in runs if run.tags["current"] == "true"]
    seeds = [run for run in current if run.role == "run"]
    wanted = {run.label: project.mse(run) for run in project.params.runs}
    assert Counter(run.name for run in seeds) == Counter(wanted.keys())
    for run in seeds:
        assert run.metrics["mse"] == pytest.approx(wanted[run.name])
        assert run.metrics["loss"] == pytest.approx(1 / project.epochs)
        assert run.metrics["epochs_trained"] == project.epochs
    settings = {run.id: run for run in current if run.role == "setting"}
    assert Counter(run.name for run in settings.values()) == Counter(
        {name.partition(" seed")[0] for name in wanted}
    )
    (parent,) = [run for run in current if run.role == "experiment"]
    assert {run.parent for run in settings.values()} == {parent.id}
    assert all(run.name.startswith(f"{settings[run.parent].name} seed") for run in seeds)
    assert project.publish().plan.is_nothing


def wait_for_runs(project: Project, number: int) -> None:
    """Until the experiment holds so many MLflow runs."""
    for _ in range(600):
        with contextlib.suppress(AssertionError):  # no such experiment yet
            if len(project.shown()) >= number:
                return
        time.sleep(0.05)
    pytest.fail("nothing was published")


def publish_at_once(*publishers: subprocess.Popen[str]) -> list[str]:
    """Wait for them; what each printed."""
    said = [publisher.communicate() for publisher in publishers]
    assert [publisher.returncode for publisher in publishers] == [0] * len(publishers), said
    return [out for out, _ in said]


def test_any_history_ends_with_each_run_once(make: Make, server: Server) -> None:
    draw = random.Random(int(server.backend.startswith("postgresql")))  # another for each
    project = make(epochs=60)
    client = project.client
    project.publish()

    def kill_a_publisher() -> None:
        publisher = project.write(shift=project.shift + 0.01).start()
        time.sleep(draw.uniform(2, 6))
        publisher.kill()
        publisher.communicate()

    def change_a_sweep() -> None:
        project.document["models"]["gaussian"]["stddev"] = draw.sample([0.1, 0.2, 0.3, 0.4], 2)

    def change_the_seeds() -> None:
        project.document["seeds"] = draw.sample(range(4), 2)

    def restore_from_a_cache() -> None:
        project.timeless = not project.timeless

    def delete_by_hand() -> None:
        client.delete_run(draw.choice(project.shown()).id)

    def leave_a_double() -> None:
        run = draw.choice(project.shown())
        experiment = client.get_experiment_by_name(project.document["tracking"]["experiment"])
        assert experiment is not None
        tags = {key: run.tags[key] for key in ("role", "record_key", "current")}
        client.create_run(experiment.experiment_id, tags=tags)

    steps = [change_a_sweep, change_the_seeds, restore_from_a_cache, delete_by_hand, leave_a_double]
    for step in [kill_a_publisher, *draw.choices(steps, k=6), kill_a_publisher]:
        step()
        project.write()
        if draw.random() < 0.5:
            project.publish()
    project.publish()
    check(project)


def test_four_clones_at_once(make: Make) -> None:
    clones = [make(name, epochs=30) for name in ("one", "two", "three", "four")]
    said = publish_at_once(*(clone.start() for clone in clones))
    assert sorted("(6 new)" in out for out in said) == [False, False, False, True], said
    assert len(clones[0].shown()) == 1 + 3 + 6
    check(clones[1])


def check_that_commands_say_so(project: Project) -> None:
    """Those that read a dead server try again, and then end with one line."""
    np.save(project.root / "x.npy", np.zeros((1, 64)))
    for line, status in (("runs", 0), ("reconstruct champion x.npy y.npy", 1)):
        command = [sys.executable, "-m", "offset_autoencoder.cli.app", *line.split()]
        environment = {**os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
        done = subprocess.run(
            command, cwd=project.root, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == status
        assert "cannot be reached: [Errno 111] Connection refused" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("dies", ["server", "publisher"])
def test_what_dies_while_publishing_is_made_good_by_the_next(
    make: Make, server: Server, dies: str
) -> None:
    project = make(epochs=300)
    publisher = project.start()
    wait_for_runs(project, 6)
    server.kill() if dies == "server" else publisher.kill()
    out, err = publisher.communicate()
    if dies == "server":
        check_that_commands_say_so(project)
        server.start()
        assert publisher.returncode == 0, out
        assert "'dvc repro' publishes the rest" in err
        assert err.startswith("warning: ")
        assert len(err.strip().splitlines()) == 1
    project.publish()
    check(project)


def test_a_server_that_dies_in_training_costs_a_line_and_publish_makes_it_good(
    make: Make, server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    project, said = make(epochs=40), ""
    training = Training(project, project.params.runs[:2])
    with following(training.handed, 0.1):
        training.wait_for_a_curve()
        server.kill()
        for run in training.runs:
            training.end(run)
        while not said:
            time.sleep(0.1)
            said = capfd.readouterr().err
    assert said.startswith("warning: the training is not shown in MLflow for now: MLflow server")
    assert len(said.splitlines()) == 1
    server.start()
    training.leave_in_models()
    project.publish()
    check(project)


def test_machines_at_once_make_one_experiment_and_leave_at_most_doubles_for_the_next(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machines share no lock: here each publisher has a folder of its own for that."""
    clones = [make(name, epochs=30) for name in ("one", "two", "three", "four")]
    publishers, gate = [], tmp_path / "gate"
    gate.mkdir()
    for clone in clones:
        place = tmp_path / f"tmp {clone.root.name}"
        place.mkdir()
        with monkeypatch.context() as patch:
            patch.setenv("TMPDIR", str(place))
            publishers.append(clone.start("-c", PUBLISH_AT_ONCE, str(gate), str(len(clones))))
    publish_at_once(*publishers)
    assert len(list(gate.iterdir())) == len(clones)
    clones[0].publish()
    assert len(clones[0].shown()) == 1 + 3 + 6
    check(clones[1])


def test_a_run_that_another_machine_is_writing_is_let_alone_until_it_is_dead(make: Make) -> None:
    project = make()
    client = project.client
    record = read_records(project.params, project.root)[-1]
    experiment = client.create_experiment(project.document["tracking"]["experiment"])
    now = int(time.time())
    tags = {"role": "run", "record_key": record.key, WRITER: f"elsewhere 1 {now}"}
    half = client.create_run(experiment, tags=tags).info.run_id
    project.publish()
    assert project.publish().plan.is_nothing
    assert half in {run.id for run in project.shown()}
    client.set_tag(half, WRITER, f"elsewhere 1 {now - 600}")
    project.publish()
    check(project)
