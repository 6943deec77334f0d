"""Runs trained on a Ray cluster of this machine's loopback addresses, and its faults."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import ray
from tests.folders import contents

from offset_autoencoder.config.schema import Network
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import sha256_of_array
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.runs.files import is_valid, read_saved_run
from offset_autoencoder.runs.spec import IdentifiedRun
from offset_autoencoder.runs.store import missing_ids
from offset_autoencoder.training import (
    ray_arrays,
    ray_connection,
    ray_executor,
    ray_worker,
    schedule,
)
from offset_autoencoder.training.ray_connection import connected
from offset_autoencoder.training.ray_executor import SharePlan
from offset_autoencoder.training.state import SampleSizes, TrainingData
from offset_autoencoder.user_code import digest_of_user_code

pytestmark = pytest.mark.slow

MakeRuns = Callable[..., list[IdentifiedRun]]
Report = Callable[..., None]
N, M, D, L = 400, 100, 6, 3
EPOCHS = 1500
SECTIONS: dict[str, Any] = {
    "seeds": 3,
    "train": {"epochs": EPOCHS, "batch_size": 8, "patience": None, "checkpoint_seconds": 0.2},
    "models": {
        "none": {"offset": "none"},
        "frozen": {"offset": "frozen", "rms": 0.5, "stddev": 0.1},
        "by_keras": {"offset": "frozen", "engine": "keras", "epochs": 4},
        "images": {"offset": "frozen", "kind": "convolutional", "filters": [2], "epochs": 3},
    },
}


def make_data() -> TrainingData:
    rng = np.random.default_rng(0)
    x = rng.random((N + M, D), dtype=np.float32)
    table, zeros = rng.normal(size=(N + M, L)).astype(np.float32), np.zeros((N + M, L), np.float32)
    tables = {
        ("none", L): (zeros[:N], zeros[N:]),
        ("frozen", L): (table[:N], table[N:]),
    }
    return TrainingData(x[:N], x[N:], tables)


HEAD = {"node_ip_address": "127.0.0.2", "num_cpus": 0, "include_dashboard": False}
DATA = make_data()
SIZES = SampleSizes.of(DATA.x, DATA.x_validation)


def train(
    runs: Sequence[IdentifiedRun],
    store: Path,
    report: Report = lambda *_: None,
    executor: Callable[..., None] = ray_executor.train_runs,
) -> None:
    """Train what the store lacks."""
    missing = {*missing_ids(store, [run.id for run in runs])}
    executor([r for r in runs if r.id in missing], lambda seed: DATA, SIZES, store, report)


def bytes_of(store: Path, run: IdentifiedRun) -> dict[str, bytes]:
    """Weights and history: spec.json names the processor, too."""
    files = contents(store / run.id, times=False)
    del files["spec.json"]
    return files


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster whose head trains nothing, with one other node."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = Cluster(True, head_node_args=HEAD)
        patch.setenv("RAY_ADDRESS", made.address)
        made.add_node(node_ip_address="127.0.0.3")
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def runs(make_runs: MakeRuns) -> list[IdentifiedRun]:
    return make_runs(**SECTIONS)


@pytest.fixture(scope="module")
def local(runs: list[IdentifiedRun], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the same runs, trained on one machine."""
    store = tmp_path_factory.mktemp("local") / ".runs"
    train(runs, store, executor=schedule.train_runs)
    return store


