"""Stages and commands that are killed at any of their changes to files, and run again."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from tests.faults.commands import COMMANDS, end_of_child, remove, state, stored, write_project
from tests.faults.conftest import EXAMPLES

IS_LONG = EXAMPLES > 200
QUICK = ("prepare", "offset_code", "offsets of zeros", "offsets")
TRIED = {name: of for name, of in COMMANDS.items() if IS_LONG or name in QUICK}


def test_what_is_killed_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if IS_LONG:
        import offset_autoencoder.models.backend  # noqa: F401  imported once for all children
    write_project()
    remove(())
    kills = {}
    for name, command in TRIED.items():
        assert end_of_child(command) == (0, []), name
        whole, in_store, kills[name] = state(), stored(tmp_path), 0
        for kill_at in itertools.count(1, 1 if IS_LONG and not command.is_large else 7):
            remove(command.made)
            status, _ = end_of_child(command, kill_at)
            if status is not None:
                assert status == 0
                break
            kills[name] += 1
            assert end_of_child(command) == (0, []), (name, kill_at)
            assert state() == whole, (name, kill_at)
            assert stored(tmp_path) == in_store, (name, kill_at)
    writers = TRIED.keys() - {"check", "runs"}
    assert {name for name, count in kills.items() if count} >= writers
    with capsys.disabled():
        print(f"killed, and made again: {kills}", end=" ")
