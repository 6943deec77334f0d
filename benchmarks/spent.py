"""Cost of a process: wall time, CPU time and memory, its own children included."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from benchmarks.turns import rotated

T = TypeVar("T")


@dataclass(frozen=True)
class Spent:
    """Cost of a command.

    Attributes:
        wall: Seconds from its start to its end.
        cpu: Seconds of processor time, in user code and in the kernel, over all its threads.
        memory: Bytes that its largest process held at most.
        output: What it wrote to stdout.
        errors: What it wrote to stderr.
    """

    wall: float
    cpu: float
    memory: int
    output: str
    errors: str


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Spent:
    """Run a command to its end.

    Raises:
        RuntimeError: where it fails, with the end of its output.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = [_text(stream) for stream in (output, errors)]
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{''.join(texts)[-2000:]}")
    in_bytes = 1 if sys.platform == "darwin" else 1024
    return Spent(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * in_bytes, *texts)


def in_turns(cases: Mapping[str, Callable[[], T]], repeats: int) -> dict[str, list[T]]:
    """Call every case so many times, each round in another order."""
    results: dict[str, list[T]] = {name: [] for name in cases}
    for repeat in range(repeats):
        for name in rotated(list(cases), repeat):
            results[name].append(cases[name]())
    return results


def median_and_range(values: Sequence[float]) -> str:
    """``"0.29 (0.28 to 0.31)"``."""
    median = statistics.median(values)
    return f"{median:.3g} ({min(values):.3g} to {max(values):.3g})"


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")
