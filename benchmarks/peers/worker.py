"""The process of one peer: takes tasks and turns as lines of JSON, and answers in lines.

    python -m benchmarks.peers.worker NAME

A line ``{"key": ..., "task": {...}}`` starts a task, ``{"key": ...}`` asks for a turn of it,
``{"key": ..., "end": true}`` forgets it. Each is answered by one line: an outcome, ``{}``, or
``{"error": ...}``.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, TextIO

from benchmarks.peers.task import Task, Turn

Start = Callable[[Task], Turn]


def load(name: str) -> Start:
    """Function that starts a task of a peer, by the name of its module."""
    start: Start = importlib.import_module(f"benchmarks.peers.{name}").start
    return start


def serve(start: Start, requests: TextIO, answers: TextIO) -> None:
    """Answer the requests until there are no more."""
    turns: dict[str, Turn] = {}
    for line in requests:
        try:
            answer = _answer(start, turns, json.loads(line))
        except Exception as error:
            traceback.print_exc()
            answer = json.dumps({"error": f"{type(error).__name__}: {error}"})
        print(answer, file=answers, flush=True)


def _answer(start: Start, turns: dict[str, Turn], request: dict[str, Any]) -> str:
    key = request["key"]
    if "task" in request:
        turns[key] = start(Task.from_json(request["task"]))
        return "{}"
    if "end" in request:
        turns.pop(key, None)
        return "{}"
    return turns[key]().to_json()


def main() -> None:
    """Serve the peer that the command line names."""
    # What libraries print must not get among the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(load(sys.argv[1]), sys.stdin, answers)


if __name__ == "__main__":
    main()