def workers() -> list[int]:
    """Processes that train a share."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith(b"ray::train_share"):
                found.append(int(path.parent.name))
    return found


def test_worker_killed_node_gone_and_node_joined_leave_the_bytes_of_one_machine(
    cluster: Any,
    runs: list[IdentifiedRun],
    local: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ray_arrays.SharedArrays, "_most_in_store", 0.0)  # files on the nodes
    (first,) = cluster.worker_nodes
    reports: list[tuple[float, int]] = []

    def kill_worker() -> bool:
        for pid in workers():
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def exchange_nodes() -> bool:
        if not workers():
            return False
        cluster.add_node(node_ip_address="127.0.0.4")
        cluster.remove_node(first, allow_graceful=False)
        return True

    faults = [kill_worker, exchange_nodes]

    def report(work: float, done: int, _: Callable[[], str]) -> None:
        reports.append((work, done))
        if faults and 0 < done < len(runs) and faults[0]():
            faults.pop(0)

    train(runs, tmp_path, report)
    assert not faults
    assert all(is_valid(tmp_path / run.id) for run in runs)
    for run in runs:
        assert bytes_of(tmp_path, run) == bytes_of(local, run), run.run.label
        saved = read_saved_run(tmp_path / run.id)
        assert saved.processor is not None
        assert replace(saved, processor=None) == read_saved_run(local / run.id)
    trained_by = [read_saved_run(tmp_path / run.id) for run in runs]
    assert {saved.engine for saved in trained_by} == {"numba", "keras"}
    assert len({(saved.engine, saved.processor) for saved in trained_by}) == 2
    assert "rounds otherwise" not in capsys.readouterr().err  # than the driver
    assert reports[-1] == (sum(run.run.setting.train.epochs for run in runs), len(runs))
    assert [work for work, _ in reports] == sorted(work for work, _ in reports)
    assert not [*(tmp_path / ".checkpoints").glob("*.npz")]
    assert [*Path(os.environ["XDG_CACHE_HOME"]).rglob("*.npy")]


POISON = """
import os, sys
def build(input_dim, latent_dim, seed):
    import keras
    if "default_worker" in sys.argv[0]:
        os._exit(1)
    x, offset = keras.Input((input_dim,), name="x"), keras.Input((latent_dim,), name="offset")
    code = keras.layers.Dense(latent_dim, name="code")(x)
    output = keras.layers.Dense(input_dim, "sigmoid")(keras.layers.Add()([code, offset]))
    return keras.Model({"x": x, "offset": offset}, output)
"""


def test_a_run_that_kills_its_workers_fails_by_name_and_a_processor_that_differs_is_named(
    cluster: Any,
    make_runs: MakeRuns,
    local: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    custom = tmp_path / "src" / "custom"
    custom.mkdir(parents=True)
    (custom / "__init__.py").touch()
    (custom / "deadly.py").write_text(POISON)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "src")
    monkeypatch.delitem(sys.modules, "custom", raising=False)
    deadly = {"system": "function", "function": "custom.deadly:build", "offset": "none"}
    models = {"deadly": deadly, "none": SECTIONS["models"]["none"]}
    mixed = make_runs(**SECTIONS | {"models": models, "seeds": 2})
    other = cluster.add_node(node_ip_address="127.0.0.5", env_vars={"OPENBLAS_CORETYPE": "Nehalem"})
    try:
        with pytest.raises(InputError) as raised:
            train(mixed, tmp_path / "store")
    finally:
        cluster.remove_node(other)
    lines = str(raised.value).splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"deadly seed={seed} (") for seed, line in enumerate(lines))
    assert all("killed its worker 2 times, the last on node 127.0.0." in line for line in lines)
    kept = [run for run in mixed if run.run.setting.model == "none"]
    assert all(is_valid(tmp_path / "store" / run.id) for run in kept)
    processors = {run.id: read_saved_run(tmp_path / "store" / run.id).processor for run in kept}
    warned = "rounds otherwise" in capsys.readouterr().err
    assert None not in processors.values()
    assert warned or len({*processors.values()}) == 1


def test_other_versions_are_a_line_that_names_node_and_difference(
    cluster: Any, runs: list[IdentifiedRun], tmp_path: Path
) -> None:
    versions = {**runs[0].spec.versions, "numpy": "1.0"}
    other = replace(runs[0], spec=replace(runs[0].spec, versions=versions))
    with pytest.raises(InputError, match=rf"^node 127\.0\.0\.\d: has numpy {np.__version__} in pl"):
        train([other], tmp_path)


@pytest.mark.parametrize("host", ["192.0.2.7", "other.example"])
@pytest.mark.parametrize("is_later", [False, True])
def test_an_open_cluster_is_refused(
    cluster: Any,
    runs: list[IdentifiedRun],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    is_later: bool,
) -> None:
    """With a node that other machines reach, also one that joins while runs are trained."""
    nodes = ray.nodes

    def elsewhere() -> Any:
        is_here = is_later and not workers()
        return [n if is_here else {**n, "NodeManagerAddress": host} for n in nodes()]

    monkeypatch.setattr(ray, "nodes", elsewhere)
    with pytest.raises(InputError, match=rf"RAY_ADDRESS: .* no token: who reaches {host}"):
        train(runs, tmp_path)
    assert not workers()


LOCAL = """
import psutil
from offset_autoencoder.training import ray_connection
with ray_connection.connected() as ray:
    ray.get(ray.remote(lambda: None).remote())
    processes = psutil.Process().children(recursive=True)
    sockets = [each for process in processes for each in process.net_connections("tcp")]
    ips = {each.laddr.ip for each in sockets if each.status == psutil.CONN_LISTEN}
    print({ip.removeprefix("::ffff:") for ip in ips})
    print(ray_connection._answers_anybody(ray.get_runtime_context().gcs_address))
