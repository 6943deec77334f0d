"""A training that is killed at any moment, again and again, and started anew each time."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.runs.files import is_valid

EPOCHS, KILLS = 80, 2

# Trains what is missing of six runs into a store, and tells of every epoch.
TRAINING = f"""
import sys
from pathlib import Path
import numpy as np
from offset_autoencoder.config import parse_params
from offset_autoencoder.models.resolve import resolve_architectures
from offset_autoencoder.runs.spec import identify
from offset_autoencoder.runs.store import missing_ids
from offset_autoencoder.training.schedule import train_runs
from offset_autoencoder.training.state import SampleSizes, TrainingData

PARAMS = parse_params({{
    "seeds": 3,
    "data": {{}},
    "split": {{}},
    "offsets": {{"none": {{"kind": "zero"}}}},
    "network": {{"latent_dim": 3, "hidden": [4]}},
    "train": {{
        "epochs": {EPOCHS}, "batch_size": 8, "patience": None, "checkpoint_seconds": 1e-9
    }},
    "models": {{
        "gaussian": {{"offset": "none", "stddev": 0.1}},
        "vae": {{"system": "vae", "warmup": 20}},
    }},
    "evaluate": {{}},
    "tracking": {{}},
}})

def runs():
    architectures = resolve_architectures(
        PARAMS.settings, input_dim=6, image_shape=None, samples=400
    )
    of_setting = dict(zip((s.label for s in PARAMS.settings), architectures))
    return [
        identify(run, architecture=of_setting[run.setting.label], data={{}}, table=None,
                 offset_factor=1.0)
        for run in PARAMS.runs
    ]

def data():
    x = np.random.default_rng(0).random((500, 6), dtype=np.float32)
    none = np.zeros((500, 3), np.float32)
    return TrainingData(x[:400], x[400:], {{("none", 3): (none[:400], none[400:])}})

def train(store, report):
    missing = set(missing_ids(store, [run.id for run in runs()]))
    samples = data()
    sizes = SampleSizes.of(samples.x, samples.x_validation)
    some = [run for run in runs() if run.id in missing]
    train_runs(some, lambda seed: samples, sizes, store, report)

if __name__ == "__main__":
    train(Path(sys.argv[1]), lambda work, done, _: print(work, done, flush=True))
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "training.py"
    path.write_text(TRAINING)
    return path


def reports(process: subprocess.Popen[str]) -> Iterator[tuple[float, int]]:
    assert process.stdout is not None
    for line in process.stdout:
        work, _, done = line.partition(" ")
        if line.endswith("\n"):
            yield float(work), int(done)


def run_until(script: Path, store: Path, last: float) -> tuple[int, int]:
    """Train in a process of its own, and kill it as it tells of so many epochs.

    Returns:
        The epochs and the ended runs that it told of.
    """
    epochs = ended = 0
    with subprocess.Popen(
        [sys.executable, str(script), str(store)], stdout=subprocess.PIPE, text=True
    ) as process:
        for _, done in reports(process):
            epochs, ended = epochs + (done == ended), done
            if epochs >= last:
                process.kill()
        killed = process.wait() != 0
    assert killed == (last < np.inf)
    return epochs, ended


@pytest.mark.slow
def test_ends_with_the_bytes_of_a_training_that_was_not_killed(
    script: Path, tmp_path: Path
) -> None:
    store, whole = tmp_path / "store", tmp_path / "whole"
    names: dict[str, Any] = runpy.run_path(str(script))
    ids = sorted(run.id for run in names["runs"]())
    names["train"](whole, lambda *_: None)
    assert sorted(path.name for path in whole.iterdir() if is_valid(path)) == ids

    # Told of an epoch, it is killed a little later: at another moment each time.
    most = len(ids) * EPOCHS // (KILLS + 1)
    moments = np.random.default_rng(0).integers(1, most, size=KILLS)
    told = [run_until(script, store, moment) for moment in (*moments, np.inf)]
    assert sum(ended for _, ended in told) == len(ids)
    for run_id in ids:
        for file in ("weights.npz", "history.csv", "spec.json"):
            ours, theirs = (store / run_id / file for store in (store, whole))
            assert ours.read_bytes() == theirs.read_bytes(), (moments, run_id, file)
    # Each kill loses the epoch in hand of each worker, and those told of and not yet written.
    trained = sum(epochs for epochs, _ in told)
    assert trained <= len(ids) * EPOCHS + 20 * KILLS, moments
