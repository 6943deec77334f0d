from __future__ import annotations

import socket
import sys

import pytest
from tests.tracking.conftest import Make

from offset_autoencoder.tracking import ui


def test_command_serves_the_store_on_this_machine_alone() -> None:
    line = ui.command("sqlite:////p/mlflow.db", "file:///p/mlartifacts", [])
    assert line[:4] == [sys.executable, "-m", "mlflow", "ui"]
    said = dict(zip(line[4::2], line[5::2], strict=True))
    assert said == {
        "--backend-store-uri": "sqlite:////p/mlflow.db",
        "--artifacts-destination": "file:///p/mlartifacts",
        "--host": "127.0.0.1",
        "--port": "5000",
        "--allowed-hosts": "127.0.0.1,127.0.0.1:*,localhost,localhost:*",
    }


@pytest.mark.parametrize("given", [["--host", "0.0.0.0"], ["--allowed-hosts=box"]])
def test_whoever_opens_it_to_others_says_to_whom(given: list[str]) -> None:
    line = ui.command("sqlite:////p/mlflow.db", None, given)
    assert "--allowed-hosts" not in line
    assert line[-len(given) :] == given


@pytest.mark.parametrize("given", [["--port", "7"], ["-p", "7"], ["--port=7"]])
def test_port_of_the_user_counts(given: list[str]) -> None:
    line = ui.command("sqlite:////p/mlflow.db", None, given)
    assert "5000" not in line
    assert line[-len(given) :] == given


def test_port_in_use_is_one_line(
    make_project: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setattr(ui, "_PORT", other.getsockname()[1])
        monkeypatch.setattr(sys, "argv", ["offset-autoencoder-ui"])
        with pytest.raises(SystemExit):
            ui.main()
    assert "is in use" in capsys.readouterr().err


def test_server_is_named_and_not_served(
    make_project: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_project(has_store=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:pw@example.org")
    monkeypatch.setattr(sys, "argv", ["offset-autoencoder-ui"])
    ui.main()
    assert capsys.readouterr().out == "the store is a server: open https://me:***@example.org\n"
