from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable

import pytest

from offset_autoencoder.reporting import terminal as module
from offset_autoencoder.reporting.terminal import progress

Begin = Callable[[], Callable[[], str]]


class Clock:
    """Seconds that pass when they are told to."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Callable[[], str]]:
    """Called, it makes standard error a terminal and tells what stands on it."""

    def begin() -> Callable[[], str]:
        stream = Terminal()
        monkeypatch.setattr("sys.stderr", stream)
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm")
        return lambda: re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()).rstrip()

    return begin


def test_no_terminal_gets_a_line_now_and_then(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("training runs", 8, 80.0) as report:
        for second in range(1, 41):
            clock.now += 1
            report(float(second), second // 10)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "training runs: 1 of 8, about 1 min 05 s left",
        "training runs: 3 of 8, about 50 s left",
    ]


def test_short_work_says_nothing_in_a_file(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("training runs", 8, 80.0) as report:
        clock.now += 14.9
        report(80.0, 8)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("work_done", "left"),
    [
        (0.5, "time left unknown"),
        (1.5, "about 2 h 44 min left"),
        (50.5, "about 1 min 39 s left"),
        (99.0, "about 1 s left"),
        (100.0, "about 0 s left"),
        (130.0, "about 0 s left"),  # runs that stopped early may spare more than was counted
    ],
)
def test_time_left_is_told_from_the_work_since_the_first_report(
    clock: Clock, capsys: pytest.CaptureFixture[str], work_done: float, left: str
) -> None:
    with progress("x", 2, 100.0) as report:
        report(0.0, 0)
        clock.now += 1000.0  # programs are compiled
        report(0.5, 0)
        clock.now += 100.0
        report(work_done, 1)
    before, line = capsys.readouterr().err.splitlines()
    assert (before, line) == ("x: 0 of 2, time left unknown", f"x: 1 of 2, {left}")


def test_a_terminal_gets_a_bar_that_ends_full(terminal: Begin, clock: Clock) -> None:
    shown = terminal()
    with progress("training runs", 16, 100.0) as report:
        for done in range(1, 17):
            clock.now += 1
            report(done * 100 / 16, done)
    assert "━" in shown()
    last = shown().splitlines()[-1].split()
    assert (last[:2], last[3:]) == (["training", "runs"], ["16/16"])


def test_an_error_passes_through_the_bar(terminal: Begin) -> None:
    shown = terminal()

    def fail() -> None:
        with progress("x", 2, 2.0) as report:
            report(1.0, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert "1/2" in shown()


def test_threads_may_report_at_once(terminal: Begin) -> None:
    shown = terminal()
    with progress("x", 200, 200.0) as report:
        threads = [
            threading.Thread(target=lambda k=k: [report(k + i, k + i) for i in range(50)])
            for k in (0, 50, 100)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        report(200.0, 200)
    assert shown().endswith("200/200")
