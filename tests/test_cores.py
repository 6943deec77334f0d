"""Cores of an allocation: a process pinned to fewer than the machine has, a task of Slurm's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PINNED = """
import os
os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
from offset_autoencoder.cores import available_cores
print(available_cores())
"""


def cores(program: str = PINNED, **environment: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_a_process_that_is_pinned_to_one_core_has_one() -> None:
    assert cores() == 1


@pytest.mark.parametrize(("asked", "least"), [("1", 1), ("1000000", None), ("", None)])
def test_no_more_than_slurm_gave_and_the_machine_has(asked: str, least: int | None) -> None:
    program = PINNED.replace("os.sched_setaffinity", "#")
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert 1 <= cores(program, SLURM_CPUS_PER_TASK=asked) <= (least or allowed or 1)
