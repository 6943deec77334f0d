"""The process that shows a training in MLflow while it goes on: ``python -m ...tracking.live``.

It gets the names of the runs on a line of its input, and ends when that closes. It runs at a low
priority, so that it takes next to nothing from a training that uses every core.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from offset_autoencoder.config import load_params
from offset_autoencoder.paths import project_root
from offset_autoencoder.tracking.live_runs import live_runs
from offset_autoencoder.tracking.location import locate

POLL_SECONDS = 2.0
# Until a store that did not answer is asked again.
RETRY_SECONDS = 60.0
# A core in use gives such a process 1.5 %. MLflow's import and a new store take seconds of one:
# while all cores are in use curves come late, otherwise at once.
_NICE = 19


def main() -> None:
    """Follow the training that is named on the standard input, until that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _step_back()
    handed = json.loads(sys.stdin.readline())
    has_ended = threading.Event()
    threading.Thread(target=_wait_for_end, args=(has_ended,), daemon=True).start()
    told = False
    while not has_ended.is_set():
        try:
            follow(handed, has_ended)
        except Exception as error:
            if not told and not has_ended.is_set():
                text = " ".join(str(error).split())[:300] or type(error).__name__
                print(
                    f"warning: the training is not shown in MLflow for now: {text}",
                    file=sys.stderr,
                    flush=True,
                )
            told = True
            has_ended.wait(RETRY_SECONDS)


def follow(handed: Mapping[str, Any], has_ended: threading.Event) -> None:
    """Show the runs until the training has ended.

    Args:
        handed: What :func:`.following.following` hands over.
        has_ended: Set when the training has.

    Raises:
        InputError: where params.yaml or the store cannot be read.
        Exception: whatever MLflow raises where the store does not answer.
    """
    params = load_params()
    location, name = locate(params.tracking), params.tracking.experiment
    runs = live_runs(params, handed["runs"], Path(handed["store"]))
    while not any(run.has_points for run in runs):
        if has_ended.wait(POLL_SECONDS):
            return
    from offset_autoencoder.tracking.live_writer import LiveWriter

    is_current = Path.cwd() == project_root()
    writer = LiveWriter.open(location, name, handed["training"], is_current=is_current)
    open_runs = list(runs)
    while not has_ended.is_set():
        for run in open_runs[:]:
            if not has_ended.is_set() and writer.write(run):
                open_runs.remove(run)
        has_ended.wait(POLL_SECONDS)
    writer.end(open_runs)


def _step_back() -> None:
    """Leave the cores to the training."""
    with contextlib.suppress(OSError):
        os.nice(max(0, _NICE - os.nice(0)))


def _wait_for_end(has_ended: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while sys.stdin.read(1):
            pass
    has_ended.set()


if __name__ == "__main__":
    main()
