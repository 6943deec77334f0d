"""Every stage and command of a small project, to be run where something goes wrong."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tests.end_to_end.project import published
from tests.faults.conftest import features, write_params
from tests.folders import contents
from typer.main import get_command

from offset_autoencoder.cli.app import app
from offset_autoencoder.errors import run_command
from offset_autoencoder.runs.store import read_index
from offset_autoencoder.stages import evaluate, offset_code, offsets, prepare, publish, train

WRITING = os.O_WRONLY | os.O_RDWR
OUTPUTS = ("data", "models", "reports", "written")


@dataclass(frozen=True)
class Command:
    """A stage or a command.

    Attributes:
        made: Removed beforehand, so that it has something to do.
        is_large: It writes much and takes seconds.
        in_child: It needs a process of its own, as MLflow keeps stores open.
    """

    run: Callable[[], None]
    made: tuple[str, ...] = ()
    is_large: bool = False
    in_child: bool = False


def command_line(*arguments: str) -> Command:
    def run() -> None:
        ids = {row.model: row.id for row in read_index(Path("models"))}
        words = [ids.get(word, word) for word in arguments]
        try:
            get_command(app).main(words, standalone_mode=False)
        except SystemExit as ended:
            if ended.code:
                raise

    return Command(run, tuple(word for word in arguments if word.startswith("written")))


def applied(operation: str, suffix: str) -> Command:
    output = f"written/{operation}.{suffix}"
    return command_line(operation, "frozen", "data/raw/x.npy", output, "--force")


COMMANDS: dict[str, Command] = {
    "prepare": Command(prepare.main),
    "offset_code": Command(offset_code.main),
    "offsets of zeros": Command(functools.partial(offsets.main, ["none"])),
    "offsets": Command(functools.partial(offsets.main, ["frozen"])),
    "train": Command(train.main, (".runs", "models")),
    "evaluate": Command(evaluate.main, ("reports",), is_large=True),
    "publish": Command(publish.main, ("mlflow.db*", "mlartifacts"), is_large=True, in_child=True),
    "reconstruct": applied("reconstruct", "npy"),
    "encode": applied("encode", "csv"),
    "offsets of samples": applied("offsets", "npy"),
    "errors": applied("errors", "parquet"),
    "check": command_line("check"),
    "runs": command_line("runs", "--current"),
}


def write_project() -> None:
    """Write samples and params of two models, one with an offset, into the working folder."""
    Path("data/raw").mkdir(parents=True)
    np.save("data/raw/x.npy", features(300))
    write_params(
        models={"none": {"offset": "none"}, "frozen": {"offset": "frozen", "rms": 0.1}},
        train={"epochs": 1},
        evaluate={"baselines": ["none"]},
        tracking={"models": "none", "registered_model": None, "live_after": None},
    )


def end(command: Command) -> tuple[int, list[str]]:
    """Exit status of a command, and the lines of its errors."""
    if command.in_child:
        status, lines = end_of_child(command)
        assert status is not None
        return status, lines
    err, status = io.StringIO(), 0
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        try:
            run_command(command.run)
        except SystemExit as ended:
            status = int(ended.code or 0)
    return status, [line for line in err.getvalue().splitlines() if line.startswith("error")]


def end_of_child(command: Command, kill_at: int | None = None) -> tuple[int | None, list[str]]:
    """As :func:`end`, in a process of its own; status None where that was killed.

    It is killed as it makes, opens for writing, renames or removes a file for that time.
    """
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            if kill_at is not None:
                sys.addaudithook(_killing(kill_at))
            ended = end(Command(command.run))
            os.write(writer, json.dumps(ended).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    status, lines = json.loads(answer) if answer else (None, [])
    return status, lines


def _killing(kill_at: int) -> Callable[[str, tuple[Any, ...]], None]:
    left, here = kill_at, Path.cwd()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        changes = event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link")
        if event == "open":
            changes = isinstance(arguments[2], int) and bool(arguments[2] & WRITING)
        if not changes:
            return
        path = arguments[0]
        if isinstance(path, str | os.PathLike) and here in Path(path).absolute().parents:
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def remove(made: Iterable[str]) -> None:
    """Remove what matches, so that a command makes it again."""
    for path in (path for pattern in made for path in Path().glob(pattern)):
        path.unlink() if path.is_file() else shutil.rmtree(path)
    Path("written").mkdir(exist_ok=True)


def state() -> dict[str, dict[str, bytes]]:
    """Every file that a stage or command has written, but for the MLflow store.

    What was killed leaves hidden files, which nobody reads.
    """
    found = {name: contents(name, times=False) for name in OUTPUTS if Path(name).is_dir()}
    return {
        name: {path: own for path, own in files.items() if not f"/{path}".count("/.")}
        for name, files in found.items()
    }


def stored(root: Path) -> list[tuple[str, str]]:
    """Runs in the MLflow store."""
    return published(root) if (root / "mlflow.db").exists() else []
