"""``show``: one run, whole."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pandas as pd
import pytest


def test_it_tells_what_the_files_say(command: Any, trained: Path, runs: pd.DataFrame) -> None:
    row = runs[runs["model"] == "projection"].iloc[1]
    result = command("show", row["id"][:12])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "projection seed=1"
    said = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if line.startswith("  ")}
    assert said["id"] == row["id"]
    assert said["folder"] == f"models/runs/{row['id']}"
    assert said["status"].startswith("finished after 2 epochs by engine numba, weights of epoch 2")
    assert said["train.batch_size"] == "32"
    assert said["mse"] == f"{row['mse']:.6g}"
    history = pd.read_csv(trained / "models" / "runs" / row["id"] / "history.csv")
    first, last = history["val_loss"].iloc[[0, -1]]
    assert said["val_loss"].startswith(f"{first:.4g} → {last:.4g}, {last:.4g} at epoch 2")
    assert said["page"] == "none: not published"


def test_json_has_the_curves_and_the_files(command: Any, trained: Path, runs: pd.DataFrame) -> None:
    run_id = runs["id"].iloc[0]
    found = json.loads(command("show", run_id, "--json").stdout)
    folder = trained / "models" / "runs" / run_id
    assert found["names"] == ["plain stddev=0.1 seed=0"]
    assert found["spec"] == json.loads((folder / "spec.json").read_text())
    assert found["losses"]["loss"] == list(pd.read_csv(folder / "history.csv")["loss"])
    assert found["metrics"]["plain stddev=0.1 seed=0"]["mse"] == runs["mse"].iloc[0]
    assert found["files"] == {path.name: path.stat().st_size for path in folder.iterdir()}


def test_a_run_that_only_the_run_store_remembers(
    command: Any, trained: Path, runs: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = runs["id"].iloc[0]
    shutil.copytree(trained / "models" / "runs" / run_id, tmp_path / ".runs" / run_id)
    shutil.copyfile(trained / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    first, *rest = command("show", run_id[:8]).stdout.splitlines()
    assert first == "a run that params.yaml does not ask for now"
    assert any(line.split() == ["folder", str(tmp_path / ".runs" / run_id)] for line in rest)


def test_a_run_that_is_not_there(command: Any, trained: Path) -> None:
    result = command("show", "xyz")
    assert result.exit_code == 1
    assert "no run of models or .runs has an id that begins so" in result.stderr


def test_a_damaged_run_is_said_to_be_so(
    command: Any, trained: Path, runs: pd.DataFrame, tmp_path: Path
) -> None:
    folder = tmp_path / runs["id"].iloc[0]
    shutil.copytree(trained / "models" / "runs" / folder.name, folder)
    (folder / "weights.npz").write_bytes(b"PK")
    result = command("show", folder)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {folder}: is damaged")


def test_a_page_that_cannot_be_opened(command: Any, trained: Path, runs: pd.DataFrame) -> None:
    result = command("show", runs["id"].iloc[0], "--open")
    assert result.exit_code == 1
    assert result.stderr == "error: --open: the run is not published (dvc repro publishes it)\n"


def test_its_page_is_opened_where_the_ui_answers(
    command: Any, trained: Path, runs: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    from offset_autoencoder.cli import runs as listing
    from offset_autoencoder.cli import show
    from offset_autoencoder.tracking.record_types import StoredRun
    from offset_autoencoder.tracking.store import Location

    run_id = runs["id"].iloc[0]
    open_page = Mock(return_value=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        location = Location(f"http://me:secret@{address}/", None, trained / "lock")
        record = StoredRun("m1", "FINISHED", "", {"run_id_sha256": run_id})
        store = listing.PublishedRuns(location, "7", (record,))
        monkeypatch.setattr(show, "read_published", lambda tracking: store)
        monkeypatch.setattr("webbrowser.open", open_page)
        assert command("show", run_id, "--open").exit_code == 0
        page = f"http://{address}/#/experiments/7/runs/m1?workflowType=machine_learning"
        open_page.assert_called_once_with(page)
    result = command("show", run_id, "--open")
    assert result.stderr.startswith(f"error: http://{address}: no MLflow UI answers there")
