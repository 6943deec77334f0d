from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.small_params import small_params

from offset_autoencoder.config import parse_params
from offset_autoencoder.models.resolve import resolve_architectures
from offset_autoencoder.runs.files import TrainedRun, write_run
from offset_autoencoder.runs.spec import IdentifiedRun, identify

MakeRuns = Callable[..., list[IdentifiedRun]]
MakeTrained = Callable[..., tuple[TrainedRun, list[str]]]
Write = Callable[..., Path]

INPUT_DIM, SAMPLES = 6, 30
SECTIONS: dict[str, Any] = {
    "seeds": 2,
    "network": {"latent_dim": 3, "hidden": [4]},
    "train": {"epochs": 3, "batch_size": 8},
    "models": {
        "none": {"offset": "none"},
        "gaussian": {"offset": "none", "stddev": [0.1, 0.2]},
        "frozen": {"offset": "frozen", "rms": 0.5},
    },
}


@pytest.fixture(scope="session")
def make_runs() -> Callable[..., list[IdentifiedRun]]:
    """The runs of small params with whole sections given anew, and their ids."""

    def make(**sections: Any) -> list[IdentifiedRun]:
        params = parse_params(small_params(**copy.deepcopy(SECTIONS) | sections))
        architectures = resolve_architectures(
            params.settings, input_dim=INPUT_DIM, image_shape=[2, 3], samples=SAMPLES
        )
        of_setting = dict(zip((s.label for s in params.settings), architectures, strict=True))
        runs = []
        for run in params.runs:
            spec = run.setting.spec
            kind = params.offsets[spec.offset] if spec.offset else None
            identified = identify(
                run,
                architecture=of_setting[run.setting.label],
                data={"train": "data"},
                table=kind and {"train": str(kind)},
                offset_factor=spec.rms or 1.0,
            )
            runs.append(identified)
        return runs

    return make


@pytest.fixture(scope="session")
def make_trained() -> Callable[..., tuple[TrainedRun, list[str]]]:
    """A result of such a run's training, and the names of its weights."""

    def make(
        seed: int = 0,
        *,
        diverged: bool = False,
        hidden: int = 4,
        moment: float = 0.0,
        regularization: float = 0.0,
    ) -> tuple[TrainedRun, list[str]]:
        rng = np.random.default_rng(seed)
        widths = [INPUT_DIM, hidden, 3, hidden, INPUT_DIM]
        layers = ("encoder_1", "code", "decoder_1", "reconstruction")
        names, weights = [], []
        for layer, rows, columns in zip(layers, widths[:-1], widths[1:], strict=True):
            names += [f"{layer}/kernel", f"{layer}/bias"]
            weights.append(rng.normal(size=(rows, columns)).astype(np.float32))
            weights.append(rng.normal(size=columns).astype(np.float32))
        loss, val_loss = rng.random((2, 3)).astype(np.float32)
        val_reconstruction = val_loss - np.float32(regularization)
        if diverged:
            loss[-1], val_loss[-1] = np.inf, np.nan
        trained = TrainedRun(
            status="diverged" if diverged else "finished",
            weights=None if diverged else weights,
            loss=loss,
            val_loss=val_loss,
            val_reconstruction=val_loss if not regularization else val_reconstruction,
            best_epoch=None if diverged else 2,
            stopped_early=False,
            ended=1e9 + moment + np.arange(3.0),
            seconds=np.full(3, 0.01),
        )
        return trained, names

    return make


@pytest.fixture
def run(make_runs: MakeRuns) -> IdentifiedRun:
    return make_runs()[0]


@pytest.fixture
def write(tmp_path: Path, run: IdentifiedRun, make_trained: MakeTrained) -> Write:
    """Write the run into a store of this name."""

    def write(store: str = "store", **how: Any) -> Path:
        folder = tmp_path / store / run.id
        trained, names = make_trained(**how)
        write_run(folder, run.spec, trained, names)
        return folder

    return write
