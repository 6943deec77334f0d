"""Figures of the training benchmark, and their table."""

import io
from pathlib import Path

import pytest
from benchmarks.cases import digits_blocks, mnist_blocks
from benchmarks.peers import FLOOR, OURS, PEERS
from benchmarks.peers.task import Outcome
from benchmarks.training import Entry, entries, summarize
from benchmarks.training_table import Measured, ratios, training_table
from benchmarks.turns import PeerFailed
from rich.console import Console


def measured(peer: str, seconds: list[float], note: str = "") -> Measured:
    return Measured("digits", 60, peer, seconds, 1.0 if seconds else None, None, note)


def test_ratios_are_taken_within_repeats() -> None:
    assert ratios(measured("keras_fit", [2.0, 30.0]), measured(OURS, [1.0, 10.0])) == [2.0, 3.0]


def test_the_table_has_ratios_failures_and_what_is_left_out() -> None:
    rows = [
        measured("keras_fit", [0.2, 0.4, 0.3]),
        measured("jax_scan", [], "out of memory"),
        measured(OURS, [0.02, 0.02, 0.02]),
        measured(FLOOR, [0.01, 0.01, 0.01], "NumPy"),
    ]
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(training_table(rows, {"PyTorch": "torch is not installed"}, 3))
    lines = console.export_text().splitlines()
    of = {
        row.peer: next(line for line in lines if line.strip().startswith(PEERS[row.peer].title))
        for row in rows
    }
    assert "300 (200–400)" in of["keras_fit"]
    assert "15 (10–20)" in of["keras_fit"]
    assert "30 (20–40)" in of["keras_fit"]
    assert "2 (2–2)" in of[OURS]
    assert "JAX: out of memory" in of["jax_scan"]
    assert any("PyTorch is left out: torch is not installed" in line for line in lines)


def test_a_peer_that_trains_run_after_run_is_timed_once_for_all_numbers_of_runs() -> None:
    block = next(iter(digits_blocks(Path("nowhere"), [1, 60])))
    every = [entry for group in entries(block, PEERS) for entry in group]
    assert len(every) == len(set(every))
    assert sum(entry.peer == "keras_fit" for entry in every) == 1
    assert {entry.runs for entry in every if entry.peer == OURS} == {1, 60}


def test_fewer_samples_are_made_up_for() -> None:
    for block in mnist_blocks(Path("nowhere"), [1, 10, 60]):
        for runs, task in block.tasks.items():
            assert task.samples * block.scale(runs) == pytest.approx(60_000)


def test_figures_leave_out_the_warm_up_and_are_of_a_whole_epoch() -> None:
    block = next(iter(mnist_blocks(Path("nowhere"), [10, 60])))
    ours, keras, broken = Entry(OURS, 60), Entry("keras_fit", None), Entry("jax_scan", 10)
    turns: list[tuple[Entry, Outcome | PeerFailed]] = [
        (ours, Outcome(9.0, 7.0, 0.25)),
        (keras, Outcome(8.0, 6.0, 0.5)),
        (broken, PeerFailed("out of memory")),
        (ours, Outcome(1.0, 2.0, 0.1)),
        (keras, Outcome(1.0, 3.0, 0.1)),
    ]
    found = {(row.peer, row.runs): row for row in summarize(block, turns)}
    assert found[OURS, 60].seconds == [5 * 2.0]  # a fifth of the samples
    assert (found[OURS, 60].first_epoch, found[OURS, 60].first_loss) == (9.0, 0.25)
    assert found["keras_fit", 10].seconds == found["keras_fit", 60].seconds == [3.0]
    assert (found["jax_scan", 10].seconds, found["jax_scan", 10].note) == ([], "out of memory")
    assert set(found) == {(OURS, 60), ("keras_fit", 10), ("keras_fit", 60), ("jax_scan", 10)}
