"""The stage in processes of its own: what it imports, kills, two at once, a real server."""

from __future__ import annotations

import contextlib
import ipaddress
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from tests.tracking.conftest import Make, Project
from tests.tracking.servers import Server, free_port, serving

pytestmark = pytest.mark.slow


def imported(stderr: str) -> set[str]:
    """The top-level packages that ``-X importtime`` saw."""
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in stderr.splitlines()}


def stored(database: Path) -> list[tuple[str, str, int]]:
    """Name, status and number of metric points of each nested run that is not in the bin."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute(
            "SELECT name, status, (SELECT count(*) FROM metrics m WHERE m.run_uuid = r.run_uuid)"
            " FROM runs r WHERE lifecycle_stage = 'active' AND run_uuid IN"
            " (SELECT run_uuid FROM tags WHERE key = 'role' AND value = 'run')"
        ).fetchall()


def all_statuses(database: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return {row[0] for row in connection.execute("SELECT status FROM runs")}


def whole(project: Project) -> Counter[tuple[str, str, int]]:
    """Values that ``stored`` should give: two curves and five final values per run."""
    points = 2 * project.epochs + 5
    return Counter((run.label, "FINISHED", points) for run in project.params.runs)


def test_nothing_to_do_imports_nothing_heavy(make_project: Make) -> None:
    project = make_project(has_store=False)
    first = project.stage("-X", "importtime")
    assert first.returncode == 0, first.stderr[-2000:]
    assert "mlflow" in imported(first.stderr)
    assert not imported(first.stderr) & {"tensorflow", "keras"}
    again = project.stage("-X", "importtime")
    assert said(again) == "published: 6 runs, nothing new"
    heavy = {"mlflow", "sqlalchemy", "pandas", "scipy", "sklearn", "matplotlib", "rich", "requests"}
    assert not imported(again.stderr) & (heavy | {"tensorflow", "keras"})


def errors_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Lines of stderr that are not progress, which a slow machine has time to show."""
    return [line for line in done.stderr.splitlines() if not line.startswith("publishing runs")]


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The line on what was published; after it comes what the report says."""
    first, *answer = done.stdout.splitlines()
    assert answer[:2] == [
        "second encoder: projection rms=0.1",
        "worse than `none` by mse: gaussian stddev=0.1",
    ]
    assert answer[2:] == ["the report: reports/index.html; every run: offset-autoencoder ui"]
    return first


def test_deleted_store_comes_back_whole_with_one_line_of_output(project: Project) -> None:
    assert Counter(stored(project.database)) == whole(project)
    project.database.unlink()
    done = project.stage()
    assert (done.returncode, errors_of(done)) == (0, [])
    assert said(done).startswith("published: 6 runs (6 new)")
    assert Counter(stored(project.database)) == whole(project)


@pytest.mark.parametrize(
    ("has_store", "delays"), [(False, (0.0, 0.4)), (True, (0.1, 0.6))], ids=str
)
def test_kills_at_any_moment_are_mended(
    make_project: Make, has_store: bool, delays: tuple[float, ...]
) -> None:
    """Killed as soon as there is something to break: in the tables, the parent, the runs."""
    project = make_project(has_store=has_store, epochs=400)
    project.document["tracking"]["curve_points"] = None
    project.write()
    kills = 0
    for delay in delays:
        publisher = project.start()
        _wait_for_writes(project, publisher)
        time.sleep(delay)
        kills += publisher.poll() is None
        publisher.kill()
        publisher.communicate()
    assert kills
    done = project.stage()
    assert done.returncode == 0, done.stderr
    assert Counter(stored(project.database)) == whole(project)
    assert "RUNNING" not in all_statuses(project.database)
    assert said(project.stage()) == "published: 6 runs, nothing new"
    assert not list(project.root.glob("mlflow.db.new*"))


def _wait_for_writes(project: Project, publisher: subprocess.Popen[str]) -> None:
    """Until the lock is there and the database, or the one that is being made, changes."""
    watched = [project.root / f"mlflow.db{suffix}" for suffix in ("", ".new", "-wal")]

    def seen() -> list[tuple[int, int]]:
        return [(path.stat().st_mtime_ns, path.stat().st_size) for path in watched if path.exists()]

    before = seen()
    while seen() == before and publisher.poll() is None:
        time.sleep(0.02)


def test_a_log_left_by_a_deleted_store_is_not_taken_over(
    make_project: Make, tmp_path: Path
) -> None:
    """A killed publisher leaves its log; whoever then deletes mlflow.db may leave it too."""
    project = make_project()
    with contextlib.closing(sqlite3.connect(project.database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE left_over (number)")
        connection.commit()
        log = project.root / "mlflow.db-wal"
        left = log.read_bytes()
    assert left
    project.database.unlink()
    log.write_bytes(left)
    done = project.stage()
    assert done.returncode == 0, done.stderr
    # Everything is in that one file, without the log beside it.
    alone = shutil.copyfile(project.database, tmp_path / "alone.db")
    assert Counter(stored(alone)) == whole(project)
    with contextlib.closing(sqlite3.connect(project.database)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "left_over" not in tables


def test_four_publishers_at_once(make_project: Make) -> None:
    project = make_project(has_store=False)
    publishers = [project.start() for _ in range(4)]
    said = [publisher.communicate() for publisher in publishers]
    assert [publisher.returncode for publisher in publishers] == [0, 0, 0, 0], said
    assert sorted("(6 new)" in out for out, _ in said) == [False, False, False, True]
    assert "waiting for another publish" in "".join(err for _, err in said)
    assert Counter(stored(project.database)) == whole(project)


def test_over_http(make_project: Make, tmp_path: Path, empty_store: Path) -> None:
    project = make_project(has_store=False, diverged=("gaussian stddev=0.1 seed=0",))
    behind = tmp_path / "server"
    behind.mkdir()
    shutil.copyfile(empty_store, behind / "store.db")
    server = Server(f"sqlite:///{behind}/store.db", behind)
    uri = server.uri
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        done = project.stage(MLFLOW_TRACKING_URI=uri)
        assert (done.returncode, errors_of(done)) == (0, [])
        assert said(done) == f"published: 6 runs (6 new) to {uri} experiment trial"
        again = project.stage(MLFLOW_TRACKING_URI=uri)
        assert (said(again), errors_of(again)) == ("published: 6 runs, nothing new", [])
        project.shift = 1.0
        project.write()
        (project.root / "reports" / "plots" / "curves.csv").unlink()
        assert "updated" in project.stage(MLFLOW_TRACKING_URI=uri).stdout
        runs = project.shown(uri)
        assert Counter(run.status for run in runs) == {"FINISHED": 9, "FAILED": 1}
        for run in project.params.runs:
            (seen,) = [other for other in runs if other.name == run.label]
            if seen.status == "FINISHED":
                assert seen.metrics["mse"] == pytest.approx(project.mse(run))
        (parent,) = [run for run in runs if run.role == "experiment"]
        assert parent.artifact_uri.startswith("mlflow-artifacts:")
        kept = {path.name for path in (behind / "files").rglob("*") if path.is_file()}
        assert kept == {
            *("comparison.csv", "metrics.json", "runs.csv", "learning_curves.csv"),
            *("comparison.png", "params.yaml", "verdicts.csv"),
        }
    assert not project.database.exists()
    assert not (project.root / "mlartifacts").exists()
    gone = project.stage(MLFLOW_TRACKING_URI=uri, MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
    assert gone.returncode == 0
    assert "published" not in gone.stdout
    assert gone.stderr.startswith(f"warning: MLflow server {uri}: cannot be reached")
    assert len(gone.stderr.splitlines()) == 1


def asked(url: str, **headers: str) -> int:
    """The status that a server answers a call with, which is a POST but for its page."""
    data = b'{"max_results": 1}' if "/api/" in url else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def listening(port: int) -> set[str]:
    """The addresses of this machine that somebody listens at, at a port."""
    lines = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    places = [line.split()[1] for line in lines.splitlines() if line.split()[3] == "0A"]
    found = [place.rpartition(":")[0] for place in places if int(place[-4:], 16) == port]
    return {str(ipaddress.ip_address(bytes.fromhex(place)[::-1])) for place in found}


def test_ui_shows_the_runs_and_the_reports(project: Project) -> None:
    with contextlib.closing(sqlite3.connect(project.database)) as connection:
        ((parent,),) = connection.execute(
            "SELECT run_uuid FROM tags WHERE key = 'role' AND value = 'experiment'"
        )
    port = free_port()
    command = [sys.executable, "-c", "from offset_autoencoder.tracking.ui import main; main()"]
    command += ["--port", str(port), "--workers", "1"]
    with serving(command, f"http://127.0.0.1:{port}/health", project.root):
        artifact = f"get-artifact?path=reports%2Fcomparison.csv&run_uuid={parent}"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{artifact}") as answer:
            assert answer.read() == (project.root / "reports" / "comparison.csv").read_bytes()
        assert listening(port) == {"127.0.0.1"}
        search = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search"
        assert asked(search) == 200
        for host in ("example.org", "10.example.org", "192.168.0.1", f"0.0.0.0:{port}", ""):
            assert asked(search, Host=host) == asked(f"http://127.0.0.1:{port}/", Host=host) == 403
        for origin in ("https://example.org", "http://localhost.example.org", "null"):
            assert asked(search, Origin=origin) == 403
        assert asked(search, Host=f"localhost:{port}", Origin=f"http://localhost:{port}") == 200
    assert not (project.root / "mlruns").exists()
