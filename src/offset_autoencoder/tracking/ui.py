"""``offset-autoencoder-ui``: MLflow's UI on the project's store."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from offset_autoencoder.config import load_params
from offset_autoencoder.errors import InputError, run_command
from offset_autoencoder.paths import project_root
from offset_autoencoder.tracking import store

_HOST = "127.0.0.1"
_PORT = 5000
_ALLOWED_HOSTS = "MLFLOW_SERVER_ALLOWED_HOSTS"
# MLflow's own default lets in every name that begins like a private address: 10.example.org.
_HOSTS = "127.0.0.1,127.0.0.1:*,localhost,localhost:*"


def main() -> None:
    """Serve the store at ``http://127.0.0.1:5000``; further arguments go to ``mlflow ui``."""
    run_command(lambda: _serve(sys.argv[1:]))


def command(uri: str, artifacts: str | None, arguments: list[str]) -> list[str]:
    """The command that serves a store; a host or port among the user's arguments counts.

    ``artifacts`` is where the server keeps artifacts, as a URI; None: at the project root. Unless
    the user says to whom it is open, it answers to this machine's own names alone, which no page of
    another site has; MLflow itself refuses what such a page sends.
    """
    destination = artifacts or (project_root() / "mlartifacts").as_uri()
    given = _options(arguments)
    is_open = {"--host", "-h", "--allowed-hosts"} & given or _ALLOWED_HOSTS in os.environ
    return [
        *(sys.executable, "-m", "mlflow", "ui"),
        *("--backend-store-uri", uri),
        *("--artifacts-destination", destination),
        *(() if {"--host", "-h"} & given else ("--host", _HOST)),
        *(() if {"--port", "-p"} & given else ("--port", str(_PORT))),
        *(() if is_open else ("--allowed-hosts", _HOSTS)),
        *arguments,
    ]


def _serve(arguments: list[str]) -> None:
    location = store.locate(load_params().tracking)
    if location.is_server:
        print(f"the store is a server: open {location.safe_uri}")
        return
    if not {"--port", "-p", "--host", "-h", "--help"} & _options(arguments):
        try:
            socket.create_server((_HOST, _PORT)).close()
        except OSError:
            raise InputError(
                f"port {_PORT}",
                "is in use",
                f"an MLflow UI may be open there already; else: "
                f"{Path(sys.argv[0]).name} --port {_PORT + 1}",
            ) from None
        print(f"MLflow UI of {location.safe_uri}: http://{_HOST}:{_PORT} (Ctrl-C stops it)")
    if location.database is not None and not location.database.exists():
        with store.publisher_lock(location), store.explained(location):
            store.create_database(location)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Its jobs, of language models, are eight processes, each of which imports MLflow.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    os.chdir(project_root())
    sys.stdout.flush()
    line = command(location.uri, location.artifacts, arguments)
    os.execv(line[0], line)


def _options(arguments: list[str]) -> set[str]:
    return {argument.partition("=")[0] for argument in arguments}
