"""The benchmark of a GPU, tried on a CPU with nothing installed but what it says it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# JAX, Keras, Numba and pydantic, and what these need themselves.
INSTALLED = """jax jaxlib ml_dtypes opt_einsum scipy numpy keras absl rich namex h5py optree
packaging markdown_it mdurl pygments numba llvmlite pydantic pydantic_core annotated_types
typing_extensions typing_inspection offset_autoencoder benchmarks"""
PROGRAM = """
import runpy, sys
from importlib.machinery import PathFinder

class OnlyThese:
    def find_spec(self, name, path=None, target=None):
        if path is None and name not in installed and not name.startswith("_"):
            return None
        return PathFinder.find_spec(name, path, target)

installed = {*sys.argv.pop(1).split(), *sys.stdlib_module_names}
sys.meta_path[sys.meta_path.index(PathFinder)] = OnlyThese()
runpy.run_module("benchmarks.gpu", run_name="__main__")
"""


@pytest.mark.slow
def test_every_figure_is_measured_with_jax_keras_numba_and_pydantic_alone(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    options = "--runs 1 3 --samples 384 --hidden 4 --filters 2 --epochs 1 --json"
    command = [sys.executable, "-c", PROGRAM, INSTALLED, *options.split(), str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    measured = json.loads(file.read_text())["measured"]
    assert {(row["kind"], row["peer"], row["runs"]) for row in measured} == {
        *(("dense", peer, runs) for peer in ("jax", "cpu", "products") for runs in (1, 3)),
        *(("convolutional", "jax", runs) for runs in (1, 3)),
        *((kind, "keras_fit", 1) for kind in ("dense", "convolutional")),
        ("dense", "torch", 1),
    }
    failed = {row["peer"] for row in measured if row["milliseconds"] is None}
    assert failed == {"torch"}  # it is not among these
    losses = [row["val_loss"] for row in measured if row["val_loss"] and row["kind"] == "dense"]
    assert max(losses) - min(losses) < 0.02
