"""A training spread over processes that share the run store, as the jobs of a scheduler do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.end_to_end.project import fresh_project, run
from tests.folders import contents

pytestmark = pytest.mark.slow

PARAMS = """\
seeds: 4
data: {}
split: {}
offsets:
  none: {kind: zero}
  frozen: {kind: hash}
network: {latent_dim: 4, hidden: [16]}
train: {epochs: 100, patience: null, checkpoint_seconds: 1e-9}
models:
  none: {offset: none}
  frozen: {offset: frozen, rms: 0.1}
evaluate: {baselines: [none]}
tracking: {live_after: null}
"""
SHARES = 4


def start(folder: Path, number: int, of: int = SHARES) -> subprocess.Popen[str]:
    program = str(Path(sys.executable).parent / "offset-autoencoder")
    return subprocess.Popen(
        [program, "train", f"--share={number}/{of}"],
        cwd=folder,
        env={**os.environ, "OFFSET_AUTOENCODER_RUNS": "../shared"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def checkpoints(store: Path) -> set[Path]:
    return set(store.glob(".checkpoints/*.npz"))


def test_shares_of_which_two_are_killed_make_the_runs_of_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, store = fresh_project(tmp_path / "project", PARAMS), tmp_path / "shared"
    run(project, "dvc", "repro", "prepare", "offsets")
    for kill, status in [(signal.SIGKILL, -9), (signal.SIGTERM, 130)]:
        share, before = (
            start(project, 0, of=1),
            checkpoints(store),
        )  # which share has runs, ids tell
        while checkpoints(store) <= before:
            assert share.poll() is None, share.communicate()
            time.sleep(0.01)
        share.send_signal(kill)
        _, errors = share.communicate()
        assert share.returncode == status
        assert ("interrupted: finished runs are kept" in errors) == (kill == signal.SIGTERM)
        assert checkpoints(store)
    shares = [start(project, number) for number in range(SHARES)]
    printed = [share.communicate() for share in shares]
    assert [share.returncode for share in shares] == [0] * SHARES, printed
    assert not (project / "models").exists()
    assert not checkpoints(store)
    monkeypatch.setenv("OFFSET_AUTOENCODER_RUNS", "../shared")
    assert "runs: 8 (0 trained, 8 reused)" in run(project, "dvc", "repro", "train")
    assert not (project / ".runs").exists()
    monkeypatch.delenv("OFFSET_AUTOENCODER_RUNS")
    alone = fresh_project(tmp_path / "alone", PARAMS)
    assert "runs: 8 (8 trained, 0 reused)" in run(alone, "dvc", "repro", "train")
    made = contents(project / "models", times=False)
    assert made == contents(alone / "models", times=False)
    assert len(made) > 8
