"""Training on samples that stay in their file, chunk by chunk."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.training import small_runs
from tests.training.small_runs import BATCH, D, L

from offset_autoencoder.runs.files import TrainedRun
from offset_autoencoder.training.state import Job, SampleSizes

# Twenty chunks of three blocks of a batch, and one block is not full.
N, M, LIMIT = 954, 100, 40_000
RNG = np.random.default_rng(0)
MIXING = RNG.normal(size=(3, D))
TABLE = RNG.normal(size=(N, L)).astype(np.float32)
TABLE_VALIDATION = RNG.normal(size=(M, L)).astype(np.float32)
MB = 2**20


def samples(rows: int) -> Any:
    return (1 / (1 + np.exp(-RNG.normal(size=(rows, 3)) @ MIXING))).astype(np.float32)


X, X_VALIDATION = samples(N), samples(M)
X = X[np.argsort(X[:, 0])]  # a file in some order


def job(name: str, seed: int = 0, **changes: Any) -> Job:
    tables = {"offset": TABLE, "offset_validation": TABLE_VALIDATION}
    return small_runs.job(name, seed, **{**tables, "epochs": 3, **changes})


def train(
    jobs: Sequence[Job], x: Any, limit: int | None = LIMIT, workers: int = 1
) -> dict[str, TrainedRun]:
    population = small_runs.population(memory_limit=limit)
    return small_runs.train(jobs, population, x, X_VALIDATION, workers=workers)


def mapped(path: Path, array: Any) -> Any:
    np.save(path, array)
    return np.load(path, mmap_mode="r")


@pytest.mark.usefixtures("compiled_once", "engine")
def test_neither_the_file_nor_the_company_changes_a_run(tmp_path: Path) -> None:
    chunks = small_runs.population(memory_limit=LIMIT).chunks(SampleSizes.of(X, X_VALIDATION))
    assert chunks is not None
    assert (chunks.block, chunks.blocks) == (BATCH, 3)
    x, table = mapped(tmp_path / "x.npy", X), mapped(tmp_path / "table.npy", TABLE)
    crowd = [job(str(seed), seed, stddev=0.1, offset=table) for seed in range(3)]
    together = train(crowd, x, workers=3)
    for name, offset, data in (("0", TABLE, X), ("2", table, x)):
        alone = train([job(name, int(name), stddev=0.1, offset=offset)], data)[name]
        np.testing.assert_array_equal(alone.loss, together[name].loss)
        np.testing.assert_array_equal(alone.val_loss, together[name].val_loss)
        for ours, theirs in zip(alone.weights or [], together[name].weights or [], strict=True):
            assert ours.tobytes() == theirs.tobytes()
    np.testing.assert_array_equal(x, X)


def test_a_run_learns_as_much_from_chunks_of_a_file_in_some_order(tmp_path: Path) -> None:
    jobs = [job(str(seed), seed, epochs=12) for seed in range(2)]
    chunked = train(jobs, mapped(tmp_path / "x.npy", X))
    whole = train(jobs, X, None)
    for name, run in chunked.items():
        assert run.loss[-1] < run.loss[0]
        other = whole[name]
        fallen = float(other.val_loss[0] - other.val_loss[-1])
        assert run.val_loss[-1] == pytest.approx(other.val_loss[-1], abs=0.1 * fallen)
        # Another order of the same samples: not the same run.
        assert not np.array_equal(run.loss, other.loss)


# How much more memory a training needs than a process that has trained before.
PEAKS = """
import gc, json, sys
from pathlib import Path
import numpy as np
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.config.schema import Network
from offset_autoencoder.training.state import Job
from offset_autoencoder.training.engine import Population
from offset_autoencoder.training.pool import train_population

folder, limit = Path(sys.argv[1]), int(sys.argv[2])
x, table = (np.load(folder / name, mmap_mode="r") for name in ("x.npy", "table.npy"))
few = np.zeros((50, x.shape[1]), np.float32)
architecture = Architecture(network=Network(latent_dim=4, hidden=[8]), input_dim=x.shape[1])

def status(key):
    (line,) = (l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith(key))
    return 1024 * int(line.split()[1])

def train(x, table, limit):
    none = np.zeros((50, 4), np.float32)
    jobs = [Job(str(seed), seed, table, none, 0.1, 1e-3, 1, None) for seed in (0, 1)]
    population = Population(architecture, 64, "adam", limit)
    train_population(population, jobs, x, few, lambda job, run: None, workers=2)

def peak(*arguments):
    gc.collect()
    before = status("VmRSS:")
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest so far
    train(*arguments)
    return status("VmHWM:") - before

train(few, few[:, :4].copy(), None)
print(json.dumps([peak(x, table, limit), peak(x, table, None)]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_within_what_is_allowed(tmp_path: Path) -> None:
    rows, width = 262_144, 100  # 100 MB
    for name, columns in (("x.npy", width), ("table.npy", 4)):
        array = np.lib.format.open_memmap(
            tmp_path / name, "w+", dtype=np.float32, shape=(rows, columns)
        )
        array[:] = 0.5
    done = subprocess.run(
        [sys.executable, "-c", PEAKS, str(tmp_path), str(20 * MB)],
        capture_output=True,
        text=True,
        check=True,
    )
    chunked, whole = json.loads(done.stdout)
    assert whole > 100 * MB  # or what is measured is not memory
    # Where the system maps huge pages, eight blocks of each run may lie in one each, or in two.
    assert chunked < 20 * MB + 2 * 8 * 2 * MB + 10 * MB
