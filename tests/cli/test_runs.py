"""``runs``: the table and its JSON, over a trained project and a real store."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from offset_autoencoder.cli.runs import PublishedRuns, list_runs, read_test_metrics
from offset_autoencoder.errors import InputError
from offset_autoencoder.runs.store import IndexedRun
from offset_autoencoder.tracking.record_types import CONTENT, CURRENT, KEY, ROLE, StoredRun
from offset_autoencoder.tracking.store import Location


def test_every_run_has_its_row(command: Any, runs: pd.DataFrame) -> None:
    result = command("runs")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    title, heading, _, *rows = result.stdout.splitlines()
    assert title.startswith("12 runs, published to sqlite:///")
    assert heading.split()[:4] == ["model", "stddev", "seed", "id"]
    assert "rms" not in heading  # one value only: not swept
    cells = [row.split() for row in rows]
    assert [row[0] for row in cells] == list(runs["model"])
    assert [row[-1] for row in cells] == ["no"] * 12
    for row, run_id, mse in zip(cells, runs["id"], runs["mse"], strict=True):
        assert run_id[:12] in row
        assert f"{mse:.4g}" in row


def test_json_has_every_digit(command: Any, runs: pd.DataFrame) -> None:
    found = json.loads(command("runs", "--json", "-m", "plain", "--model", "wide").stdout)
    expected = runs[runs["model"].isin(["plain", "wide"])]
    assert [run["id"] for run in found] == list(expected["id"])
    assert [run["test_mse"] for run in found] == list(expected["mse"])
    assert found[0]["sweep"] == {"stddev": "0.1"}
    assert {run["published"] for run in found} == {False}


def test_a_mistyped_model_is_found(command: Any, trained: Path) -> None:
    result = command("runs", "--model", "wyde")
    assert result.exit_code == 1
    assert "did you mean 'wide'?" in result.stderr


def test_before_the_training_there_is_nothing_to_list(command: Any, project: Path) -> None:
    result = command("runs")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: models/index.csv: no such file")


def test_a_store_that_does_not_answer_costs_a_warning(
    command: Any, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    result = command("runs", "--json")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: what is published is not known: ")
    assert {run["published"] for run in json.loads(result.stdout)} == {None}


def test_params_that_ask_for_other_runs_are_noted(
    command: Any, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("models", "reports"):
        (tmp_path / name).symlink_to(trained / name)
    document = yaml.safe_load((trained / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**document, "seeds": 3}))
    monkeypatch.chdir(tmp_path)
    result = command("runs", "--json")
    assert len(json.loads(result.stdout)) == 12
    assert result.stderr == "note: models is not that of params.yaml as it is now: run dvc repro\n"


@pytest.mark.slow
def test_what_is_published_and_what_is_history(
    command: Any, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from offset_autoencoder.stages import publish

    for name in ("models", "reports", "data"):
        (tmp_path / name).symlink_to(trained / name)
    document = yaml.safe_load((trained / "params.yaml").read_text())
    document["tracking"]["models"] = "none"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(document))
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        publish.main()
    found = json.loads(command("runs", "--json").stdout)
    assert [run["published"] for run in found] == [True] * 12
    shown = command("show", found[0]["id"][:12])
    assert f"/runs/{found[0]['mlflow_id']}" in shown.stdout
    # The same store, seen with fewer runs in models/.
    (tmp_path / "models").unlink()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "runs").symlink_to(trained / "models" / "runs")
    rows = (trained / "models" / "index.csv").read_text().splitlines()
    (tmp_path / "models" / "index.csv").write_text("\n".join([rows[0], *rows[3:]]) + "\n")
    listed = json.loads(command("runs", "--json").stdout)
    history = [run for run in listed if not run["current"]]
    assert {run["id"] for run in history} == {run["id"] for run in found[:2]}
    assert {run["sweep"]["stddev"] for run in history} == {"0.1"}
    assert len(json.loads(command("runs", "--json", "--current").stdout)) == 10
    assert command("runs").stdout.splitlines()[-1].split()[-2:] == ["yes", "no"]


NOWHERE = Location("sqlite:////nowhere/mlflow.db", None, Path("/nowhere/lock"))


def indexed(model: str, run_id: str, **sweep: str) -> IndexedRun:
    setting = " ".join([model, *(f"{key}={value}" for key, value in sweep.items())])
    return IndexedRun(model, setting, sweep, 0, run_id, "finished")


def present(model: str, run_id: str, setting: str = "", whole: bool = True) -> StoredRun:
    tags = {ROLE: "run", KEY: f"{model} {run_id}", CURRENT: "true", "run_id_sha256": run_id}
    tags |= {"model": model, "setting": setting or model, "seed": run_id, "status": "finished"}
    tags |= {CONTENT: "c"} if whole else {}
    return StoredRun(f"{model}-{run_id}", "FINISHED" if whole else "RUNNING", "", tags)


def store(*runs: StoredRun) -> PublishedRuns:
    return PublishedRuns(NOWHERE, "1", runs)


def test_a_run_is_published_once_its_record_is_whole() -> None:
    index = [indexed("a", "1"), indexed("a", "2"), indexed("a", "3")]
    listed = list_runs(
        index, {("a", "1"): 0.5}, store(present("a", "1"), present("a", "2", whole=False))
    )
    assert [run.published for run in listed] == [True, False, False]
    assert [run.metric for run in listed] == [0.5, None, None]
    assert [run.mlflow_id for run in listed] == ["a-1", "a-2", None]


def test_what_the_store_alone_holds_is_history() -> None:
    listed = list_runs(
        [indexed("a", "1", rms="0.1")],
        {},
        store(
            present("b", "7", "b rms=0.2 hidden=64-32"),
            present("a", "1", "a rms=0.1"),
            present("b", "8", "b rms=0.1"),
        ),
    )
    assert [(run.id, run.current) for run in listed] == [("1", True), ("8", False), ("7", False)]
    assert listed[2].sweep == {"rms": "0.2", "hidden": "64-32"}
    assert listed[2].seed == 7


def test_models_that_share_a_run_are_told_apart() -> None:
    index = [
        indexed("a", "1"),
        indexed("b", "1"),
        indexed("c", "1", rms="1"),
        indexed("c", "1", rms="2"),
    ]
    published = store(
        present("b", "1"), present("c", "1", "c rms=2"), present("c", "1", "c rms=1", whole=False)
    )
    assert [run.published for run in list_runs(index, {}, published)] == [False, True, False, True]


def test_without_a_store_nothing_is_said_of_it() -> None:
    (run,) = list_runs([indexed("a", "1")], {}, None)
    assert run.published is None


def test_metrics_that_are_no_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_test_metrics("mse") == {}
    (tmp_path / "reports").mkdir()
    table = tmp_path / "reports" / "runs.csv"
    table.write_text("id,model,mse\n1,a,0.25\n2,a,\n3,a,nan\n")
    assert read_test_metrics("mse") == {("a", "1"): 0.25}
    assert read_test_metrics("psnr") == {}
    table.write_text("id,model,mse\n1,a,much\n")
    with pytest.raises(InputError, match=r"runs\.csv, row 1, column mse"):
        read_test_metrics("mse")
