from __future__ import annotations

import json
import socket
import sys
from urllib.parse import parse_qsl, urlsplit

import pytest
from tests.tracking.conftest import Make, Project
from tests.tracking.servers import free_port

from offset_autoencoder.errors import InputError
from offset_autoencoder.tracking import ui
from offset_autoencoder.tracking.record_types import StoreState


def test_command_serves_the_store_on_this_machine_alone() -> None:
    line = ui.command("sqlite:////p/mlflow.db", "file:///p/mlartifacts", [])
    assert line[:4] == [sys.executable, "-m", "mlflow", "ui"]
    said = dict(zip(line[4::2], line[5::2], strict=True))
    assert said == {
        "--backend-store-uri": "sqlite:////p/mlflow.db",
        "--artifacts-destination": "file:///p/mlartifacts",
        "--host": "127.0.0.1",
        "--port": "5000",
        "--allowed-hosts": "127.0.0.1,127.0.0.1:*,localhost,localhost:*,"
        "mlflow.localhost,mlflow.localhost:*",
        "--cors-allowed-origins": "http://mlflow.localhost:5000",
        "--uvicorn-opts": "--log-level warning",
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
        monkeypatch.setattr(ui, "PORT", other.getsockname()[1])
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
    # As it is while a first training shows its runs.
    monkeypatch.setattr("offset_autoencoder.tracking.store._ask", lambda *_: StoreState("7"))
    ui.main()
    page = "https://example.org/#/experiments/7/runs?workflowType=machine_learning"
    assert capsys.readouterr().out == f"the store is a server: open {page}\n"


@pytest.mark.parametrize("given", [[], ["--port=7", "--host", "0.0.0.0"]])
def test_the_link_leads_to_the_settings_as_trained_models(
    project: Project,
    given: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = free_port()
    monkeypatch.setattr(ui, "PORT", port)
    monkeypatch.setattr(sys, "argv", ["offset-autoencoder-ui", *given, "--no-browser"])
    monkeypatch.setattr(sys, "platform", "linux")
    served: list[str] = []
    monkeypatch.setattr("os.execv", lambda _, line: served.extend(line))
    ui.main()
    address = urlsplit(capsys.readouterr().out.splitlines()[-1])
    assert address.netloc == ("127.0.0.1:7" if given else f"mlflow.localhost:{port}")
    place, _, query = address.fragment.partition("?")
    experiment = project.client.get_experiment_by_name("trial")
    assert place == f"/experiments/{experiment.experiment_id}/runs"
    asked = dict(parse_qsl(query))
    assert asked["workflowType"] == "machine_learning"
    view = json.loads(experiment.tags[f"mlflow.sharedViewState.{asked['viewStateShareKey']}"])
    columns = json.loads(view["state"])["selectedColumns"]
    names = ["test_mse", "interval", "difference_from_none", "against_none", "offset_used_as"]
    assert [name.split("`")[1] for name in columns] == names
    assert "--no-browser" not in served


def test_the_page_is_opened_once_its_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    with socket.create_server(("127.0.0.1", 0)) as server:
        page = f"http://127.0.0.1:{server.getsockname()[1]}/#/experiments/1/runs"
        ui.open_when_served(page)
    assert opened == [page]
    # And never where that has ended.
    monkeypatch.setattr("os.getppid", iter((1, 2)).__next__)
    ui.open_when_served(page)
    assert len(opened) == 1


@pytest.mark.parametrize("spelling", [["-p", "{}"], ["-p{}"], ["-p={}"], ["--port={}"]])
def test_a_port_in_use_is_refused_however_it_is_written(
    spelling: list[str], make_project: Make
) -> None:
    make_project()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port}: is in use"):
            ui._serve([part.format(port) for part in spelling])
