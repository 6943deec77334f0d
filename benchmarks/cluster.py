"""The cost of a Ray cluster: ``train`` by Ray beside ``train`` on this machine, at equal cores.

    python -m benchmarks.cluster --mnist FILE.npz [--seeds 60] [--epochs 2] [--turns 2]
                                 [--json FILE]

Ten settings of examples/mnist/params.yaml with so many seeds, of a few epochs each, in a temporary
clone of what is committed: 600 runs. The stage ``train`` runs in turns by either executor, from an
empty run store; Ray starts a local cluster with this machine's cores. The stage's wall seconds,
start of Python and of Ray included. The weights of all runs are compared bit for bit. Before that,
what is paid once: the connection, and 200 tasks that do nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from benchmarks.clone import ROOT, change_params, clone_project, environment
from benchmarks.machine import machine
from benchmarks.spent import Spent, in_turns, median_and_range, run
from rich.console import Console

from offset_autoencoder.config.document import read_document

EXECUTORS = ("local", "ray")
SETTINGS = 10
EMPTY_SHARES = 200


def experiment(seeds: int, epochs: int) -> dict[str, Any]:
    """Content of params.yaml."""
    document = read_document(ROOT / "examples/mnist/params.yaml")
    models = dict(list(document["models"].items())[:SETTINGS])
    network, train = (
        {**document["network"], "hidden": [64]},
        {**document["train"], "epochs": epochs},
    )
    return {**document, "seeds": seeds, "models": models, "network": network, "train": train}


def prepare_project(folder: Path, mnist: Path, seeds: int, epochs: int) -> Path:
    """A clone with MNIST, its offsets made, and nothing trained."""
    project = clone_project(folder)
    shutil.copyfile(mnist, project / "data/raw/mnist.npz")
    (project / "params.yaml").write_text(yaml.safe_dump(experiment(seeds, epochs)))
    run(["dvc", "repro", "prepare", "offsets"], project, environment())
    return project


def train(project: Path, executor: str) -> tuple[Spent, str]:
    """Cost of the stage ``train`` from an empty store, and a digest of all weights."""
    for folder in (project / ".runs", project / "models"):
        shutil.rmtree(folder, ignore_errors=True)
    change_params(project, {"executor": executor})
    inside = {**environment(), "PYTHONPATH": "src"}
    spent = run([sys.executable, "-m", "offset_autoencoder.stages.train"], project, inside)
    digest = hashlib.sha256()
    for path in sorted((project / "models/runs").glob("*/weights.npz")):
        digest.update(path.parent.name.encode() + path.read_bytes())
    return spent, digest.hexdigest()


def seconds_of_empty_shares(shares: int) -> tuple[float, float]:
    """Seconds to connect to a local cluster, and to run so many tasks of nothing in it."""
    from offset_autoencoder.training.ray_connection import connected

    started = time.perf_counter()
    with connected() as ray:
        connection = time.perf_counter() - started
        task = ray.remote(num_cpus=1)(lambda: None)
        ray.get([task.remote() for _ in range(shares)])
        return connection, time.perf_counter() - started - connection


def measure(mnist: Path, seeds: int, epochs: int, turns: int) -> Mapping[str, Sequence[Spent]]:
    """Cost of ``train`` by each executor.

    Raises:
        RuntimeError: where a weight differs.
    """
    with tempfile.TemporaryDirectory() as temporary:
        project = prepare_project(Path(temporary) / "project", mnist, seeds, epochs)
        cases = {name: partial(train, project, name) for name in EXECUTORS}
        results = in_turns(cases, turns)
    if len({digest for turn in results.values() for _, digest in turn}) > 1:
        raise RuntimeError("the executors do not leave the same weights")
    return {name: [spent for spent, _ in turn] for name, turn in results.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, required=True, metavar="FILE.npz")
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE", help="all numbers")
    arguments = parser.parse_args()
    console = Console()
    connection, tasks = seconds_of_empty_shares(EMPTY_SHARES)
    console.print(f"connect: {connection:.1f} s, {EMPTY_SHARES} shares of nothing: {tasks:.1f} s")
    spent = measure(arguments.mnist, arguments.seeds, arguments.epochs, arguments.turns)
    for name, turn in spent.items():
        console.print(f"{name}: {median_and_range([s.wall for s in turn])} s")
    pairs = zip(*(spent[name] for name in reversed(EXECUTORS)), strict=True)
    ratios = [ray.wall / local.wall for ray, local in pairs]
    console.print(f"ray / local: {median_and_range(ratios)}; all weights equal")
    if arguments.json:
        figures = {name: [s.wall for s in turn] for name, turn in spent.items()}
        document = {"machine": machine(), "seconds": figures, "connection": connection}
        arguments.json.write_text(json.dumps(document | {"empty shares": tasks}, indent=2) + "\n")


if __name__ == "__main__":
    main()
