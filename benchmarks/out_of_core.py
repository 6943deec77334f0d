"""Samples larger than the memory allowed: epoch time and memory, beside training from memory.

    python -m benchmarks.out_of_core [--samples 60000] [--runs 4] [--repeats 5] [--json FILE]

Runs of MNIST's shape train on a file of random images: all of it in memory, and mapped from
the file with a ``memory_limit`` of the file's size over 1, 4 and 16. Each is a process of its
own, the order turns from repeat to repeat. Memory is what the process holds at most while it
trains, beyond what it held before it saw a sample: its own pages and those of the file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from benchmarks.cases import write_random
from benchmarks.machine import machine
from benchmarks.spent import in_turns, median_and_range, run
from rich.console import Console
from rich.table import Table

FEATURES, LATENT_DIM, HIDDEN, BATCH, EPOCHS = 784, 32, 64, 128, 3
_MB = 1e6
_SECONDS_BETWEEN_LOOKS = 0.005
_ROOT = Path(__file__).parent.parent


def child(folder: Path, runs: int, limit: int | None) -> dict[str, float]:
    """Train, and tell the seconds an epoch and run and the bytes held beyond those at first."""
    import time

    from offset_autoencoder.config.schema import Network
    from offset_autoencoder.models.architecture import Architecture
    from offset_autoencoder.training.engine import Population
    from offset_autoencoder.training.pool import train_population
    from offset_autoencoder.training.state import Job

    network = Network(latent_dim=LATENT_DIM, hidden=[HIDDEN])
    population = Population(Architecture(network=network, input_dim=FEATURES), BATCH, "adam", limit)

    def jobs(samples: int, held_out: int, epochs: int) -> list[Job]:
        offset = np.zeros((samples, LATENT_DIM), np.float32)
        validation = np.zeros((held_out, LATENT_DIM), np.float32)
        return [
            Job(str(seed), seed, offset, validation, 0.0, 1e-3, epochs, None)
            for seed in range(runs)
        ]

    little = np.zeros((BATCH, FEATURES), np.float32)
    train_population(population, jobs(BATCH, BATCH, 1), little, little, lambda job, run: None)
    with _MemoryWatch() as watch:
        x, validation = (
            np.load(folder / f"{name}.npy", mmap_mode=None if limit is None else "r")
            for name in ("x", "validation")
        )
        ends: list[float] = []
        started = time.perf_counter()
        train_population(
            population,
            jobs(len(x), len(validation), EPOCHS),
            x,
            validation,
            lambda job, run: None,
            lambda trained: ends.append(time.perf_counter()),
        )
    return {"seconds": (ends[-1] - started) / (runs * EPOCHS), "bytes": watch.most}


class _MemoryWatch:
    """Looks again and again at how much memory the process holds more than at first."""

    def __enter__(self) -> _MemoryWatch:
        self.most, self._first, self._end = 0, _resident(), threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(_SECONDS_BETWEEN_LOOKS):
            self.most = max(self.most, _resident() - self._first)


def _resident() -> int:
    """Bytes of the process's own pages and of the files that it maps (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(folder: Path, runs: int, limit: int | None) -> dict[str, float]:
    """:func:`child`, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.out_of_core", "--child", str(folder)]
    command += ["--runs", str(runs), "--limit", str(limit or 0)]
    spent = run(command, _ROOT, os.environ)
    found: dict[str, float] = json.loads(spent.output.splitlines()[-1])
    return found


def table_of(found: Mapping[str, Sequence[Mapping[str, float]]], size: int) -> Table:
    """A row a case; ratios are taken within each repeat."""
    table = Table(title=f"{size / _MB:.0f} MB of samples, hidden {HIDDEN}: median (range)")
    for column in ("memory allowed", "epoch a run, ms", "of in memory", "held, MB"):
        table.add_column(column, justify="left" if column == "memory allowed" else "right")
    whole = next(iter(found.values()))
    for name, results in found.items():
        ratios = [one["seconds"] / of["seconds"] for one, of in zip(results, whole, strict=True)]
        table.add_row(
            name,
            median_and_range([1000 * one["seconds"] for one in results]),
            median_and_range(ratios),
            median_and_range([one["bytes"] / _MB for one in results]),
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(child(arguments.child, arguments.runs, arguments.limit or None)))
        return
    size = arguments.samples * FEATURES * 4
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "random"
        write_random(folder, arguments.samples, FEATURES)
        limits = {"all, in memory": None} | {
            f"1/{part}: {size / part / _MB:.0f} MB": (size - 1) // part for part in (1, 4, 16)
        }
        cases = {
            title: partial(measure, folder, arguments.runs, limit)
            for title, limit in limits.items()
        }
        found = in_turns(cases, arguments.repeats)
    Console().print(table_of(found, size))
    if arguments.json:
        medians = {
            title: statistics.median(one["seconds"] for one in results)
            for title, results in found.items()
        }
        report = {"machine": machine(), "found": found, "medians": medians}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
