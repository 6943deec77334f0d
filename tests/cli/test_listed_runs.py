"""Runs of ``models/`` and of the store joined into one list."""

from __future__ import annotations

from pathlib import Path

import pytest

from offset_autoencoder.cli.listed_runs import list_runs, read_measured
from offset_autoencoder.cli.published import Published
from offset_autoencoder.errors import InputError
from offset_autoencoder.tracking.location import Location
from offset_autoencoder.tracking.records import CONTENT, CURRENT, KEY, ROLE
from offset_autoencoder.tracking.state import Present
from offset_autoencoder.training.run_store import IndexedRun

NOWHERE = Location("sqlite:////nowhere/mlflow.db", None, Path("/nowhere/lock"))


def indexed(model: str, run_id: str, seed: int = 0, **sweep: str) -> IndexedRun:
    return IndexedRun(model, sweep, seed, run_id, "finished")


def present(
    model: str, run_id: str, setting: str = "", *, whole: bool = True, seed: int = 0
) -> Present:
    tags = {
        ROLE: "run",
        KEY: f"{model} {run_id}",
        CURRENT: "true",
        "run_id_sha256": run_id,
        "model": model,
        "setting": setting or model,
        "seed": str(seed),
        "status": "finished",
    }
    if whole:
        tags[CONTENT] = "c"
    return Present(f"{model}-{run_id}", "FINISHED" if whole else "RUNNING", "", tags)


def store(*runs: Present) -> Published:
    return Published(NOWHERE, "1", runs)


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
            present("b", "7", "b rms=0.2 hidden=64-32", seed=3),
            present("a", "1", "a rms=0.1"),
            present("b", "8", "b rms=0.1"),
        ),
    )
    assert [(run.id, run.current) for run in listed] == [("1", True), ("8", False), ("7", False)]
    assert listed[2].sweep == {"rms": "0.2", "hidden": "64-32"}
    assert listed[2].seed == 3


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
    assert [run.published for run in list_runs(index, {}, published)] == [
        False,
        True,
        False,
        True,
    ]


def test_without_a_store_nothing_is_said_of_it() -> None:
    (run,) = list_runs([indexed("a", "1")], {}, None)
    assert run.published is None


def test_metrics_that_are_no_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_measured("mse") == {}
    (tmp_path / "reports").mkdir()
    table = tmp_path / "reports" / "runs.csv"
    table.write_text("id,model,mse\n1,a,0.25\n2,a,\n3,a,nan\n")
    assert read_measured("mse") == {("a", "1"): 0.25}
    assert read_measured("psnr") == {}
    table.write_text("id,model,mse\n1,a,much\n")
    with pytest.raises(InputError, match=r"runs\.csv, row 1, column mse"):
        read_measured("mse")
