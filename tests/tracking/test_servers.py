"""Publishing to real servers that share nothing with the project: SQLite and PostgreSQL.

Each test begins in an experiment of its own, and ends with the same question: is every run of
``models/`` there exactly once, whole, and nothing else current?
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tracking.servers import Server, postgresql

from offset_autoencoder.tracking import turns
from offset_autoencoder.tracking.publish import publish
from offset_autoencoder.tracking.records import run_name

Make = Callable[..., Any]
Show = Callable[..., list[Any]]

pytestmark = pytest.mark.slow

PUBLISH = [sys.executable, "-m", "offset_autoencoder.stages.publish"]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    if request.param == "sqlite":
        made = Server(f"sqlite:///{folder}/store.db", folder)
        made.start()
        yield made
        made.stop()
        return
    with postgresql() as uri:
        made = Server(uri, folder)
        made.start()
        yield made
        made.stop()


@pytest.fixture
def make(make_project: Make, server: Server, monkeypatch: pytest.MonkeyPatch, request: Any) -> Make:
    """Projects that publish to an experiment of this test's own."""

    def made(name: str = "project", **changes: Any) -> Any:
        project = make_project(name, has_store=False, **changes)
        project.document["tracking"] |= {"experiment": request.node.name, "uri": server.uri}
        return project.write()

    return made


def check(project: Any, shown: Show, server: Server) -> None:
    """Every run once and whole, everything current in its place, nothing running."""
    runs = shown(project, server.uri)
    assert not [run.name for run in runs if run.status == "RUNNING"]
    current = [run for run in runs if run.tags["current"] == "true"]
    seeds = [run for run in current if run.role == "run"]
    wanted = {run_name(run): project.mse(run) for run in project.params.runs}
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
    assert publish(project.params).plan.is_nothing


def start(project: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        PUBLISH, cwd=project.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_runs(project: Any, shown: Show, server: Server, number: int) -> None:
    """Until the experiment holds so many MLflow runs."""
    for _ in range(600):
        try:
            if len(shown(project, server.uri)) >= number:
                return
        except AssertionError:  # no such experiment yet
            pass
        time.sleep(0.05)
    pytest.fail("nothing was published")


@pytest.mark.parametrize("seed", [0, 1])
def test_any_history_ends_with_each_run_once(
    make: Make, shown: Show, server: Server, seed: int
) -> None:
    from mlflow.tracking import MlflowClient

    client, draw = MlflowClient(tracking_uri=server.uri), random.Random(seed)
    project = make(epochs=60)
    publish(project.params)

    def kill_a_publisher() -> None:
        project.shift += 0.01
        project.write()
        publisher = start(project)
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
        client.delete_run(draw.choice(shown(project, server.uri)).id)

    def leave_a_double() -> None:
        run = draw.choice(shown(project, server.uri))
        experiment = client.get_experiment_by_name(project.document["tracking"]["experiment"])
        assert experiment is not None
        tags = {key: run.tags[key] for key in ("role", "record_key", "current")}
        client.create_run(experiment.experiment_id, tags=tags)

    steps = [change_a_sweep, change_the_seeds, restore_from_a_cache, delete_by_hand]
    steps += [leave_a_double]
    for step in [kill_a_publisher, *draw.choices(steps, k=6), kill_a_publisher]:
        step()
        project.write()
        if draw.random() < 0.5:
            publish(project.params)
    publish(project.params)
    check(project, shown, server)


def test_two_clones_at_once(make: Make, shown: Show, server: Server) -> None:
    clones = [make(name, epochs=30) for name in ("one", "two")]
    publishers = [start(clone) for clone in clones]
    said = [publisher.communicate(timeout=180) for publisher in publishers]
    assert [publisher.returncode for publisher in publishers] == [0, 0], said
    assert sorted("(6 new)" in out for out, _ in said) == [False, True], said
    assert len(shown(clones[0], server.uri)) == 1 + 3 + 6
    check(clones[1], shown, server)


def test_a_server_that_goes_away_and_comes_back(make: Make, shown: Show, server: Server) -> None:
    project = make(epochs=300)
    publisher = start(project)
    wait_for_runs(project, shown, server, 6)
    server.kill()
    out, err = publisher.communicate(timeout=180)
    server.start()
    assert publisher.returncode == 1, out
    assert "'dvc repro' publishes the rest" in err
    assert len(err.strip().splitlines()) == 1
    publish(project.params)
    check(project, shown, server)


def test_a_killed_publisher_keeps_nobody_waiting(make: Make, shown: Show, server: Server) -> None:
    project = make(epochs=300)
    publisher = start(project)
    wait_for_runs(project, shown, server, 5)
    publisher.send_signal(signal.SIGKILL)
    publisher.communicate()
    began = time.monotonic()
    publish(project.params)
    assert time.monotonic() - began < turns.DEAD_SECONDS
    check(project, shown, server)


def test_a_publisher_of_another_machine_that_died_is_waited_out(
    make: Make, shown: Show, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=server.uri)
    project = make()
    name = project.document["tracking"]["experiment"]
    identity = client.create_experiment(name)
    client.set_experiment_tag(identity, f"{turns.PREFIX}000", "elsewhere 1 1")
    monkeypatch.setattr(turns, "DEAD_SECONDS", 2.0)
    publish(project.params)
    assert "waiting for another publish" in capsys.readouterr().err
    check(project, shown, server)
    tags = client.get_experiment(identity).tags
    assert not [tag for tag in tags if tag.startswith(turns.PREFIX)]


def test_a_publisher_that_was_taken_for_dead_writes_no_more(make: Make, server: Server) -> None:
    from mlflow.tracking import MlflowClient

    from offset_autoencoder.errors import InputError

    client = MlflowClient(tracking_uri=server.uri)
    identity = client.create_experiment(f"taken over {server.backend[:6]}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "RENEW_SECONDS", 0.2)
        with turns.turn(client, identity) as check_turn:
            check_turn()
            (mine,) = [
                tag for tag in client.get_experiment(identity).tags if tag.startswith(turns.PREFIX)
            ]
            client.delete_experiment_tag(identity, mine)
            time.sleep(1.5)
            with pytest.raises(InputError, match="took this one for dead"):
                check_turn()


def test_reports_go_through_the_server(make: Make, shown: Show, server: Server) -> None:
    project = make()
    publish(project.params)
    (parent,) = [run for run in shown(project, server.uri) if run.role == "experiment"]
    assert parent.artifact_uri.startswith("mlflow-artifacts:")
    folder = parent.artifact_uri.partition(":/")[2]
    kept = {path.name for path in Path(server.folder / "files" / folder).rglob("*.*")}
    assert {"comparison.png", "runs.csv", "params.yaml"} <= kept
    assert not (project.root / "mlartifacts").exists()
