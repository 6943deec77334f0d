from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from offset_autoencoder.training.pool import IdleWorkers

SECONDS = 600.0  # of a wait that only a fault makes long


class Workers:
    """Workers that wait for somebody to help, while one of them works."""

    def __init__(self, count: int) -> None:
        self.over = threading.Event()
        self.idle = IdleWorkers(threading.Condition(), self.over, working=1)
        self.pool = ThreadPoolExecutor(count)
        self.waiting = [self.pool.submit(self.idle.help_others) for _ in range(count)]
        self.see(count)

    def see(self, count: int) -> None:
        """Wait until so many wait."""
        while self.idle.idle != count:
            assert not any(future.done() for future in self.waiting)
            threading.Event().wait(0.01)

    def end(self) -> None:
        self.idle.leave()
        for future in self.waiting:
            future.result(SECONDS)
        self.pool.shutdown()


def meet_and_note(
    together: threading.Barrier, seen: set[tuple[int, int]], thread: int, threads: int
) -> None:
    together.wait(SECONDS)  # all are there at the same time
    seen.add((thread, threads))


def test_as_many_share_a_piece_as_wait_and_may() -> None:
    workers = Workers(3)
    for most, expected in ((1, 1), (3, 3), (9, 4)):
        together = threading.Barrier(expected)
        seen: set[tuple[int, int]] = set()

        workers.idle.share(functools.partial(meet_and_note, together, seen), most)
        assert seen == {(thread, expected) for thread in range(expected)}
        workers.see(3)
    workers.end()


def test_an_error_of_a_helper_reaches_the_one_it_helped() -> None:
    workers = Workers(1)

    def piece(thread: int, threads: int) -> None:
        if thread == 1:
            raise ValueError("the helper's")

    with pytest.raises(ValueError, match="the helper's"):
        workers.idle.share(piece, 2)
    workers.see(1)
    workers.end()


def test_who_was_asked_stays_though_all_is_over() -> None:
    workers = Workers(1)
    entered, done = threading.Event(), []

    def piece(thread: int, threads: int) -> None:
        if thread == 0:
            workers.over.set()
            with workers.idle.change:
                workers.idle.change.notify_all()
            assert entered.wait(SECONDS)
        else:
            entered.set()
            done.append(threads)

    workers.idle.share(piece, 2)
    assert done == [2]
    workers.end()


def test_workers_that_end_cannot_be_asked_any_more() -> None:
    workers = Workers(2)
    workers.end()
    assert not workers.idle.has_idle
    seen: set[tuple[int, int]] = set()
    workers.idle.share(lambda thread, threads: seen.add((thread, threads)), 3)
    assert seen == {(0, 1)}
