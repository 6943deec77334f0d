"""A small project whose runs were really evaluated, though hardly trained."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from offset_autoencoder.runs.files import TrainedRun

if TYPE_CHECKING:
    from offset_autoencoder.training.pool import PopulationJobs

FUNCTION = """
import numpy as np

def squares(x, latent_dim, rng):
    return (x[:, :latent_dim] ** 2).astype(np.float32)
"""

DOCUMENT: dict[str, Any] = {
    "seeds": 2,
    "data": {"source": "digits"},
    "split": {},
    "offsets": {
        "none": {"kind": "zero"},
        "frozen": {"kind": "hash"},
        "pca": {"kind": "pca"},
        "class_code": {"kind": "class_code"},
        "interference": {"kind": "interference"},
        "table": {"kind": "file", "path": "vectors.npy"},
        "squares": {"kind": "function", "function": "small_offsets:squares"},
    },
    "network": {"latent_dim": 4, "hidden": [8]},
    "train": {"epochs": 1, "batch_size": 128},
    "models": {
        "none": {"offset": "none", "stddev": 0.1},
        "frozen": {"offset": "frozen", "rms": 0.3},
        "pca": {"offset": "pca", "rms": 0.3},
        "class_code": {"offset": "class_code", "rms": 0.3},
        "interference": {"offset": "interference"},
        "table": {"offset": "table", "rms": 0.3},
        "squares": {"offset": "squares", "rms": 0.3},
        "concatenate": {"system": "concatenate", "offset": "pca", "rms": 0.3},
        "two_encoder": {"system": "two_encoder", "rms": 0.3},
        "ensemble": {"system": "ensemble", "encoders": 2},
        "vae": {"system": "vae"},
    },
    "evaluate": {"baselines": ["none"], "draws": 1},
    "tracking": {},
}


def make_project(root: Path) -> None:
    """Prepare digits, fit the offsets, take runs at their initial weights and evaluate them."""
    from offset_autoencoder.stages import evaluate, offsets, prepare, train

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.chdir(root)
        patch.delenv("DVC_ROOT", raising=False)
        (root / "small_offsets.py").write_text(FUNCTION)
        patch.syspath_prepend(str(root))
        raw = root / "data" / "raw"
        raw.mkdir(parents=True)
        np.save(raw / "vectors.npy", np.random.default_rng(0).normal(size=(1797, 4)))
        (root / "params.yaml").write_text(yaml.safe_dump(DOCUMENT, sort_keys=False))
        prepare.main()
        for name in DOCUMENT["offsets"]:
            offsets.main([name])
        with untrained():
            train.main()
        evaluate.main()


@contextlib.contextmanager
def untrained() -> Iterator[None]:
    """Within the block a training leaves the initial weights."""
    from offset_autoencoder.training import schedule

    def pretend(
        works: Sequence[PopulationJobs], sizes: Any, on_epoch: Any, checkpoints: Any
    ) -> None:
        loss, times = np.ones(1, np.float32), np.ones(1)
        for work in works:
            for job, _ in (open_job() for open_job in work.jobs):
                population = work.population
                weights = population.weights_of(population.initial(job.seed))
                run = TrainedRun("finished", weights, loss, loss, loss, 1, True, times, times)
                work.on_result(job, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "train_populations", pretend)
        yield


def runs_of(root: Path, *, best: bool = False) -> dict[str, dict[str, str]]:
    """The row of ``reports/runs.csv`` of each model's first run, or of its best by validation."""
    with (root / "reports" / "runs.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    if best:
        rows.sort(key=lambda row: float(row["mse_validation"]))
    return {row["model"]: row for row in reversed(rows)}
