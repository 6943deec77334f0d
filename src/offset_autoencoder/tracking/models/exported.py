"""Runs written as folders by another process, while this one goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from offset_autoencoder.errors import InputError
from offset_autoencoder.serving.metadata import NAME_IN_MLFLOW, ExportOrder
from offset_autoencoder.tracking.models.wanted import Wanted


class Exports:
    """The folders of runs that a process is writing, one after the other.

    Args:
        process: ``offset_autoencoder.serving.export``; None where nothing is written.
        folders: By key of the run, in the order in which they are written.
        said: What the process prints beside its answers.
    """

    def __init__(
        self, process: subprocess.Popen[str] | None, folders: dict[str, Path], said: Path
    ) -> None:
        self._process = process
        self._folders = folders
        self._said = said
        self._unread = list(folders)
        self._errors: dict[str, str | None] = {}

    @classmethod
    def nothing(cls) -> Exports:
        """No exports."""
        return cls(None, {}, Path())

    def holds(self, wanted: Wanted) -> bool:
        """Whether the run is among those being written."""
        return wanted.key in self._folders

    def folder(self, wanted: Wanted) -> Path:
        """The folder of a run, waiting until it is written.

        Raises:
            InputError: where it could not be written, or the process came to an end.
        """
        while wanted.key in self._unread:
            process = self._process
            line = process.stdout.readline() if process and process.stdout else ""
            if not line:
                said = self._said.read_text(errors="replace").strip().splitlines()
                raise InputError(
                    "models to be served",
                    f"the process that writes them ended: {said[-1] if said else 'killed'}",
                    "'dvc repro publish' tries again",
                )
            self._errors[self._unread.pop(0)] = json.loads(line)["error"]
        error = self._errors[wanted.key]
        if error is not None:
            raise NotServable(error)
        return self._folders[wanted.key]


class NotServable(Exception):
    """A run that cannot be served; the message says why."""


@contextlib.contextmanager
def exporting(wanted: Sequence[Wanted], root: Path) -> Iterator[Exports]:
    """Begin to write runs as folders; they are removed, and the process ended, with the block.

    Args:
        wanted: The runs.
        root: The project's folder.
    """
    with tempfile.TemporaryDirectory(prefix="offset-autoencoder-models-") as place:
        # The folder's own name is the one that it has within MLflow's model.
        folders = {
            one.key: Path(place) / str(number) / NAME_IN_MLFLOW for number, one in enumerate(wanted)
        }
        orders = [
            ExportOrder(one.run, one.model, str(folders[one.key]), one.test) for one in wanted
        ]
        said = Path(place) / "said.txt"
        with said.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "offset_autoencoder.serving.export"],
                cwd=root,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        try:
            if process.stdin is not None:
                with contextlib.suppress(OSError), process.stdin as stream:
                    json.dump([dataclasses.asdict(order) for order in orders], stream)
            yield Exports(process, folders, said)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
