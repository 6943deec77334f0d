"""Full, read-only and vanished file systems: one line, nothing half-written, and on it goes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.conftest import EXAMPLES

ROOT = Path(__file__).parents[2]
OWN_MOUNTS = ["unshare", "-Urm"]
CAN_MOUNT = (
    bool(shutil.which("unshare"))
    and not subprocess.run(
        [*OWN_MOUNTS, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True
    ).returncode
)
STEP = 3 if EXAMPLES <= 200 else 1


@pytest.mark.skipif(not CAN_MOUNT, reason="needs name spaces of users, to mount a small disk")
def test_faults_of_the_disk_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = [sys.executable, "-m", "tests.faults.small_disk"]
    command = [*OWN_MOUNTS, *program, str(tmp_path), str(STEP)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [end for end in ends if end["status"]]
    assert [end for end in failed if end["status"] != 1 or len(end["lines"]) != 1] == []
    assert [end for end in ends if end["wrong"]] == []
    hidden = re.compile(r"/\.(?!runs\b|check\.|checkpoints\b)|\.tmp")
    assert [end for end in failed if hidden.search(end["lines"][0])] == []
    told = {" ".join(end["lines"]) for end in failed}
    for words in (
        "the disk is full; nothing is half-written (free some space",
        "the file system is read-only",
        "permission is denied",
        "the path is longer than the file system allows",
        "the disk holds as many files as it can",
    ):
        assert any(words in line for line in told), words
    names = {end["command"] for end in ends}
    for fault in ("read-only", "denied", "vanished", "0 bytes free", "0 inodes free"):
        writers = names if fault == "vanished" else names - {"runs"}
        assert {end["command"] for end in failed if end["fault"] == fault} == writers, fault
    with capsys.disabled():
        print(f"{len(failed)} of {len(ends)} faults of the disk ended in a line", end=" ")
