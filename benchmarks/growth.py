"""Growth of the training time with samples, features, latent dim, runs and epochs.

    python -m benchmarks.growth [--repeats 5] [--json FILE]

One of the five is doubled three times, the others stay: 2000 samples of 128 features, latent
dim 16, hidden 64, batches of 32, 8 runs, 8 epochs. Time is that of all epochs of all runs, the
first epoch and the compilation left out. Its exponent is the slope of a straight line through
the logarithms, by least squares: 1 means in proportion, 0 not at all. The order turns from
repeat to repeat; medians and ranges over the repeats.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.cases import write_random
from benchmarks.machine import machine
from benchmarks.peers import OURS
from benchmarks.peers.task import Task
from benchmarks.spent import in_turns, median_and_range
from benchmarks.turns import PeerProcess, peer_processes
from rich.console import Console
from rich.table import Table

_MOST_SAMPLES = 8000
_WIDTH = 110  # of the table, at least


@dataclass(frozen=True)
class Size:
    """Size of a training.

    Attributes:
        samples: Training samples.
        features: Values per sample.
        latent_dim: Dimension of the code.
        runs: Runs of one population.
        epochs: Epochs of each that are timed.
    """

    samples: int = 2000
    features: int = 128
    latent_dim: int = 16
    runs: int = 8
    epochs: int = 8

    def task(self, folder: Path) -> Task:
        """The task of this size; its data are in a folder of their own a number of features."""
        return Task(
            folder=str(folder / str(self.features)),
            samples=self.samples,
            latent_dim=self.latent_dim,
            hidden=(64,),
            batch_size=32,
            stddev=0.0,
            runs=self.runs,
            epochs=self.epochs,
        )


VALUES = {
    "samples": (1000, 2000, 4000, _MOST_SAMPLES),
    "features": (64, 128, 256, 512),
    "latent_dim": (8, 16, 32, 64),
    "runs": (4, 8, 16, 32),
    "epochs": (4, 8, 16, 32),
}


def sizes(factor: str) -> list[Size]:
    """The sizes at each value of a factor."""
    return [replace(Size(), **{factor: value}) for value in VALUES[factor]]


def exponent(values: Sequence[float], seconds: Sequence[float]) -> float:
    """The exponent of the power of the values that fits the times best, in logarithms."""
    slope, _ = np.polyfit(np.log(values), np.log(seconds), 1)
    return float(slope)


def measure(process: PeerProcess, folder: Path, repeats: int) -> dict[Size, list[float]]:
    """Seconds of training at each size, by repeat."""
    every = list(dict.fromkeys(size for factor in VALUES for size in sizes(factor)))
    for features in {size.features for size in every}:
        write_random(folder / str(features), _MOST_SAMPLES, features)

    def seconds(size: Size) -> float:
        return process.turn(str(size)).epoch * size.runs * size.epochs

    for size in every:
        process.start(str(size), size.task(folder))
        seconds(size)
    times = in_turns({str(size): partial(seconds, size) for size in every}, repeats)
    return {size: times[str(size)] for size in every}


def exponents(times: Mapping[Size, Sequence[float]], factor: str) -> list[float]:
    """The exponent of a factor in each repeat."""
    rounds = zip(*(times[size] for size in sizes(factor)), strict=True)
    return [exponent(VALUES[factor], seconds) for seconds in rounds]


def growth_table(times: Mapping[Size, Sequence[float]]) -> Table:
    """A row per factor: its values, the median times there, and the exponent."""
    table = Table(title="seconds of training, and the exponent with which they grow")
    for column in ("", "values", "seconds", "exponent"):
        table.add_column(column)
    for factor, values in VALUES.items():
        medians = [float(np.median(times[size])) for size in sizes(factor)]
        table.add_row(
            factor.replace("_", " "),
            ", ".join(map(str, values)),
            ", ".join(f"{median:.3g}" for median in medians),
            median_and_range(exponents(times, factor)),
        )
    return table


def as_json(times: Mapping[Size, Sequence[float]]) -> dict[str, Any]:
    """The figures as plain values."""
    return {
        "machine": machine(),
        "exponents": {factor: exponents(times, factor) for factor in VALUES},
        "measured": [{**asdict(size), "seconds": seconds} for size, seconds in times.items()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="all numbers")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, peer_processes([OURS]) as processes:
        times = measure(processes[OURS], Path(folder), arguments.repeats)
    Console(width=max(Console().width, _WIDTH)).print(growth_table(times))
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(times), indent=2) + "\n")


if __name__ == "__main__":
    main()
