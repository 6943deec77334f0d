"""Real MLflow servers for tests: SQLite or PostgreSQL behind them, artifacts through them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(
    command: list[str], url: str, folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A server that answers at the url; at the end just this one is stopped."""
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        for _ in range(960):  # a machine whose cores are all busy takes more than a minute
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
                break
            assert server.poll() is None, (folder / "server.log").read_text()
            time.sleep(0.25)
        yield server
    finally:
        stop(server, signal.SIGTERM)


def stop(server: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """End a server and the processes that it started; one that takes its time is killed."""
    for signal_number in (how, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(30)
            return


@dataclass
class Server:
    """An MLflow server that a test may kill and start again.

    Attributes:
        backend: What it keeps runs in, as a URI.
        folder: Where it keeps artifacts.
        port: Where it listens.
    """

    backend: str
    folder: Path
    port: int = field(default_factory=free_port)
    _running: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self.backend]
        command += ["--artifacts-destination", str(self.folder / "files")]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        started = serving(command, f"{self.uri}/health", self.folder)
        self._process = self._running.enter_context(started)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        stop(self._process, signal.SIGKILL)

    def stop(self) -> None:
        self._running.close()


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL server of our own on 127.0.0.1; gives its SQLAlchemy URI."""
    pytest.importorskip("psycopg", reason="psycopg[binary] is not installed")
    programs = _postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    # Its server refuses to run as root, and pytest's folders are root's alone.
    as_user: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="offset-autoencoder-postgresql-"))
    if os.getuid() == 0:
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    port = free_port()
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    control = [*as_user, str(programs / "pg_ctl"), "-D", str(folder / "data")]
    try:
        _run([*as_user, str(programs / "initdb"), "-U", "trial", "-A", "trust", f"{folder}/data"])
        _run([*control, "-w", "-l", str(folder / "log"), "-o", options, "start"])
        try:
            yield f"postgresql://trial@127.0.0.1:{port}/postgres"
        finally:
            _run([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _postgresql_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
