"""One publisher at a time, wherever they run: a turn is a tag of the MLflow experiment.

The file lock keeps apart the publishers of one project folder. Two clones that publish to one
server share nothing but the server. So a publisher announces itself by an experiment tag of its
own and goes on only when it sees no other: of two that announce themselves at once each sees the
other, the one whose name is greater steps back, and the other waits until it has. A tag is
renewed while its publisher lives; one that stays as it is for long is that of a dead one.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from offset_autoencoder.errors import InputError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

PREFIX = "publishing."
RENEW_SECONDS = 5.0
DEAD_SECONDS = 30.0
POLL_SECONDS = 0.5


@contextlib.contextmanager
def turn(client: MlflowClient, experiment_id: str) -> Iterator[Callable[[], None]]:
    """Wait until no other publisher writes to the experiment, and keep others waiting.

    Args:
        client: The store.
        experiment_id: The MLflow experiment's id.

    Yields:
        A check to be called between two writes.

    Raises:
        InputError: by the check, where another publisher took this one for dead and went on.
    """
    mine = f"{PREFIX}{uuid.uuid4().hex[:12]}"
    announced = _Announcement(client, experiment_id, mine)
    try:
        _wait(announced)
        stop = threading.Event()
        renewing = threading.Thread(target=_renew, args=(announced, stop), daemon=True)
        renewing.start()
        try:
            yield announced.check
        finally:
            stop.set()
            renewing.join(RENEW_SECONDS)
    finally:
        with contextlib.suppress(Exception):
            announced.withdraw()


class _Announcement:
    """A publisher's tag among those of the others."""

    def __init__(self, client: MlflowClient, experiment_id: str, name: str) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._name = name
        self._count = 0
        self._standing = False
        self.is_lost = False

    def put(self) -> None:
        self._count += 1
        value = f"{socket.gethostname()} {os.getpid()} {self._count}"
        self._client.set_experiment_tag(self._experiment_id, self._name, value)
        self._standing = True

    def withdraw(self) -> None:
        if self._standing:
            self.remove(self._name)
            self._standing = False

    def remove(self, name: str) -> None:
        # Another may have removed it.
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):
            self._client.delete_experiment_tag(self._experiment_id, name)

    def all(self) -> dict[str, str]:
        tags = self._client.get_experiment(self._experiment_id).tags
        return {name: value for name, value in tags.items() if name.startswith(PREFIX)}

    def others(self) -> dict[str, str]:
        return {name: value for name, value in self.all().items() if name != self._name}

    def goes_before(self, others: dict[str, str]) -> bool:
        return all(self._name < name for name in others)

    def look(self) -> None:
        """Notice whether another publisher removed the tag."""
        if self._name not in self.all():
            self.is_lost = True

    def check(self) -> None:
        if self.is_lost:
            raise InputError(
                "publishing",
                "another publisher took this one for dead and went on",
                "'dvc repro' publishes what is left",
            )


def _wait(mine: _Announcement) -> None:
    seen: dict[str, tuple[str, float]] = {}
    told = False
    mine.put()
    while others := mine.others():
        if not told:
            print("waiting for another publish, of another clone or machine", file=sys.stderr)
            told = True
        now = time.monotonic()
        for name, value in others.items():
            if seen.get(name, ("", 0.0))[0] != value:
                seen[name] = (value, now)
            if now - seen[name][1] > DEAD_SECONDS or _has_ended(value):
                mine.remove(name)
        if not mine.goes_before(others):
            mine.withdraw()
        time.sleep(POLL_SECONDS)
        if not mine.others() or mine.goes_before(mine.others()):
            mine.put()


def _has_ended(value: str) -> bool:
    """Whether a tag is of a process of this machine that is no more."""
    host, _, rest = value.partition(" ")
    number = rest.partition(" ")[0]
    if host != socket.gethostname() or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _renew(mine: _Announcement, stop: threading.Event) -> None:
    while not stop.wait(RENEW_SECONDS):
        # A server that is away is noticed by whoever writes to it.
        with contextlib.suppress(Exception):
            mine.look()
            if mine.is_lost:
                return
            mine.put()
