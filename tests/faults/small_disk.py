"""Stages and commands on a disk that is full, has no inodes left, is read-only, denied or gone.

``unshare -Urm python -m tests.faults.small_disk FOLDER STEP`` mounts a small tmpfs at the
folder, which needs no rights but those that a name space of one's own gives. It prints one JSON
object per fault: the command, the fault, the exit status, the lines on the standard error, and what
was wrong with the files afterwards. From fault to fault it leaves STEP more pages or inodes; of
what takes seconds, a share of those that it needs.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.faults.commands import (
    COMMANDS,
    OUTPUTS,
    Command,
    end,
    remove,
    state,
    stored,
    write_project,
)

from offset_autoencoder.runs.files import CHECKPOINTS, TEMPORARY

PAGE, SHARES = 4096, 8
LONG = "n" * 200


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
    subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,bind,rw", root], check=True)


@contextlib.contextmanager
def denied(root: Path) -> Iterator[None]:
    """Nobody may write, not even root, which gives up its rights meanwhile."""
    libc, header = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0)
    rights = (ctypes.c_uint32 * 6)()
    assert libc.capget(header, rights) == 0
    effective, folders = rights[0], [root, *(path for path in root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    rights[0] &= ~0b110  # to override what the mode of a file says
    assert libc.capset(header, rights) == 0
    try:
        yield
    finally:
        rights[0] = effective
        libc.capset(header, rights)
        for folder in folders:
            folder.chmod(0o755)


@contextlib.contextmanager
def elsewhere(root: Path, depth: int) -> Iterator[None]:
    """In a copy of the project whose path is too long; of depth 0: in a folder that is removed."""
    places = [Path(name) for name in (*OUTPUTS, "params.yaml") if Path(name).exists()]
    Path("elsewhere").mkdir()
    os.chdir("elsewhere")
    for _ in range(depth):
        Path(LONG).mkdir()
        os.chdir(LONG)
    if depth:
        for place in places:
            copy = shutil.copytree if (root / place).is_dir() else shutil.copy
            copy(root / place, place)
    else:
        (root / "elsewhere").rmdir()
    try:
        yield
    finally:
        os.chdir(root)
        shutil.rmtree("elsewhere", ignore_errors=True)


def half_written() -> list[str]:
    """Temporary files and folders that are left."""
    left = [path for name in OUTPUTS for path in Path(name).rglob(".*")]
    store = Path(".runs")
    left += [*store.glob(f"{TEMPORARY}*"), *(store / CHECKPOINTS).glob(".*")]
    return [str(path) for path in left]


def try_faults(name: str, command: Command, root: Path, step: int) -> None:
    """Run a command under faults that get milder, until it passes; and after each without."""
    whole, in_store = state(), stored(root)
    free: dict[str, Iterable[int]] = {"pages": range(0, 400, step), "inodes": range(0, 400, step)}
    if command.is_large:
        files = [path.stat().st_size for made in command.made for path in files_of(made)]
        needed = {"pages": sum(size // PAGE + 1 for size in files), "inodes": len(files)}
        free = {of: [k * most // SHARES for k in range(SHARES)] for of, most in needed.items()}
    faults = [
        ((f"{k * PAGE} bytes free", full(k * PAGE)) for k in free["pages"]),
        ((f"{k} inodes free", no_inodes(k)) for k in free["inodes"]),
        [("read-only", read_only(root))],
        [("denied", denied(root))],
        [("vanished", elsewhere(root, 0))],
        [("path too long", elsewhere(root, 4200 // len(LONG)))],
    ]
    for kind in faults:
        for fault, context in kind:
            remove(command.made)
            with context:
                status, lines = end(command)
                wrong = half_written()
                for folder, found in state().items():
                    if not found.items() <= whole[folder].items():
                        wrong.append(f"{folder} holds other files")
                    elif found != whole[folder] and not str(command.made).count(folder):
                        wrong.append(f"{folder} lacks files")
            again, said = end(command)
            if again:
                wrong.append(f"the next run fails: {said}")
            elif (state(), stored(root)) != (whole, in_store):
                wrong.append("the next run makes other files")
            report = {"command": name, "fault": fault, "status": status, "lines": lines}
            print(json.dumps({**report, "wrong": wrong}), flush=True)
            if not status:
                break


def files_of(made: str) -> list[Path]:
    found = [file for path in Path().glob(made) for file in (path, *path.rglob("*"))]
    return [path for path in found if path.is_file()]


def main(folder: str, step: str) -> None:
    """Mount, and run every stage and command, and then each under every fault.

    What takes seconds is tried with a step of 1 alone.
    """
    root = Path(folder)
    options = "size=32m,nr_inodes=2000"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", root], check=True)
    os.chdir(root)
    write_project()
    remove(())
    for name, command in COMMANDS.items():
        if step == "1" or not command.is_large:
            status, lines = end(command)
            assert status == 0, (name, lines)
            try_faults(name, command, root, int(step))


if __name__ == "__main__":
    main(*sys.argv[1:])
