"""Results shared by a DVC remote: a folder, or an SSH server of our own on 127.0.0.1."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tests.end_to_end.project import commit, fresh_project, published, run
from tests.tracking.servers import free_port

pytestmark = pytest.mark.slow

PARAMS = """\
seeds: 2
data: {source: file, path: mine.csv, label: kind}
split: {}
offsets:
  none: {kind: zero}
  frozen: {kind: hash}
network: {latent_dim: 2, hidden: [4]}
train: {epochs: 2, patience: null}
models:
  none: {offset: none}
  frozen: {offset: frozen, rms: 0.1}
evaluate: {baselines: [none]}
tracking: {live_after: null}
"""
RUNS = 4


def make_key(path: Path) -> str:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
    subprocess.run(command, check=True)
    return path.with_suffix(".pub").read_text()


def greets(port: int) -> bool:
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=2) as connection,
    ):
        return connection.recv(4) == b"SSH-"
    return False


@contextlib.contextmanager
def ssh_server(folder: Path) -> Iterator[int]:
    """An sshd that lets in the one key ``folder/key``; gives its port."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("sshd is not installed (Debian: apt-get install openssh-server)")
    if find_spec("dvc_ssh") is None:
        pytest.skip("dvc-ssh is not installed (pip install 'dvc[ssh]')")
    if os.getuid() == 0:  # it wants its empty folder, which the system's own service makes
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    (folder / "authorized").write_text(make_key(folder / "key"))
    make_key(folder / "host_key")
    port = free_port()
    (folder / "sshd_config").write_text(
        f"Port {port}\n"
        "ListenAddress 127.0.0.1\n"
        f"HostKey {folder}/host_key\n"
        f"AuthorizedKeysFile {folder}/authorized\n"
        "AuthenticationMethods publickey\n"
        "StrictModes no\n"  # pytest's folders stand in /tmp, which all may write to
        "UsePAM no\n"
        "PidFile none\n"
        "Subsystem sftp internal-sftp\n"
    )
    command = [program, "-D", "-e", "-f", str(folder / "sshd_config")]
    with (folder / "sshd.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        while not greets(port):
            assert server.poll() is None, (folder / "sshd.log").read_text()
            time.sleep(0.25)
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project on a file of the user's own, run, committed, and not pushed anywhere yet."""
    folder = fresh_project(tmp_path_factory.mktemp("remotes") / "project", PARAMS)
    rng = np.random.default_rng(0)
    rows = [[*np.round(rng.random(5), 3), i % 2] for i in range(60)]
    lines = ["a,b,c,d,e,kind", *(",".join(map(str, row)) for row in rows)]
    (folder / "data" / "raw" / "mine.csv").write_text("\n".join(lines) + "\n")
    run(folder, "dvc", "add", "data/raw/mine.csv")
    assert f"runs: {RUNS} ({RUNS} trained, 0 reused)" in run(folder, "dvc", "repro")
    commit(folder)
    return folder


@pytest.fixture(scope="module", params=["folder", "ssh"])
def pushed(
    request: pytest.FixtureRequest, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The project, pushed to the remote of its committed ``.dvc/config``."""
    where = tmp_path_factory.mktemp("shelf")
    with contextlib.ExitStack() as stack:
        url = str(where / "store")
        if request.param == "ssh":
            port = stack.enter_context(ssh_server(where))
            home = where / "home"
            (home / ".ssh").mkdir(mode=0o700, parents=True)
            (home / ".ssh" / "config").write_text(
                f"Host shelf\n  HostName 127.0.0.1\n  Port {port}\n"
                f"  User {getpass.getuser()}\n  IdentityFile {where}/key\n"
            )
            changed = stack.enter_context(pytest.MonkeyPatch.context())
            changed.setenv("HOME", str(home))
            changed.delenv("SSH_AUTH_SOCK", raising=False)
            url = f"ssh://shelf{where}/store"
        run(project, "dvc", "remote", "add", "--default", "--force", "shelf", url)
        commit(project)
        assert "pushed" in run(project, "dvc", "push")
        assert any((where / "store").rglob("*.dir"))
        yield project


def cloned(project: Path, folder: Path) -> Path:
    run(folder, "git", "clone", "--quiet", str(project), "clone")
    clone = folder / "clone"
    assert not (clone / "models").exists()
    assert not (clone / "data" / "raw" / "mine.csv").exists()
    return clone


def test_with_a_value_added_the_new_runs_alone_are_trained(project: Path, tmp_path: Path) -> None:
    run(project, "dvc", "remote", "add", "--default", "--force", "shelf", str(tmp_path / "store"))
    commit(project)
    run(project, "dvc", "push")
    clone = cloned(project, tmp_path)
    (clone / "params.yaml").write_text(PARAMS.replace("rms: 0.1", "rms: [0.1, 0.2]"))
    output = run(clone, "dvc", "repro", "--pull", "train")
    assert f"runs: {RUNS + 2} (2 trained, {RUNS} reused)" in output
    for kept in (project / "models" / "runs").iterdir():
        for name in ("spec.json", "weights.npz", "history.csv"):
            assert (clone / kept.relative_to(project) / name).read_bytes() == (
                kept / name
            ).read_bytes()


def test_after_a_pull_nothing_trains_and_every_run_is_published_once(
    pushed: Path, tmp_path: Path
) -> None:
    clone = cloned(pushed, tmp_path)
    run(clone, "dvc", "pull")
    output = run(clone, "dvc", "repro")
    for stage in ("prepare", "offsets@none", "offsets@frozen", "train", "evaluate"):
        assert f"Stage '{stage}' didn't change, skipping" in output
    assert f"published: {RUNS} runs ({RUNS} new)" in output
    assert published(clone) == published(pushed)
    output = run(clone, "dvc", "repro", "--force", "--single-item", "train")
    assert f"runs: {RUNS} (0 trained, {RUNS} reused)" in output
    assert run(clone, "git", "status", "--porcelain") == ""


@pytest.mark.parametrize("pushed", ["folder"], indirect=True)
def test_repro_pulls_what_it_lacks_by_itself(pushed: Path, tmp_path: Path) -> None:
    clone = cloned(pushed, tmp_path)
    output = run(clone, "dvc", "repro", "--pull")
    assert "trained, " not in output or f"(0 trained, {RUNS} reused)" in output
    assert f"published: {RUNS} runs ({RUNS} new)" in output
    assert published(clone) == published(pushed)
    assert len(list((clone / "models" / "runs").iterdir())) == RUNS
    assert run(clone, "git", "status", "--porcelain") == ""
