"""Peers in processes of their own, that work one at a time.

Each library starts threads and sets up the processor as it likes; in one process they would
spoil each other. The parent hands out the turns, so that no two are at work at once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from benchmarks.peers.task import Outcome, Task

T = TypeVar("T")

ROOT = Path(__file__).parent.parent


class PeerFailed(Exception):
    """A peer could not do what it was asked."""


class PeerProcess:
    """The process of one peer; it waits idle between its turns."""

    def __init__(self, name: str, errors: IO[str]) -> None:
        self._errors = errors
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.worker", name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )

    def start(self, key: str, task: Task) -> None:
        """Make ready for the turns of a task."""
        self._ask(key=key, task=task.to_json())

    def turn(self, key: str) -> Outcome:
        """One turn of a task."""
        return Outcome(**self._ask(key=key))

    def forget(self, key: str) -> None:
        """Free what a task holds."""
        self._ask(key=key, end=True)

    def close(self) -> None:
        """End the process, in the middle of a turn too."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for the answer.

        Raises:
            PeerFailed: where the peer failed or is gone.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            print(json.dumps(request), file=stdin, flush=True)
        except BrokenPipeError:
            raise PeerFailed(self._last_words()) from None
        line = stdout.readline()
        if not line:
            raise PeerFailed(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerFailed(answer["error"])
        return answer

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else "it ended without a word"


@contextmanager
def peer_processes(names: Sequence[str]) -> Iterator[dict[str, PeerProcess]]:
    """A process per peer, ended on leaving."""
    with ExitStack() as stack:
        processes = {}
        for name in names:
            errors = stack.enter_context(tempfile.TemporaryFile("w+"))
            processes[name] = PeerProcess(name, errors)
            stack.callback(processes[name].close)
        yield processes


def rotated(items: Sequence[T], by: int) -> list[T]:
    """The items, from another one on: each is first, second, ... equally often."""
    first = by % len(items) if items else 0
    return [*items[first:], *items[:first]]
