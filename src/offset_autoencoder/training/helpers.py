"""Workers with no run of their own lend a hand to a run that several threads can train."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

Piece = Callable[[int, int], None]


@dataclass(frozen=True)
class _Asked:
    """What a worker that waits was asked to do, and who waits for it to be done."""

    piece: Callable[[], None]
    done: Future[None]

    def do(self) -> BaseException | None:
        """Do it; an error goes to the one that asked."""
        try:
            self.piece()
        except BaseException as error:
            return error
        return None


@dataclass
class _Idle:
    """A worker that waits."""

    asked: _Asked | None = None


@dataclass
class Helpers:
    """The workers that wait.

    Attributes:
        change: Held while the others are looked at; told when one of them changes.
        working: How many workers still have runs; when none has, those that wait go home.
    """

    change: threading.Condition
    working: int = 0
    _idle: list[_Idle] = field(default_factory=list)

    @property
    def someone_waits(self) -> bool:
        """Whether there is anybody to ask, just now."""
        return bool(self._idle)

    def wait(self, is_over: Callable[[], bool]) -> None:
        """Help whoever asks, until nobody has a run any more or all is over.

        A worker that was asked does what it was asked for, whatever ends meanwhile: others wait
        for it.
        """
        mine = _Idle()
        with self.change:
            self._idle.append(mine)
        while True:
            with self.change:
                self.change.wait_for(lambda: mine.asked or not self.working or is_over())
                asked, mine.asked = mine.asked, None
                if asked is None:
                    self._idle.remove(mine)
                    return
            error = asked.do()
            # It can be asked again before anybody hears that it is done: whoever asked it has
            # more to do at once.
            with self.change:
                self._idle.append(mine)
            if error is None:
                asked.done.set_result(None)
            else:
                asked.done.set_exception(error)

    def leave(self) -> None:
        """A worker has no run any more."""
        with self.change:
            self.working -= 1
            self.change.notify_all()

    def together(self, piece: Piece, most: int) -> None:
        """Do a piece of work with as many of those that wait as there are.

        Args:
            piece: Called with the number of a thread and how many there are, by each of them.
            most: How many threads may share it.

        Raises:
            Exception: what ``piece`` raises; where several do, the first thread's.
        """
        with self.change:
            helping = [self._idle.pop() for _ in range(min(most - 1, len(self._idle)))]
            threads = 1 + len(helping)
            done = [Future[None]() for _ in helping]
            for thread, one in enumerate(helping, start=1):
                one.asked = _Asked(partial(piece, thread, threads), done[thread - 1])
            if helping:
                self.change.notify_all()
        try:
            piece(0, threads)
        finally:
            errors = [future.exception() for future in done]
        for error in errors:
            if error is not None:
                raise error
