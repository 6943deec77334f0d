"""A training that is killed at any moment, again and again, and started anew each time."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.small_params import small_params

from offset_autoencoder.config import parse_params
from offset_autoencoder.models.resolve import resolve_architectures
from offset_autoencoder.runs.files import is_valid
from offset_autoencoder.runs.spec import IdentifiedRun, identify
from offset_autoencoder.runs.store import missing_ids
from offset_autoencoder.training.schedule import train_runs
from offset_autoencoder.training.state import TrainingData

EPOCHS, KILLS = 150, 3
TRAIN = {"epochs": EPOCHS, "batch_size": 8, "patience": None, "checkpoint_seconds": 1e-9}
PARAMS = parse_params(
    small_params(
        seeds=3,
        network={"latent_dim": 3, "hidden": [4]},
        train=TRAIN,
        models={
            "gaussian": {"offset": "none", "stddev": 0.1},
            "vae": {"system": "vae", "warmup": 20},
        },
    )
)


def runs() -> list[IdentifiedRun]:
    """Six runs of two populations."""
    architectures = resolve_architectures(
        PARAMS.settings, input_dim=6, image_shape=None, samples=400
    )
    of_setting = dict(zip((s.label for s in PARAMS.settings), architectures, strict=True))
    return [
        identify(
            run, architecture=of_setting[run.setting.label], data={}, table=None, offset_factor=1.0
        )
        for run in PARAMS.runs
    ]


def train(store: Path, report: Callable[[float, int], None]) -> None:
    """Train what is missing of the runs into a store, and tell of every epoch."""
    x = np.random.default_rng(0).random((500, 6), dtype=np.float32)
    none = np.zeros((500, 3), np.float32)
    data = TrainingData(x[:400], x[400:], {("none", 3): (none[:400], none[400:])})
    missing = set(missing_ids(store, [run.id for run in runs()]))
    train_runs([run for run in runs() if run.id in missing], data, store, report)


def train_and_send(store: Path, connection: Connection) -> None:
    train(store, lambda work, done: connection.send(done))


# Where the system can, every process is a copy of one that has TensorFlow imported already.
CAN_COPY = "forkserver" in multiprocessing.get_all_start_methods()
PROCESSES: Any = multiprocessing.get_context("forkserver" if CAN_COPY else "spawn")
PROCESSES.set_forkserver_preload(
    ["offset_autoencoder.training.keras_engine", "offset_autoencoder.training.numba_engine.engine"]
)


def run_until(store: Path, last: float) -> tuple[int, int]:
    """Train in a process of its own, and kill it as it tells of so many epochs.

    Returns:
        The epochs and the ended runs that it told of.
    """
    epochs = ended = 0
    reports, connection = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=train_and_send, args=(store, connection))
    process.start()
    connection.close()
    while True:
        try:
            done = reports.recv()
        except (EOFError, OSError):  # at its end, or cut off within a message
            break
        epochs, ended = epochs + (done == ended), done
        if epochs >= last:
            process.kill()
    process.join()
    assert (process.exitcode != 0) == (last < np.inf)
    return epochs, ended


@pytest.mark.slow
def test_ends_with_the_bytes_of_a_training_that_was_not_killed(tmp_path: Path) -> None:
    store, whole = tmp_path / "store", tmp_path / "whole"
    ids = sorted(run.id for run in runs())
    train(whole, lambda work, done: None)
    assert sorted(path.name for path in whole.iterdir() if is_valid(path)) == ids

    # Told of an epoch, it is killed a little later: at another moment each time.
    most = len(ids) * EPOCHS // (KILLS + 1)
    moments = np.random.default_rng(0).integers(1, most, size=KILLS)
    told = [run_until(store, moment) for moment in (*moments, np.inf)]
    assert sum(ended for _, ended in told) == len(ids)
    for run_id in ids:
        for file in ("weights.npz", "history.csv", "spec.json"):
            ours, theirs = (store / run_id / file for store in (store, whole))
            assert ours.read_bytes() == theirs.read_bytes(), (moments, run_id, file)
    # Each kill loses the epoch in hand of each worker, and those told of and not yet written.
    trained = sum(epochs for epochs, _ in told)
    assert trained <= len(ids) * EPOCHS + 20 * KILLS, moments
