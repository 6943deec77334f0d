"""Answers of servers: pages of runs, logins, and what is no MLflow server."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from mlflow.store.entities import PagedList

from offset_autoencoder.config.schema import Tracking
from offset_autoencoder.errors import InputError
from offset_autoencoder.tracking.record_types import StoreState
from offset_autoencoder.tracking.store import all_pages, locate, read_state

MISSING = json.dumps({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}).encode()


@dataclass
class Answering:
    """A server that gives one answer to every request, and keeps who logged in."""

    uri: str = ""
    answer: tuple[int, bytes] = (404, MISSING)
    logins: list[str | None] = field(default_factory=list)

    def read(self) -> StoreState:
        tracking = Tracking(uri=self.uri, experiment="trial")
        return read_state(locate(tracking), tracking)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    answering = Answering()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answering.logins.append(self.headers.get("Authorization"))
            status, body = answering.answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            """Nothing on stderr."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http_server:
        answering.uri = f"http://127.0.0.1:{http_server.server_port}"
        threading.Thread(target=http_server.serve_forever, daemon=True).start()
        yield answering
        http_server.shutdown()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, b"who are you?"), "refuses the login, with HTTP status 401"),
        ((404, b"<html>nothing here</html>"), "expected an MLflow server, got HTTP status 404"),
        ((500, b""), "answers with HTTP status 500"),
        ((200, b"<html>hello</html>"), "expected an MLflow server, got another answer"),
        ((200, b"[]"), "expected an MLflow server, got another answer"),
        ((200, b'{"experiment": null}'), "expected an MLflow server, got another answer"),
    ],
)
def test_what_is_no_mlflow_server_is_one_line(
    server: Answering, answer: tuple[int, bytes], message: str
) -> None:
    server.answer = answer
    with pytest.raises(InputError) as caught:
        server.read()
    assert str(caught.value).startswith(f"MLflow server {server.uri}: {message} (")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "login"),
    [
        ({}, None),
        ({"MLFLOW_TRACKING_TOKEN": "abc"}, "Bearer abc"),
        ({"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "x:y"}, "Basic bWU6eDp5"),
    ],
)
def test_a_login_is_sent(
    server: Answering,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    login: str | None,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert server.read() == StoreState()
    assert set(server.logins) == {login}


def test_every_page_is_read() -> None:
    last: PagedList[int] = PagedList([], None)
    pages = {None: PagedList([1, 2], "more"), "more": PagedList([3], "last"), "last": last}
    assert all_pages(lambda token: pages[token]) == [1, 2, 3]
