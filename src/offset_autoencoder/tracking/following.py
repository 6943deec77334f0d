"""Start of the process that shows a training in MLflow while it goes on.

That process reads the checkpoints and the finished runs of the run store. The training gives it
nothing but the names of its runs, and waits for it only to end. This module is imported by every
training: it is light.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from offset_autoencoder.paths import run_store

if TYPE_CHECKING:
    from offset_autoencoder.runs.spec import IdentifiedRun

_COMMAND = (sys.executable, "-m", "offset_autoencoder.tracking.live")
# Time to write the last points down, which the training waits for; publish completes the rest.
_END_SECONDS = 0.5


@contextlib.contextmanager
def following(runs: Sequence[IdentifiedRun], live_after: float | None) -> Iterator[None]:
    """Show the curves of runs in MLflow while they are trained within the block.

    Nothing is started before ``live_after`` has passed, and nothing that goes wrong reaches the
    training: a store that does not answer costs a line on stderr. ``live_after`` is in seconds;
    None: never.
    """
    if live_after is None or not runs:
        yield
        return
    named = [
        {"label": run.run.label, "id": run.id, "fingerprint": run.spec.fingerprint()}
        for run in runs
    ]
    message = json.dumps({"training": os.getpid(), "store": str(run_store()), "runs": named})
    started: list[subprocess.Popen[bytes]] = []
    timer = threading.Timer(live_after, _start, [message, started])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        for process in started:
            _end(process)


def _start(message: str, started: list[subprocess.Popen[bytes]]) -> None:
    # The training's environment, with this package where the training found it.
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
    try:
        process = subprocess.Popen(
            _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment
        )
        started.append(process)
        assert process.stdin is not None
        process.stdin.write(message.encode() + b"\n")
        process.stdin.flush()
    except OSError as error:
        print(f"warning: the training is not shown in MLflow: {error}", file=sys.stderr)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close its input, on which it ends by itself; kill it where it does not."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
