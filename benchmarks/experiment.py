"""The whole experiment: ``dvc repro`` from scratch beside one process per run.

    python -m benchmarks.experiment [--seeds N] [--epochs N] [--timed 3] [--json FILE]

``dvc repro`` runs once, in a temporary clone of what is committed, with the params that are
committed unless others are given: data, offsets, training, evaluation and publication, wall
seconds divided by the number of runs.

Beside it, what one would do without this project (:mod:`benchmarks.one_run`): a process per run
that imports TensorFlow, builds the same network, calls ``fit`` with the same epochs and early
stopping, and logs to MLflow's SQLite store, one process after the other with both cores its own.
Data and offsets are there already, the store is created beforehand, and what evaluate does is not
asked of it. Only a few are timed: of the additive runs, those whose number of epochs here was
nearest to the mean of all runs, each of another setting.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.clone import change_params, clone_project, environment
from benchmarks.machine import machine
from benchmarks.one_run import OneRun
from benchmarks.spent import Spent, median_and_range, run
from rich.console import Console
from rich.table import Table

from offset_autoencoder.config import Run, load_params
from offset_autoencoder.runs.files import read_saved_run
from offset_autoencoder.runs.store import read_index, runs_folder

_STAGE = "Running stage '"


@dataclass(frozen=True)
class Reproduced:
    """Time of ``dvc repro``.

    Attributes:
        wall: Seconds from its start to its end.
        stages: Of which in each stage, DVC's own work after it included.
        runs: How many runs it trained.
        epochs: How many epochs per run, the mean.
    """

    wall: float
    stages: Mapping[str, float]
    runs: int
    epochs: float


@dataclass(frozen=True)
class Timed:
    """A run in a process of its own.

    Attributes:
        label: Which run.
        epochs: How many epochs it trained.
        spent: What it took.
    """

    label: str
    epochs: int
    spent: Spent


def reproduce(project: Path) -> Reproduced:
    """``dvc repro`` of a fresh clone."""
    started = time.perf_counter()
    stages: dict[str, float] = {}
    stage, since = "start", started
    with subprocess.Popen(
        ["dvc", "repro"],
        cwd=project,
        env={**environment(), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        output = []
        for line in process.stdout:
            output.append(line)
            if line.startswith(_STAGE):
                now = time.perf_counter()
                stages[stage] = stages.get(stage, 0.0) + now - since
                stage, since = line.removeprefix(_STAGE).split("'")[0].partition("@")[0], now
    ended = time.perf_counter()
    if process.returncode:
        raise RuntimeError(f"dvc repro failed:\n{''.join(output[-20:])}")
    stages[stage] = ended - since
    epochs = [epochs for _, epochs in trained_epochs(project)]
    return Reproduced(ended - started, stages, len(epochs), statistics.mean(epochs))


def trained_epochs(project: Path) -> list[tuple[Run, int]]:
    """The runs, and how many epochs each was trained."""
    runs = load_params(project / "params.yaml").runs
    models = project / "models"
    ids = [row.id for row in read_index(models)]
    return [
        (trained, read_saved_run(runs_folder(models) / run_id).epochs)
        for trained, run_id in zip(runs, ids, strict=True)
    ]


def representative(trained: Sequence[tuple[Run, int]], count: int) -> list[Run]:
    """Additive runs with about as many epochs as the mean, each of another setting."""
    mean = statistics.mean(epochs for _, epochs in trained)
    nearest: dict[str, Run] = {}
    for candidate, _ in sorted(trained, key=lambda item: abs(item[1] - mean)):
        setting = candidate.setting
        is_dense = setting.spec.system == "additive" and setting.network.kind == "dense"
        if is_dense and setting.train.optimizer == "adam":
            nearest.setdefault(setting.label, candidate)
    return list(nearest.values())[:count]


def time_alone(trained: Run, project: Path, store: str) -> Timed:
    """One run in a process of its own."""
    setting = trained.setting
    arguments = OneRun(
        store=store,
        seed=trained.seed,
        offset=setting.spec.offset,
        rms=setting.spec.rms,
        stddev=setting.spec.stddev,
        latent_dim=setting.network.latent_dim,
        hidden=list(setting.network.hidden),
        epochs=setting.train.epochs,
        batch_size=setting.train.batch_size,
        learning_rate=setting.train.learning_rate,
        patience=setting.train.patience,
    )
    program = [sys.executable, str(Path(__file__).with_name("one_run.py"))]
    spent = run(
        [*program, json.dumps(asdict(arguments))], project, {**environment(), "PYTHONPATH": "src"}
    )
    return Timed(trained.label, int(spent.output), spent)


def create_store(folder: Path) -> str:
    """An empty MLflow store, its tables made."""
    uri = f"sqlite:///{folder / 'alone.db'}"
    program = "import mlflow, sys; mlflow.MlflowClient(sys.argv[1]).search_experiments()"
    run([sys.executable, "-c", program, uri], folder, environment())
    return uri


def print_figures(console: Console, ours: Reproduced, alone: Sequence[Timed]) -> None:
    """The table."""
    seconds = [timed.spent.wall for timed in alone]
    table = Table(title=f"seconds per run, {ours.runs} runs")
    for heading in ("way", "seconds per run", "epochs per run", "timed"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    table.add_row(
        "dvc repro", f"{ours.wall / ours.runs:.2f}", f"{ours.epochs:.0f}", f"{ours.runs} runs"
    )
    table.add_row(
        "one process per run",
        median_and_range(seconds),
        f"{statistics.mean(timed.epochs for timed in alone):.0f}",
        f"{len(alone)} runs: " + ", ".join(timed.label for timed in alone),
    )
    console.print(table)
    stages = ", ".join(f"{name} {took:.1f}" for name, took in ours.stages.items())
    console.print(f"dvc repro: {ours.wall:.1f} s ({stages})")
    console.print(f"ratio: {ratio(ours, alone):.1f}×; by epoch {ratio_by_epoch(ours, alone):.1f}×")


def ratio(ours: Reproduced, alone: Sequence[Timed]) -> float:
    """Seconds per run alone, the mean, by those of ``dvc repro``."""
    return statistics.mean(timed.spent.wall for timed in alone) * ours.runs / ours.wall


def ratio_by_epoch(ours: Reproduced, alone: Sequence[Timed]) -> float:
    """Ratio of seconds per epoch: early stopping does not end both after equally many."""
    mean = statistics.mean(timed.spent.wall / timed.epochs for timed in alone)
    return mean * ours.epochs * ours.runs / ours.wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, help="instead of those of params.yaml")
    parser.add_argument("--epochs", type=int, help="likewise")
    parser.add_argument("--timed", type=int, default=3, help="runs to time alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all numbers")
    arguments = parser.parse_args()
    changes = {"seeds": arguments.seeds, "train.epochs": arguments.epochs}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        project = clone_project(folder / "project")
        change_params(project, {key: value for key, value in changes.items() if value})
        ours = reproduce(project)
        store = create_store(folder)
        chosen = representative(trained_epochs(project), arguments.timed)
        alone = [time_alone(trained, project, store) for trained in chosen]
    print_figures(Console(), ours, alone)
    if arguments.json:
        figures = {
            "machine": machine(),
            "dvc_repro": asdict(ours),
            "alone": [
                {"label": timed.label, "epochs": timed.epochs, "wall": timed.spent.wall}
                for timed in alone
            ],
            "ratio": ratio(ours, alone),
            "ratio_by_epoch": ratio_by_epoch(ours, alone),
        }
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
