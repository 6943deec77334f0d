"""Stages on a file system that is full, has no inodes left, is read-only or has vanished.

``unshare -Urm python -m tests.faults.small_disk FOLDER STEP`` mounts a small tmpfs at the
folder, which needs no rights but those that a name space of one's own gives. It prints one JSON
object per fault: the stage, the fault, the exit status, the lines on the standard error, and what
was wrong with the files afterwards. From fault to fault it leaves STEP more pages or inodes.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tests.faults.conftest import features, write_params
from tests.folders import contents

from offset_autoencoder.errors import run_command
from offset_autoencoder.stages import offset_code, offsets, prepare

PAGE = 4096
STAGES: dict[str, Callable[[], None]] = {
    "prepare": prepare.main,
    "offset_code": offset_code.main,
    "offsets": functools.partial(offsets.main, ["frozen"]),
}


def end(command: Callable[[], None]) -> tuple[int, list[str]]:
    err, status = io.StringIO(), 0
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        try:
            run_command(command)
        except SystemExit as ended:
            status = int(ended.code or 0)
    return status, [line for line in err.getvalue().splitlines() if not line.startswith("warning")]


@contextlib.contextmanager
def full(free: int) -> Iterator[None]:
    """No more than so many bytes are free."""
    filler = Path("filler")
    with filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(1 << 18))
    with filler.open("ab", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(PAGE))
    with filler.open("r+b") as stream:
        stream.truncate(max(0, filler.stat().st_size // PAGE * PAGE - free))
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def no_inodes(free: int) -> Iterator[None]:
    """No more than so many files can be made."""
    folder, count = Path("fillers"), 0
    folder.mkdir()
    with contextlib.suppress(OSError):
        while True:
            (folder / str(count)).touch()
            count += 1
    for number in range(min(free, count)):
        (folder / str(number)).unlink()
    try:
        yield
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def read_only(root: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", root], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", root], check=True)


@contextlib.contextmanager
def vanished(root: Path) -> Iterator[None]:
    """The working folder is removed while one stands in it."""
    folder = root / "vanished"
    shutil.copytree("data", folder / "data")
    shutil.copy("params.yaml", folder)
    os.chdir(folder)
    shutil.rmtree(folder)
    try:
        yield
    finally:
        os.chdir(root)


def try_faults(name: str, command: Callable[[], None], root: Path, step: int) -> None:
    """Run a stage under faults that get milder, until it passes; and after each without."""
    whole = contents("data")
    space = ((f"{k * PAGE} bytes free", full(k * PAGE)) for k in range(0, 400, step))
    inodes = ((f"{k} inodes free", no_inodes(k)) for k in range(0, 400, step))
    for faults in (space, inodes, [("read-only", read_only(root))], [("vanished", vanished(root))]):
        for fault, context in faults:
            with context:
                status, lines = end(command)
                wrong = half_written()
                if Path("data").exists() and contents("data") != whole:
                    wrong.append("the outputs have changed")
            again, said = end(command)
            if again:
                wrong.append(f"the next run fails: {said}")
            elif contents("data") != whole:
                wrong.append("the next run makes other files")
            report = {"stage": name, "fault": fault, "status": status, "lines": lines}
            print(json.dumps({**report, "wrong": wrong}), flush=True)
            if not status:
                break


def half_written() -> list[str]:
    """Temporary files and folders that are left."""
    return [str(path) for path in Path("data").rglob(".*")]


def main(folder: str, step: str) -> None:
    """Mount, run every stage, and then every stage under every fault."""
    root = Path(folder)
    options = "size=8m,nr_inodes=1000"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", root], check=True)
    os.chdir(root)
    Path("data/raw").mkdir(parents=True)
    np.save("data/raw/x.npy", features(300))
    write_params()
    for name, command in STAGES.items():
        status, lines = end(command)
        assert status == 0, (name, lines)
    for name, command in STAGES.items():
        try_faults(name, command, root, int(step))


if __name__ == "__main__":
    main(*sys.argv[1:])
