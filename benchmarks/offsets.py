"""Rows per second of applying each kind of offset, beside the bare product it contains.

    python -m benchmarks.offsets [--rows 1000000] [--features 784] [--latent-dim 32]
                                 [--kinds pca hash ...] [--repeats 5] [--json FILE]

Random float32 samples lie in memory; each kind is fitted on the first 4,096 of them and applied in
a process of its own, in turns with the matrix product that it contains: ``x @ matrix`` in
float32, as one would write it, and the same in float64 with the data converted beforehand. Shares
are of the medians: how many of the product's rows per second the kind reaches. The encoder's
product is that of its first layer, the largest. ``adversarial`` searches sample by sample and is
given a fiftieth of the rows.

Memory is what applying takes beyond the data at its peak, the vectors it returns included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from benchmarks.apply_offset import CLASSES, FITTED_ON, Applied
from benchmarks.clone import ROOT
from benchmarks.machine import machine
from rich.console import Console
from rich.table import Table

KINDS = (
    *("zero", "random_projection", "pca", "kmeans", "encoder"),
    *("class_code", "interference", "hash", "adversarial"),
)
_FEWER = {"adversarial": 50}
_BLOCK = 2**16


@dataclass(frozen=True)
class Measured:
    """Figures of a kind.

    Attributes:
        rows: How many samples.
        applied: Seconds and memory.
    """

    rows: int
    applied: Applied

    def rate(self, seconds: Sequence[float] | None) -> float | None:
        """Rows per second, of the median."""
        return None if seconds is None else self.rows / statistics.median(seconds)

    def share(self, product: Sequence[float] | None) -> float | None:
        """Share of a product's rows per second that it reaches."""
        if product is None:
            return None
        return statistics.median(product) / statistics.median(self.applied.apply)


def write_data(folder: Path, rows: int, features: int) -> None:
    """Random samples and labels."""
    rng = np.random.default_rng(0)
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (rows, features))
    for start in range(0, rows, _BLOCK):
        block = x[start : start + _BLOCK]
        block[:] = rng.random(block.shape, dtype=np.float32)
    np.save(folder / "y.npy", rng.integers(CLASSES, size=rows))


def measure(kind: str, folder: Path, rows: int, latent_dim: int, repeats: int) -> Measured:
    """Fit a kind, then apply it in another process."""
    rows //= _FEWER.get(kind, 1)
    _child("fit", kind, folder, latent_dim)
    return Measured(rows, Applied(**json.loads(_child("time", kind, folder, rows, repeats))))


def _child(task: str, kind: str, folder: Path, *numbers: int) -> str:
    command = [sys.executable, "-m", "benchmarks.apply_offset", task, kind, str(folder)]
    done = subprocess.run(
        [*command, *map(str, numbers)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def print_figures(console: Console, title: str, figures: Mapping[str, Measured]) -> None:
    """The table."""
    table = Table(title=title)
    headings = ("kind", "rows/s", "x @ matrix", "share", "of float64", "peak, MB")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "kind" else "right")
    for kind, measured in figures.items():
        applied = measured.applied
        table.add_row(
            kind if kind not in _FEWER else f"{kind} ({measured.rows} rows)",
            _short(measured.rate(applied.apply)),
            _short(measured.rate(applied.product)),
            _percent(measured.share(applied.product)),
            _percent(measured.share(applied.product64)),
            f"{applied.peak / 1e6:.0f}",
        )
    console.print(table)


def _short(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.3g}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=784)
    parser.add_argument("--latent-dim", type=int, default=32)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="all numbers")
    arguments = parser.parse_args()
    rows = max(arguments.rows, FITTED_ON)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_data(folder, rows, arguments.features)
        figures = {
            kind: measure(kind, folder, rows, arguments.latent_dim, arguments.repeats)
            for kind in arguments.kinds
        }
    shape = f"{rows} × {arguments.features}, latent dim {arguments.latent_dim}"
    print_figures(Console(), f"offsets applied, {shape}", figures)
    if arguments.json:
        kinds = {
            kind: {"rows": measured.rows, **asdict(measured.applied)}
            for kind, measured in figures.items()
        }
        report = {"machine": machine(), "shape": shape, "kinds": kinds}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