"""


def test_a_cluster_of_this_machine_is_closed_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    done = subprocess.run([sys.executable, "-c", LOCAL], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "{'127.0.0.1'}\nFalse\n"), done.stderr


DRIVER = """
import pickle, sys
from pathlib import Path
import tests.training.test_ray as t
from offset_autoencoder.errors import run_command
runs, store = pickle.loads(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2])
run_command(lambda: t.train(runs, store, lambda work, done, _: print(work, done, flush=True)))
"""


def test_a_driver_that_is_stopped_and_one_that_is_killed_lose_no_finished_run(
    cluster: Any, runs: list[IdentifiedRun], local: Path, tmp_path: Path
) -> None:
    root, store, pickled = Path(__file__).parents[2], tmp_path / ".runs", tmp_path / "runs"
    pickled.write_bytes(pickle.dumps(runs))
    done_before = 0
    for kill, status in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        with subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(pickled), str(store)],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as driver:
            assert driver.stdout is not None
            assert driver.stderr is not None
            for line in driver.stdout:
                if int(line.split()[1]) >= 1:
                    driver.send_signal(kill)
                    break
            driver.stdout.read()
            errors = driver.stderr.read()
        assert driver.returncode == status, errors
        finished = {path.name for path in store.iterdir() if is_valid(path)}
        assert done_before < len(finished) < len(runs)
        done_before = len(finished)
    train(runs, store)
    for run in runs:
        assert bytes_of(store, run) == bytes_of(local, run)


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("127.0.0.2:1", "RAY_ADDRESS: no cluster answers at 127.0.0.2:1: "),
        ("ray://head:10001", "RAY_ADDRESS: is 'ray://head:10001', expected HOST:PORT"),
        ("head", "RAY_ADDRESS: is 'head', expected HOST:PORT"),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_a_line(
    address: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InputError) as raised, connected():
        pass
    assert str(raised.value).startswith(what)
    assert "\n" not in str(raised.value)


def test_a_port_of_something_else_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_connection, "_CONNECT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(InputError, match="no cluster answers"), connected():
            pass


def test_without_the_extra_a_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with pytest.raises(InputError, match=r'pip install "\.\[ray\]"'), connected():
        pass


def test_a_file_of_a_node_that_is_damaged_is_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []

    def chunk(digest: str, index: int) -> list[Any]:
        sent.append(index)
        return [DATA.x]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(ray, "get", lambda value: value)
    mailbox = SimpleNamespace(chunk=SimpleNamespace(remote=chunk))
    shared = ray_arrays.SharedArray(DATA.x.shape, digest=sha256_of_array(DATA.x))
    for times, is_damaged in ((1, False), (1, True), (2, False), (2, False)):
        np.testing.assert_array_equal(ray_arrays._open_array(mailbox, shared), DATA.x)
        assert len(sent) == times
        if is_damaged:
            (path,) = tmp_path.rglob("*.npy")
            path.write_bytes(path.read_bytes()[:-1] + b"?")


def test_a_function_that_differs_on_a_node_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module, name = tmp_path / "ours_elsewhere.py", "ours_elsewhere:build"
    module.write_text("def build(input_dim, latent_dim, seed): ...\n")
    digest = digest_of_user_code("here", name)
    sections = {"system": "function", "network": Network(), "input_dim": D, "function": name}
    architecture = Architecture(**sections, function_sha256=digest)
    ray_worker.check_function(architecture, "10.0.0.7")
    module.write_text(module.read_text() + "# another\n")
    with pytest.raises(InputError, match=rf"^node 10\.0\.0\.7: has other code of {name}"):
        ray_worker.check_function(architecture, "10.0.0.7")


class Nodes:
    """Nodes of a mailbox that runs without a cluster; all live but those that are gone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gone: set[str] = set()
        monkeypatch.setattr(
            ray, "nodes", lambda: [{"NodeID": n, "Alive": n not in self.gone} for n in "abc"]
        )


