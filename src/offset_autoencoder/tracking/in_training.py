"""The sign by which a training says, in the store, that it goes on."""

from __future__ import annotations

import os
import socket
import time

from offset_autoencoder.tracking.state import Present

TAG = "training"
DEAD_SECONDS = 180.0


def sign(training: int) -> str:
    """What the tag holds: the machine, the training's process, and the time in s since 1970.

    Args:
        training: The process id of the training.
    """
    return f"{socket.gethostname()} {training} {int(time.time())}"


def is_in_training(present: Present) -> bool:
    """Whether an unfinished MLflow run is that of a training that goes on.

    On this machine its process says so. Of another's, a sign that is younger than
    :data:`DEAD_SECONDS` does.
    """
    words = present.tags.get(TAG, "").split(" ")
    if present.status != "RUNNING" or len(words) != 3 or not all(w.isdecimal() for w in words[1:]):
        return False
    host, training, moment = words
    if host != socket.gethostname():
        return time.time() - int(moment) < DEAD_SECONDS
    try:
        os.kill(int(training), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
