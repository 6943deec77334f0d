"""Growth of the stages and of their files with the number of runs.

    python -m benchmarks.scale [--seeds 10 100] [--epochs 3] [--one-split] [--json FILE]

The default experiment, 27 settings, with so many seeds and a few epochs each, in a temporary clone
of what is committed: 270 and 2,700 runs, and with ``--seeds 10 100 1000`` 27,000. Each stage is
run by ``dvc repro --single-item``: its time is with DVC's own work, its memory that of the largest
process. ``worst_case`` takes one step of its ascent. By default each seed has a split of its own,
and offsets are fitted on each; ``--one-split`` has one for all. Then follow ``dvc repro`` with
nothing to do, and the sizes of what was made. An exponent is the slope of the logarithms from one
size to the next: 1 is in proportion, less says that there is a fixed part.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.clone import change_params, clone_project, environment
from benchmarks.growth import exponent
from benchmarks.machine import machine
from benchmarks.spent import run
from rich.console import Console
from rich.table import Table

from offset_autoencoder.config import load_params

STAGES = ("prepare", "offset_code", "offsets", "train", "evaluate", "publish")
FILES = {
    "data": "data",
    "models": "models",
    "run store": ".runs",
    "runs.csv": "reports/runs.csv",
    "index.html": "reports/index.html",
    "mlflow.db": "mlflow.db",
    "mlartifacts": "mlartifacts",
}
_MB = 1e6
Figures = dict[str, float]


def measure(folder: Path, seeds: int, epochs: int, one_split: bool) -> Figures:
    """Seconds, processor seconds and memory (MB) of each stage, sizes (MB) and numbers of files."""
    project = clone_project(folder)
    changes = {"seeds": seeds, "train.epochs": epochs, "offsets.reference.epochs": epochs}
    changes |= {"offsets.worst_case.epochs": epochs, "offsets.worst_case.steps": 1}
    change_params(project, changes | ({"split.vary": False} if one_split else {}))
    figures: Figures = {"runs": len(load_params(project / "params.yaml").runs)}
    for stage in (*STAGES, "nothing to do"):
        target = ["--single-item", stage] if stage in STAGES else []
        spent = run(["dvc", "repro", *target], project, environment())
        figures |= {f"{stage}, s": spent.wall, f"{stage}, CPU s": spent.cpu}
        figures[f"{stage}, MB"] = spent.memory / _MB
    return figures | dict(_sizes(project))


def _sizes(project: Path) -> Iterator[tuple[str, float]]:
    for name, path in FILES.items():
        top = project / path
        files = [path for path in (top.rglob("*") if top.is_dir() else [top]) if path.is_file()]
        yield f"{name}, MB", sum(path.stat().st_size for path in files) / _MB
        if top.is_dir():
            yield f"{name}, files", len(files)


def exponents(figures: Sequence[Figures], name: str) -> list[float]:
    """Exponent with which a figure grows with the runs, from each size to the next."""
    return [
        exponent([few["runs"], many["runs"]], [few[name], many[name]]) if few[name] else 0.0
        for few, many in itertools.pairwise(figures)
    ]


def scale_table(figures: Sequence[Figures]) -> Table:
    """A row per figure: its value at each number of runs, and the exponents."""
    table = Table(title="growth with the number of runs")
    table.add_column("")
    for of_size in figures:
        table.add_column(f"{of_size['runs']:,.0f} runs", justify="right")
    table.add_column("exponents", justify="right")
    for name in figures[0]:
        if name != "runs":
            values = (f"{of_size[name]:,.4g}" for of_size in figures)
            slopes = ", ".join(f"{slope:.2f}" for slope in exponents(figures, name))
            table.add_row(name, *values, slopes)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 100], help="sizes, in order")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--one-split", action="store_true", help="one split for all seeds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all numbers")
    arguments = parser.parse_args()
    figures: list[Figures] = []
    for seeds in arguments.seeds:
        with tempfile.TemporaryDirectory() as temporary:
            project = Path(temporary) / "project"
            figures.append(measure(project, seeds, arguments.epochs, arguments.one_split))
        Console().print(scale_table(figures))
        if arguments.json:
            document: Mapping[str, object] = {"machine": machine(), "measured": figures}
            arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