def test_what_a_share_is_told_after_its_worker_died(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(monkeypatch)

    async def talk() -> None:
        box = ray_worker.Mailbox()
        begin = functools.partial(box.begin, 1, ["x", "y", "z"])
        assert (await begin("a", "host a")).runs == ["x", "y", "z"]
        assert (await begin("a", "host a")).suspects == []  # its worker died with no run in hand
        await box.take_up(1, ["x", "y", "z"])
        await box.checkpoint("y", b"state")
        await box.finish(1, "x", {}, 1.0)
        again = await begin("a", "host a")
        assert (again.runs, again.suspects) == (["y", "z"], ["y", "z"])
        assert again.checkpoints == {"y": b"state"}
        await box.take_up(1, ["y"])
        again = await begin("b", "host b")
        assert (again.runs, again.suspects) == (["z"], ["z"])
        await box.take_up(1, ["z"])
        nodes.gone = {"a"}  # which clears z of the worker that died there
        assert (await begin("c", "host c")).runs == ["z"]
        letters = [(method, arguments[:2]) for method, arguments in await box.take()]
        assert letters == [
            ("checkpoint", ("y", b"state")),
            ("finish", ("x", {})),
            ("fail", ("y", "host a")),
        ]
        assert await box.take() == []
        assert await box.stop() == {1}
        assert (await begin("c", "host c")).is_stopping

    with ThreadPoolExecutor(1) as pool:  # this thread may have a loop of its own
        pool.submit(asyncio.run, talk()).result()


@pytest.mark.parametrize(("cores", "least", "most"), [(2, 8, 20), (16, 20, 45), (100, 25, 130)])
def test_shares_take_seconds_and_are_smaller_at_the_end(
    make_runs: MakeRuns, cores: int, least: int, most: int
) -> None:
    runs = make_runs(seeds=130, models={"none": {"offset": "none"}, "wide": {"hidden": [9]}})
    plan = SharePlan(runs)
    shares = []
    while plan.waiting:
        shares.append(plan.next_share(cores))
        if len(shares) > cores:  # by now the first have ended
            for run in shares[len(shares) - cores - 1]:
                plan.measure(run, 0.3)
    assert sorted(run.id for share in shares for run in share) == sorted(run.id for run in runs)
    assert least <= len(shares) <= most
    sizes = [len(share) for share in shares]
    assert sizes[0] == 1
    assert max(sizes) <= ray_executor.SHARE_SECONDS / 0.3 + 1
    assert sizes[-1] * 0.3 <= 2.5 + 0.3
