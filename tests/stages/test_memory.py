"""The memory that a stage takes does not grow with the data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FEATURES, ROWS, MORE = 256, 16_000, 8

# A chunk is 4 MB instead of 64, so that small files are large ones.
PROGRAM = """
import json
from pathlib import Path
from offset_autoencoder.io import arrays
from offset_autoencoder.stages import evaluate, offset_code, offsets, prepare, train
arrays.CHUNK_VALUES = 1 << 20
peaks = {}

def peak(stage):
    status = Path("/proc/self/status").read_text()
    peaks[stage] = int(status.partition("VmHWM:")[2].split()[0]) / 1024

prepare.main()
peak("prepare")
for name in ("projection", "whitened", "hash", "interference", "mine", "table", "centroid"):
    offsets.main([name])
    peak(name)
offset_code.main()
train.main()
peak("train")
evaluate.main()
peak("evaluate")
print(json.dumps(peaks))
"""
PARAMS = """
seeds: 1
data: {source: file, path: x.npy, id: ids.npy, scale: standard}
split: {}
offsets:
  projection: {kind: random_projection}
  whitened: {kind: pca, whiten: true}
  hash: {kind: hash}
  interference: {kind: interference}
  mine: {kind: function, function: "math_of_mine:f"}
  table: {kind: file, path: table.npy, id: ids.npy}
  centroid: {kind: kmeans, n_clusters: 4}
network: {latent_dim: 64, loss: mean_squared_error, output: linear}
train: {epochs: 1, batch_size: 1024, memory_limit: 8 MB, engine: numba}
models:
  none: {offset: projection}
  noise: {offset: projection, stddev: 0.1}
evaluate: {baselines: [none]}
tracking: {}
"""


def peaks(folder: Path, rows: int) -> dict[str, float]:
    """The most memory in use by the end of each stage, MB, all run in one process."""
    raw = folder / "data" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    x = rng.random((rows, FEATURES), dtype=np.float32)
    x += 3 * rng.random((4, FEATURES), dtype=np.float32)[np.arange(rows) % 4]  # four clusters
    np.save(raw / "x.npy", x)
    np.save(raw / "ids.npy", rng.permutation(rows))
    np.save(raw / "table.npy", rng.random((rows, 64), dtype=np.float32))
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "math_of_mine.py").write_text("def f(x, n, rng): return x[:, :n] ** 2\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's peak memory")
def test_peak_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    few, many = peaks(tmp_path / "few", ROWS), peaks(tmp_path / "many", MORE * ROWS)
    more_rows = (MORE - 1) * ROWS
    more_data = more_rows * FEATURES * 4 / 2**20
    assert more_data > 100
    # What is kept of each row: its id, its place, digests (at most 200 bytes).
    allowed = 200 * more_rows / 2**20 + 5
    for stage, peak in many.items():
        assert peak - few[stage] < allowed, (stage, few, many)
    for large in ("data/raw/x.npy", "data/prepared/train/x.npy"):
        (tmp_path / "many" / large).unlink()
