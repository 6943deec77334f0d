"""Epoch time per run: this project beside Keras, PyTorch, JAX and the bare matrix products.

    python -m benchmarks.training [--only digits|mnist] [--runs 1 10] [--peers keras_fit ...]
                                  [--repeats 5] [--mnist FILE.npz] [--json FILE]

Every peer trains the same network on the same samples: binary cross-entropy by its own
library, Adam, a new order of the samples and a validation pass over 360 samples each epoch.
Each is a process of its own; one is at work at a time, and the order turns from repeat to
repeat. Compilation and the first epoch are not in the epoch time; the column `first epoch` has
them. Ratios are taken within each repeat; the table has medians and ranges.

Peers that train run after run are timed on one run. With 60 runs of MNIST's shape, 12,000 of
the samples make an epoch, and its time is multiplied by five. The validation losses
after one epoch show that all train the same.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import (
    DIGITS,
    MNIST,
    Block,
    digits_blocks,
    mnist_blocks,
    write_digits,
    write_mnist,
)
from benchmarks.machine import machine
from benchmarks.peers import OURS, PEERS
from benchmarks.peers.task import Outcome
from benchmarks.training_table import Measured, training_table
from benchmarks.turns import PeerFailed, PeerProcess, peer_processes, rotated
from rich.console import Console

_WIDTH = 140  # of the table, at least: its figures are not to be broken up
_RUNS = {DIGITS: [1, 10, 60, 300], MNIST: [1, 10, 60]}


@dataclass(frozen=True)
class Entry:
    """One figure of a block: a peer, and for how many runs at a time.

    Attributes:
        peer: Its name.
        runs: Runs side by side; None for a peer that trains run after run.
    """

    peer: str
    runs: int | None

    @property
    def key(self) -> str:
        return f"{self.runs}"


def entries(block: Block, peers: Iterable[str]) -> list[list[Entry]]:
    """Figures to measure, in groups whose members take turns next to each other."""
    peers = list(peers)
    after_run = [Entry(name, None) for name in peers if PEERS[name].run_after_run]
    side_by_side = [name for name in peers if not PEERS[name].run_after_run]
    groups = [[Entry(name, runs) for name in side_by_side] for runs in block.tasks]
    groups[0] = after_run + groups[0]
    return groups


def measure(
    block: Block, processes: dict[str, PeerProcess], repeats: int, console: Console
) -> Iterator[tuple[Entry, Outcome | PeerFailed]]:
    """Measure the peers of a block in turns: what each turn came to, the first to warm up."""
    groups = entries(block, processes)
    failed = set()
    for entry in (entry for group in groups for entry in group):
        console.log(f"{block.title}: {PEERS[entry.peer].title}, {entry.runs or 'run after run'}")
        task = block.alone if entry.runs is None else block.tasks[entry.runs]
        try:
            processes[entry.peer].start(entry.key, task)
            yield entry, processes[entry.peer].turn(entry.key)
        except PeerFailed as failure:
            failed.add(entry)
            yield entry, failure
    for repeat in range(repeats):
        console.log(f"{block.title}: repeat {repeat + 1} of {repeats}")
        for entry in (entry for group in groups for entry in rotated(group, repeat)):
            if entry in failed:
                continue
            try:
                yield entry, processes[entry.peer].turn(entry.key)
            except PeerFailed as failure:
                failed.add(entry)
                yield entry, failure
    for entry in (entry for group in groups for entry in group):
        if entry not in failed:
            processes[entry.peer].forget(entry.key)


def summarize(block: Block, turns: Sequence[tuple[Entry, Outcome | PeerFailed]]) -> list[Measured]:
    """The figures of a block, finished or not: a row for each number of runs and peer."""
    return [
        _row(block, runs, entry, [outcome for other, outcome in turns if other == entry])
        for runs in block.tasks
        for entry in dict.fromkeys(entry for entry, _ in turns)
        if entry.runs in (None, runs)
    ]


def _row(block: Block, runs: int, entry: Entry, turns: Sequence[Outcome | PeerFailed]) -> Measured:
    outcomes = [turn for turn in turns if isinstance(turn, Outcome)]
    failures = [str(turn) for turn in turns if isinstance(turn, PeerFailed)]
    scale = 1.0 if entry.runs is None else block.scale(runs)
    return Measured(
        case=block.title,
        runs=runs,
        peer=entry.peer,
        # The first turn warmed up; its first epoch is the one that counts.
        seconds=[scale * outcome.epoch for outcome in outcomes[1:]],
        first_epoch=outcomes[0].first_epoch if outcomes else None,
        first_loss=outcomes[0].first_loss if outcomes else None,
        note="".join(failures) or (outcomes[-1].note if outcomes else ""),
    )


def blocks(
    folder: Path, only: str | None, runs: list[int] | None, mnist: Path | None
) -> Iterator[Block]:
    """Blocks to measure; the data are written to the folder as they are needed."""
    if only in (None, DIGITS):
        write_digits(folder / DIGITS)
        yield from digits_blocks(folder / DIGITS, runs or _RUNS[DIGITS])
    if only in (None, MNIST):
        write_mnist(folder / MNIST, mnist)
        yield from mnist_blocks(folder / MNIST, runs or _RUNS[MNIST])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=[DIGITS, MNIST], help="one data set (default: both)")
    parser.add_argument("--runs", type=int, nargs="+", metavar="N", help="runs side by side")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="PEER")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--mnist", type=Path, metavar="FILE", help="npz; else random images")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all numbers")
    arguments = parser.parse_args()
    if arguments.mnist and not arguments.mnist.is_file():
        parser.error(f"--mnist: {arguments.mnist} is no file")
    console = Console(stderr=True)
    selected = [PEERS[name] for name in PEERS if name in {OURS, *arguments.peers}]
    skipped = {peer.title: missing for peer in selected if (missing := peer.missing)}
    present = [peer.name for peer in selected if peer.title not in skipped]
    measured: list[Measured] = []
    with tempfile.TemporaryDirectory() as temporary, peer_processes(present) as processes:
        try:
            for block in blocks(Path(temporary), arguments.only, arguments.runs, arguments.mnist):
                turns: list[tuple[Entry, Outcome | PeerFailed]] = []
                try:
                    for turn in measure(block, processes, arguments.repeats, console):
                        turns.append(turn)
                finally:
                    measured += summarize(block, turns)
        except KeyboardInterrupt:
            console.log("interrupted: the table has what was measured before")
    output = Console(width=max(Console().width, _WIDTH))
    output.print(training_table(measured, skipped, arguments.repeats))
    if arguments.json:
        document = {
            "machine": machine(),
            "skipped": skipped,
            "measured": [row.to_json() for row in measured],
        }
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
