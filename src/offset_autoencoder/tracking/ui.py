"""``offset-autoencoder-ui``: MLflow's UI on the project's store, opened at its settings."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import webbrowser
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from offset_autoencoder.config import load_params
from offset_autoencoder.config.schema import Tracking
from offset_autoencoder.errors import InputError, run_command
from offset_autoencoder.paths import project_root
from offset_autoencoder.tracking import store
from offset_autoencoder.tracking.pages import HOST, NAME, PORT, results_page, ui_address

_NO_BROWSER = "--no-browser"
_ALLOWED_HOSTS = "MLFLOW_SERVER_ALLOWED_HOSTS"
# MLflow's own default lets in every name that begins like a private address: 10.example.org.
_HOSTS = f"127.0.0.1,127.0.0.1:*,localhost,localhost:*,{NAME},{NAME}:*"
_EVERYWHERE = ("0.0.0.0", "::")  # what a server listens on, no address of a page
_PORT_NAMES, _HOST_NAMES = ("--port", "-p"), ("--host", "-h")
# What says otherwise how MLflow serves.
_SERVER_OPTIONS = {"--uvicorn-opts", "--gunicorn-opts", "--waitress-opts", "--dev"}
_POLL_SECONDS = 0.2
_OPEN = f"import sys; from {__name__} import open_when_served; open_when_served(sys.argv[1])"


def main() -> None:
    """Serve the store at ``http://127.0.0.1:5000``; further arguments go to ``mlflow ui``."""
    run_command(lambda: _serve(sys.argv[1:]))


def command(uri: str, artifacts: str | None, arguments: Sequence[str]) -> list[str]:
    """The command that serves a store; a host or port among the user's arguments counts.

    ``artifacts`` is where the server keeps artifacts, as a URI; None: at the project root. Unless
    the user says to whom it is open, it answers to this machine's own names alone, which no page of
    another site has; MLflow itself refuses what such a page sends. Its server says only what goes
    wrong: its own address, without a page, would be the one that people follow.
    """
    destination = artifacts or (project_root() / "mlartifacts").as_uri()
    given = _options(arguments)
    is_open, origin = _is_open(given), _address(arguments, NAME)
    return [
        *(sys.executable, "-m", "mlflow", "ui"),
        *("--backend-store-uri", uri),
        *("--artifacts-destination", destination),
        *(() if {*_HOST_NAMES} & given else ("--host", HOST)),
        *(() if {*_PORT_NAMES} & given else ("--port", str(PORT))),
        *(() if is_open else ("--allowed-hosts", _HOSTS, "--cors-allowed-origins", origin)),
        *(() if _SERVER_OPTIONS & given else ("--uvicorn-opts", "--log-level warning")),
        *arguments,
    ]


def open_when_served(page: str) -> None:
    """Open a page in the browser as soon as its server answers; not if that ends before.

    The server is the process that started this one.
    """
    address, server = urlsplit(page), os.getppid()
    host = address.hostname or ""
    place = (HOST if host == NAME else host, address.port or 0)
    while os.getppid() == server:
        with contextlib.suppress(OSError):
            socket.create_connection(place, timeout=1).close()
            webbrowser.open(page)
            return
        time.sleep(_POLL_SECONDS)


def _serve(arguments: list[str]) -> None:
    tracking = load_params().tracking
    location = store.locate(tracking)
    if location.is_server:
        print(f"the store is a server: open {_page(location, tracking, ui_address(location))}")
        return
    is_to_open = _NO_BROWSER not in arguments and _has_browser()
    arguments = [argument for argument in arguments if argument != _NO_BROWSER]
    arguments = [*_apart(arguments)]
    port = _value(arguments, _PORT_NAMES, PORT)
    if not {*_HOST_NAMES, "--help"} & _options(arguments) and port.isdecimal():
        try:
            socket.create_server((HOST, int(port))).close()
        except (OSError, OverflowError):
            raise InputError(
                f"port {port}",
                "is in use",
                f"an MLflow UI may be open there already; else: "
                f"{Path(sys.argv[0]).name} --port {int(port) + 1}",
            ) from None
    if location.database is not None and not location.database.exists():
        with store.publisher_lock(location), store.explained(location):
            store.create_database(location)
    if "--help" not in arguments:
        is_named = not _is_open(_options(arguments)) and sys.platform != "darwin"
        page = _page(location, tracking, _address(arguments, NAME if is_named else HOST))
        other = f"; where no {NAME} is found, put {HOST} in its place" if is_named else ""
        print(f"MLflow UI of {location.safe_uri} (Ctrl-C stops it{other}):\n{page}")
        if is_to_open:
            subprocess.Popen([sys.executable, "-c", _OPEN, page])
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Its jobs, of language models, are eight processes, each of which imports MLflow.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    # Each of its processes warns of what MLflow itself imports.
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    os.chdir(project_root())
    sys.stdout.flush()
    line = command(location.uri, location.artifacts, arguments)
    os.execv(line[0], line)


def _page(location: store.Location, tracking: Tracking, ui: str) -> str:
    try:
        return results_page(ui, store.read_state(location, tracking))
    except InputError as error:
        print(f"warning: what is published is not known: {error}", file=sys.stderr)
        return ui


def _has_browser() -> bool:
    """True where a person looks on, and has a browser that is not of the terminal."""
    of_graphics = {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & os.environ.keys()
    return sys.stdout.isatty() and bool(of_graphics or sys.platform in ("darwin", "win32"))


def _is_open(options: set[str]) -> bool:
    """True where the user says to whom the UI is open."""
    said = {*_HOST_NAMES, "--allowed-hosts", "--cors-allowed-origins"} & options
    return bool(said) or _ALLOWED_HOSTS in os.environ


def _address(arguments: Sequence[str], own: str) -> str:
    """Address at which the UI is served: at the host ``own`` unless the user names another."""
    host = _value(arguments, _HOST_NAMES, own)
    return f"http://{HOST if host in _EVERYWHERE else host}:{_value(arguments, _PORT_NAMES, PORT)}"


def _apart(arguments: Sequence[str]) -> Iterator[str]:
    """Arguments with the values of short options apart: ``-p5001`` as ``-p``, ``5001``."""
    for argument in arguments:
        if argument[:2] in (_PORT_NAMES[1], _HOST_NAMES[1]) and argument[2:3] not in ("", "="):
            yield argument[:2]
            yield argument[2:]
        else:
            yield argument


def _options(arguments: Sequence[str]) -> set[str]:
    return {argument.partition("=")[0] for argument in arguments}


def _value(arguments: Sequence[str], names: Sequence[str], default: str | int) -> str:
    """Value of an option among arguments, the last where it is given again."""
    for position, argument in reversed([*enumerate(arguments)]):
        name, mark, value = argument.partition("=")
        if name in names and (mark or position + 1 < len(arguments)):
            return value if mark else arguments[position + 1]
    return str(default)
