"""Tasks of the training benchmark: data sets, networks, and how many runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from benchmarks.peers.task import Task
from numpy.typing import NDArray

Array = NDArray[np.float32]

VALIDATION = 360
DIGITS, MNIST = "digits", "mnist"
_STDDEV = 0.1


@dataclass(frozen=True)
class Block:
    """Tasks that differ in how many runs train side by side, and in nothing else that matters.

    Attributes:
        title: What the table calls it.
        tasks: By number of runs. Where there are many, some have fewer samples, so that a turn
            does not take minutes; :attr:`Case.scale` makes up for it.
        alone: The task for peers that train run after run.
        samples: Training samples of an epoch.
    """

    title: str
    tasks: dict[int, Task]
    alone: Task
    samples: int

    def scale(self, runs: int) -> float:
        """Samples of an epoch over those of the task with so many runs."""
        return self.samples / self.tasks[runs].samples


def write_digits(folder: Path) -> None:
    """Scikit-learn's digits: 1437 samples to train on, 360 to validate."""
    from sklearn.datasets import load_digits

    x = (load_digits().data / 16).astype(np.float32)
    _write(folder, x[:-VALIDATION], x[-VALIDATION:])


def write_mnist(folder: Path, source: Path | None) -> None:
    """MNIST's 60000 training samples from an npz, or random images of its shape."""
    if source is None:
        write_random(folder, 60_000, 784)
        return
    with np.load(source, allow_pickle=False) as archive:
        images, held_out = archive["x_train"], archive["x_test"][:VALIDATION]
    _write(
        folder,
        *((array.reshape(len(array), -1) / 255).astype(np.float32) for array in (images, held_out)),
    )


def write_random(folder: Path, samples: int, features: int) -> None:
    """Random samples: the time does not depend on the values."""
    x = np.random.default_rng(0).random((samples + VALIDATION, features), dtype=np.float32)
    _write(folder, x[:-VALIDATION], x[-VALIDATION:])


def _write(folder: Path, x: Array, validation: Array) -> None:
    folder.mkdir()
    np.save(folder / "x.npy", x)
    np.save(folder / "validation.npy", validation)


def digits_blocks(folder: Path, runs: list[int]) -> Iterator[Block]:
    """(1437×64, latent 16, hidden 32, batch 32): with offsets, with noise."""
    base = Task(str(folder), 1437, 16, (32,), 32, 0.0, 1, 20)
    for stddev in (0.0, _STDDEV):
        task = replace(base, stddev=stddev)
        tasks = {
            count: replace(task, runs=count, epochs=20 if count < 300 else 5) for count in runs
        }
        yield Block(f"digits, {_added(stddev)}", tasks, replace(task, epochs=8), task.samples)


def mnist_blocks(folder: Path, runs: list[int]) -> Iterator[Block]:
    """(60000×784, latent 32, hidden 64, batch 128): with offsets, with noise, hidden 128."""
    base = Task(str(folder), 60_000, 32, (64,), 128, 0.0, 1, 1)
    many = 12_000
    for hidden, stddev in ((64, 0.0), (64, _STDDEV), (128, 0.0)):
        task = replace(base, hidden=(hidden,), stddev=stddev)
        tasks = {
            count: replace(
                task,
                runs=count,
                samples=task.samples if count < 60 else many,
                epochs=2 if count == 1 else 1,
            )
            for count in runs
            if hidden == 64 or count == 10
        }
        title = f"MNIST, hidden {hidden}, {_added(stddev)}"
        if tasks:
            yield Block(title, tasks, task, task.samples)


def _added(stddev: float) -> str:
    return f"noise {stddev:g}" if stddev else "offsets"
