"""The command line itself: help, mistakes, interruptions."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from offset_autoencoder.cli.app import complete_model, complete_run

COMMANDS = ("reconstruct", "errors", "encode", "offsets", "check", "train", "runs", "show", "ui")


def test_help_of_every_command_loads_nothing_heavy() -> None:
    code = f"""
import contextlib, json, sys
from offset_autoencoder.cli.app import app
for name in {COMMANDS!r}:
    with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(SystemExit):
        app([name, "--help"])
print(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("Usage:") == len(COMMANDS)
    heavy = {"numpy", "pydantic", "rich", "pandas", "pyarrow", "tensorflow", "mlflow", "yaml"}
    assert not heavy & set(json.loads(done.stdout))


def test_without_a_command_it_prints_help_with_every_command(command: Any) -> None:
    result = command()
    assert result.exit_code == 0
    assert all(f"\n  {name} " in result.stdout for name in COMMANDS)
    assert "..." not in result.stdout.partition("Commands:")[2]


def test_version(command: Any) -> None:
    assert command("--version").stdout.strip() == version("offset-autoencoder")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["encod"], "did you mean 'encode'?"),
        (["runs", "--modle", "x"], "no such option: --modle"),
        (["encode", "run", "in.npy"], "missing argument 'OUTPUT'"),
    ],
)
def test_a_mistyped_command_line_is_one_line(command: Any, arguments: list[str], said: str) -> None:
    result = command(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: offset-autoencoder")
    assert said.lower() in line.lower()


def test_bad_input_is_one_line(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = command("check")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: params.yaml: no such file")


def test_ctrl_c_says_so(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from offset_autoencoder.stages import check

    def interrupted(**_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "check", interrupted)
    result = command("check")
    assert result.exit_code == 130
    assert result.stderr == "interrupted: nothing was written\n"


def test_a_reader_that_goes_away_is_no_error(project: Path) -> None:
    line = [sys.executable, "-m", "offset_autoencoder.cli.app", "check"]
    done = subprocess.run(
        ["bash", "-c", '"$@" | true; exit ${PIPESTATUS[0]}', "bash", *line],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")


def test_ui_hands_its_arguments_on(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from offset_autoencoder.tracking import ui

    seen: list[str] = []
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(ui, "main", lambda: seen.extend(sys.argv))
    assert command("ui", "--port", "5001", "-h", "0.0.0.0").exit_code == 0
    assert seen == ["offset-autoencoder ui", "--port", "5001", "-h", "0.0.0.0"]


def test_completion_offers_models_and_ids(trained: Path, runs: pd.DataFrame) -> None:
    assert complete_model("k") == ["kinds", "known"]
    run_id = runs["id"].iloc[0]
    assert (run_id[:12], "plain, seed 0") in complete_run(run_id[:2])
    assert complete_run("x") == []


def test_completion_is_silent_outside_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert complete_model("") == []
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "index.csv").write_bytes(b"\xff\xfe\x00,\n")
    assert complete_run("") == []
