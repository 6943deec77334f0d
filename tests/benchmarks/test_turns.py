"""Peers in processes of their own: requests, answers, failures, and whose turn it is."""

import io
import json
import tempfile
from pathlib import Path

import pytest
from benchmarks.peers import PEERS, worker
from benchmarks.peers.task import Outcome, Task, Turn
from benchmarks.turns import PeerFailed, PeerProcess, rotated

TASK = Task("nowhere", 100, 4, (8, 6), 10, 0.1, 2, 3)


def test_a_worker_starts_takes_turns_and_tells_of_errors() -> None:
    def start(task: Task) -> Turn:
        assert task == TASK
        return lambda: Outcome(1.5, 0.25, None, "a way")

    requests = [{"key": "a", "task": TASK.to_json()}, {"key": "a"}, {"key": "b"}, {"key": "a"}]
    answers = io.StringIO()
    worker.serve(start, io.StringIO("\n".join(map(json.dumps, requests))), answers)
    started, turn, unknown, again = map(json.loads, answers.getvalue().splitlines())
    assert started == {}
    assert Outcome(**turn) == Outcome(**again) == Outcome(1.5, 0.25, None, "a way")
    assert "KeyError" in unknown["error"]


def test_a_peer_that_cannot_start_says_why() -> None:
    with tempfile.TemporaryFile("w+") as errors:
        process = PeerProcess("no_such_peer", errors)
        with pytest.raises(PeerFailed, match="no_such_peer"):
            process.start("a", TASK)
        process.close()


def test_everyone_is_first_and_last_equally_often() -> None:
    rounds = [rotated("abc", repeat) for repeat in range(6)]
    for place in range(3):
        assert sorted(order[place] for order in rounds) == list("aabbcc")


def test_every_peer_has_a_file_of_its_own() -> None:
    folder = Path(worker.__file__).parent
    others = {"__init__", "clock", "task", "worker"}
    assert {path.stem for path in folder.glob("*.py")} - others == set(PEERS)
