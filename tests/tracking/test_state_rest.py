"""The REST reader against a small server that plays MLflow's part, and parts it should not."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from offset_autoencoder.config.schema import Tracking
from offset_autoencoder.errors import InputError
from offset_autoencoder.tracking.location import locate
from offset_autoencoder.tracking.state import StoreState, read_state

FOUND = {"experiment": {"experiment_id": "7", "lifecycle_stage": "active"}}
MISSING = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}


def run(identity: str) -> dict[str, Any]:
    return {
        "info": {"run_id": identity, "status": "FINISHED", "artifact_uri": "mlflow-artifacts:/1"},
        "data": {"tags": [{"key": "record_key", "value": identity}, {"key": "empty"}]},
    }


@dataclass
class Played:
    """A server that gives the answers in turn and keeps what it was asked."""

    uri: str
    answers: list[tuple[int, bytes]]
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    def ask(self, experiment: str = "trial") -> StoreState | None:
        return read_state(locate(Tracking(uri=self.uri)), experiment)


@pytest.fixture
def play() -> Iterator[Callable[..., Played]]:
    servers: list[HTTPServer] = []

    def start(*answers: tuple[int, Any]) -> Played:
        def encoded(body: Any) -> bytes:
            return body if isinstance(body, bytes) else json.dumps(body).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                played.asked.append((self.path, dict(self.headers), body))
                status, answer = played.answers.pop(0)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        played = Played(uri, [(status, encoded(body)) for status, body in answers])
        return played

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_every_page_is_read(play: Callable[..., Played]) -> None:
    server = play(
        (200, FOUND),
        (200, {"runs": [run("a"), run("b")], "next_page_token": "more"}),
        (200, {"runs": [run("c")]}),
    )
    state = server.ask("a b/ü&c")
    assert state is not None
    assert state.experiment_id == "7"
    assert [present.mlflow_id for present in state.present] == ["a", "b", "c"]
    assert state.present[0].tags == {"record_key": "a", "empty": ""}
    assert server.asked[0][0].endswith("get-by-name?experiment_name=a%20b%2F%C3%BC%26c")
    assert [body.get("page_token") for _, _, body in server.asked[1:]] == [None, "more"]


def test_missing_experiment_is_an_empty_state(play: Callable[..., Played]) -> None:
    assert play((404, MISSING)).ask() == StoreState()


def test_empty_experiment(play: Callable[..., Played]) -> None:
    assert play((200, FOUND), (200, {})).ask() == StoreState("7")


def test_deleted_experiment_is_told(play: Callable[..., Played]) -> None:
    deleted = {"experiment": {"experiment_id": "7", "lifecycle_stage": "deleted"}}
    state = play((200, deleted), (200, {})).ask()
    assert state is not None
    assert state.is_deleted


@pytest.mark.parametrize(
    ("environment", "header"),
    [
        ({}, None),
        ({"MLFLOW_TRACKING_TOKEN": "abc"}, "Bearer abc"),
        ({"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "x:y"}, "Basic bWU6eDp5"),
    ],
)
def test_login(
    play: Callable[..., Played],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    header: str | None,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    server = play((404, MISSING))
    server.ask()
    assert server.asked[0][1].get("Authorization") == header


@pytest.mark.parametrize("status", [401, 403])
def test_login_that_only_mlflow_knows_is_left_to_it(
    play: Callable[..., Played], status: int
) -> None:
    assert play((status, b"who are you?")).ask() is None


@pytest.mark.parametrize(
    ("answers", "got"),
    [
        ([(404, b"<html>nothing here</html>")], "HTTP status 404"),
        ([(500, b"")], "HTTP status 500"),
        ([(200, b"<html>hello</html>")], "something that is not JSON"),
        ([(200, [])], "an answer of another shape"),
        ([(200, {"experiment": None})], "an answer of another shape"),
        ([(200, FOUND), (200, {"runs": [{}]})], "an answer of another shape"),
    ],
)
def test_what_is_no_mlflow_server_is_one_line(
    play: Callable[..., Played], answers: list[tuple[int, Any]], got: str
) -> None:
    server = play(*answers)
    with pytest.raises(InputError, match=f"{server.uri}: expected an MLflow server, got {got}"):
        server.ask()


def test_unreachable_server_says_how_to_go_on() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(
        InputError, match=rf"{uri}: cannot be reached: .*'dvc repro' publishes once"
    ):
        read_state(locate(Tracking(uri=uri)), "trial")
