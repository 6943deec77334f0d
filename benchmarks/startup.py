"""Cost of a stage with nothing to do, and the share of each import.

    python -m benchmarks.startup [--seeds 10] [--epochs 5] [--project FOLDER] [--json FILE]

The default experiment with few epochs is finished in a temporary clone of what is committed.
Each stage is then run there as dvc.yaml runs it, with everything it makes already made:
``train`` finds all its runs, ``publish`` finds the store in line. ``dvc repro`` with nothing to
do is run beside one whose commands do nothing, with the same stages and files: DVC's own time.
Wall and CPU seconds, medians and ranges; the order of the commands turns from round to round.

A table follows of the packages that each stage imports, dearest first, by the time that their own
modules take, from ``python -X importtime``. The project holds back what is written to
stderr while TensorFlow is imported, and so what is told of it: TensorFlow stands on its own.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.clone import change_params, clone_project, environment, idle_copy
from benchmarks.machine import machine
from benchmarks.spent import Spent, in_turns, median_and_range, run
from rich.console import Console
from rich.table import Table

STAGES = {
    "prepare": ["prepare"],
    "offsets pca": ["offsets", "pca"],
    "train": ["train"],
    "evaluate": ["evaluate"],
    "publish": ["publish"],
}
REPRO, FLOOR, STATUS = "dvc repro", "dvc repro, empty commands", "dvc status"
_DEAREST = 10
_IMPORT_REPEATS = 3
_IMPORTED = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+([^\s.]+)")


@dataclass(frozen=True)
class Figures:
    """Figures of the benchmark.

    Attributes:
        runs: How many runs the project has.
        spent: By command, what each repeat of it spent.
        imports: By stage, seconds of every package's own modules, dearest first.
    """

    runs: int
    spent: Mapping[str, Sequence[Spent]]
    imports: Mapping[str, Mapping[str, float]]

    @property
    def beyond_dvc(self) -> float:
        """Wall seconds of ``dvc repro`` with nothing to do beyond DVC's own, of the medians."""
        wall = {
            name: statistics.median(spent.wall for spent in self.spent[name])
            for name in (REPRO, FLOOR)
        }
        return wall[REPRO] - wall[FLOOR]


def finish(folder: Path, seeds: int, epochs: int) -> Path:
    """The default experiment with few epochs, run to its end in a clone."""
    project = clone_project(folder)
    change_params(project, {"seeds": seeds, "train.epochs": epochs})
    run(["dvc", "repro"], project, environment())
    return project


def measure(project: Path, repeats: int) -> Figures:
    """Measure a finished project."""
    inside = {**environment(), "PYTHONPATH": "src"}
    stages = {
        name: partial(run, [sys.executable, *_module(words)], project, inside)
        for name, words in STAGES.items()
    }
    spent = in_turns(stages, repeats)
    imports = {name: imports_of(_module(words), project, inside) for name, words in STAGES.items()}
    imports["TensorFlow"] = imports_of(["-c", "import keras"], project, inside)
    with tempfile.TemporaryDirectory() as temporary:
        idle = idle_copy(project, Path(temporary) / "idle")
        commands = {
            STATUS: partial(run, ["dvc", "status"], project, environment()),
            REPRO: partial(run, ["dvc", "repro"], project, environment()),
            FLOOR: partial(run, ["dvc", "repro"], idle, environment()),
        }
        in_turns(commands, 1)  # DVC digests once more what the stages have written anew
        spent |= in_turns(commands, repeats)
    runs = len((project / "models" / "index.csv").read_text().splitlines()) - 1
    return Figures(runs, spent, imports)


def imports_of(program: Sequence[str], folder: Path, inside: Mapping[str, str]) -> dict[str, float]:
    """Seconds that a program's imports take, by package and dearest first: medians."""
    command = [sys.executable, "-X", "importtime", *program]
    repeats = [by_package(run(command, folder, inside).errors) for _ in range(_IMPORT_REPEATS)]
    medians = {name: statistics.median(seconds[name] for seconds in repeats) for name in repeats[0]}
    return dict(sorted(medians.items(), key=lambda item: -item[1]))


def by_package(importtime: str) -> dict[str, float]:
    """Seconds by top-level package, from the output of ``-X importtime``."""
    seconds: dict[str, float] = defaultdict(float)
    for microseconds, package in _IMPORTED.findall(importtime):
        name = package if package not in sys.stdlib_module_names else "standard library"
        seconds[name] += int(microseconds) * 1e-6
    return seconds


def _module(words: Sequence[str]) -> list[str]:
    return ["-m", f"offset_autoencoder.stages.{words[0]}", *words[1:]]


def print_figures(console: Console, figures: Figures) -> None:
    """Two tables: what commands spend, what imports spend."""
    table = Table(title=f"nothing to do, {figures.runs} runs; seconds, median (range)")
    for heading in ("command", "wall", "CPU"):
        table.add_column(heading, justify="left" if heading == "command" else "right")
    for name, repeats in figures.spent.items():
        wall, cpu = [spent.wall for spent in repeats], [spent.cpu for spent in repeats]
        table.add_row(name, median_and_range(wall), median_and_range(cpu))
    console.print(table)
    console.print(f"dvc repro beyond DVC's own time: {figures.beyond_dvc:.2f} s")
    table = Table(title=f"seconds of imports: all, and the {_DEAREST} dearest packages")
    for heading in ("stage", "all", "packages"):
        table.add_column(heading)
    for name, seconds in figures.imports.items():
        dearest = [f"{package} {value:.3f}" for package, value in seconds.items()][:_DEAREST]
        table.add_row(name, f"{sum(seconds.values()):.3f}", ", ".join(dearest))
    console.print(table)


def as_json(figures: Figures) -> dict[str, Any]:
    """The figures as plain values."""
    spent = {
        name: [{"wall": spent.wall, "cpu": spent.cpu} for spent in repeats]
        for name, repeats in figures.spent.items()
    }
    imports = {name: dict(seconds) for name, seconds in figures.imports.items()}
    beyond = figures.beyond_dvc
    return {
        "machine": machine(),
        "runs": figures.runs,
        "spent": spent,
        "imports": imports,
        "beyond_dvc": beyond,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--project", type=Path, help="a finished project, instead of a clone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all numbers")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        project = arguments.project or finish(
            Path(temporary) / "project", arguments.seeds, arguments.epochs
        )
        figures = measure(project.resolve(), arguments.repeats)
    print_figures(Console(), figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(figures), indent=2) + "\n")


if __name__ == "__main__":
    main()
