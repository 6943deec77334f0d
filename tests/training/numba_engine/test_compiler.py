"""The cache of compiled loops, over processes, clones and edits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import offset_autoencoder

SOURCES = Path(offset_autoencoder.__file__).parent
pytestmark = pytest.mark.slow
PROGRAM = """
import json
import numpy as np
from offset_autoencoder.training.numba_engine.kernels import sigmoid as loop

value = float(loop(np.float32(0)))
hits, misses = (sum(count.values()) for count in (loop.stats.cache_hits, loop.stats.cache_misses))
print(json.dumps({"value": value, "hits": hits, "misses": misses, "folder": loop.stats.cache_path}))
"""
Clone = Callable[[str], Path]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A copy of the compiled loops, as another clone of the project has it."""

    def clone(name: str) -> Path:
        package = tmp_path / name / "offset_autoencoder"
        shutil.copytree(
            SOURCES / "training" / "numba_engine",
            package / "training" / "numba_engine",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        for part in (".", "training"):
            shutil.copy(SOURCES / part / "__init__.py", package / part)
        shutil.copy(SOURCES / "errors.py", package)
        return package

    return clone


def run(package: Path, cache: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(package.parent), "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME says where the cache is")
def test_compiles_once_a_machine_and_anew_for_an_edited_source(
    clone: Clone, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first, other = clone("first"), clone("other")
    compiled = run(first, cache)
    assert (compiled["hits"], compiled["misses"]) == (0, 1)
    assert compiled["value"] == 0.5
    (folder,) = (cache / "offset-autoencoder").iterdir()
    assert compiled["folder"] == str(folder)
    files = {path: path.stat().st_mtime_ns for path in folder.iterdir()}

    assert run(other, cache) == {**compiled, "hits": 1, "misses": 0}
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == files

    # Of a function that the compiled one calls.
    source = other / "training" / "numba_engine" / "kernels.py"
    text = source.read_text()
    assert text.count("return series * _bits_as_float(") == 1
    source.write_text(text.replace("return series * ", "return _HALF * series * "))
    edited = run(other, cache)
    assert (edited["hits"], edited["misses"]) == (0, 1)
    assert edited["folder"] != compiled["folder"]
    assert edited["value"] == pytest.approx(2 / 3)
    assert run(first, cache) == {**compiled, "hits": 1, "misses": 0}


def test_a_cache_that_cannot_be_written_is_no_error(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where the cache's folder would have to be")
    done = run(clone("first"), tmp_path / "file" / "cache")
    assert done["value"] == 0.5
    assert str(tmp_path) not in done["folder"]
    assert not Path(done["folder"]).exists()


TRAINING = """
import hashlib, json
import numpy as np
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.config.schema import Network
from offset_autoencoder.training.numba_engine import epoch
from offset_autoencoder.training.state import Job
from offset_autoencoder.training.engine import Population
from offset_autoencoder.training.pool import train_population

rng = np.random.default_rng(0)
x, offset = rng.random((100, 9), np.float32), rng.random((100, 3), np.float32)
network = Network(latent_dim=3, hidden=[5])
population = Population(Architecture(network=network, input_dim=9), 8, "adam")
job = Job(id="a", seed=0, offset=offset, offset_validation=offset, stddev=0.1,
          learning_rate=0.01, epochs=5, patience=None)
digest = hashlib.sha256()
def take(job, run):
    for array in (*run.weights, run.loss, run.val_loss):
        digest.update(array.tobytes())
train_population(population, [job], x, x, take)
loops = (epoch.train_batches, epoch.validate)
misses = sum(sum(loop.stats.cache_misses.values()) for loop in loops)
print(json.dumps({"digest": digest.hexdigest(), "misses": misses}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME says where the cache is")
def test_the_first_training_on_a_machine_has_the_bytes_of_the_next(tmp_path: Path) -> None:
    """Of two at once the second waits and reads what neither of them has compiled."""
    command = [sys.executable, "-c", TRAINING]
    # What is optimised less is compiled in a fraction of the time, and read back all the same.
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "NUMBA_OPT": "1"}
    first = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate()[0].splitlines() for process in first]
    told = "compiling the training loops, once for this machine"
    assert sorted(line for lines in said for line in lines[:-1]) == [told]
    found = [json.loads(lines[-1]) for lines in said]
    assert found[0] == found[1]
    assert found[0]["misses"] == 0
