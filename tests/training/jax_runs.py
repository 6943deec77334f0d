"""Populations that the engine jax trains, in a process whose Keras has the backend JAX.

    OFFSET_AUTOENCODER_KERAS_BACKEND=jax python -m tests.training.jax_runs FOLDER

writes ``FOLDER/CASE.npz`` with the losses and weights of every run, and stderr has what was said.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from tests.training import small_runs
from tests.training.small_runs import BATCH, D, L, job, samples

from offset_autoencoder.config.schema import Network
from offset_autoencoder.errors import InputError
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.runs.files import Checkpoints, TrainedRun
from offset_autoencoder.training.engine import Population
from offset_autoencoder.training.state import Job

DENSE = Network(latent_dim=L, hidden=[8])
POWER = Network(latent_dim=L, hidden=[8], normalize="power", code_l2=0.1)
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "dense": {"network": POWER, "input_dim": D},
    "vae": {"system": "vae", "network": DENSE, "input_dim": D, "beta": 1.0, "warmup_steps": 17},
    "convolutional": {
        "network": Network(kind="convolutional", latent_dim=L, filters=[2, 3]),
        "input_dim": 35,
        "image_shape": [7, 5],
    },
    "recurrent": {
        "network": Network(kind="recurrent", latent_dim=L, hidden=[5]),
        "input_dim": D,
        "sequence_shape": [6, 2],
    },
    "users": {
        "system": "function",
        "network": DENSE,
        "input_dim": D,
        "function": "tests.training.users_state:stateful",
    },
}
PATIENT: dict[str, Any] = {"epochs": 9, "patience": 2, "learning_rate": 0.03}
CHUNKED = 16 * 2 * BATCH * D * 4 - 1  # bytes in memory, less than all samples
DIVERGING = [job("bad", 2, learning_rate=1e30, epochs=9), job("good", 3, stddev=0.2)]


def population(case: str, engine: str = "jax", memory_limit: int | None = None) -> Population:
    # With a last batch that is not full.
    size, optimizer = (24, "adam") if case != "users" else (BATCH, "sgd")
    architecture = Architecture.model_validate(ARCHITECTURES[case])
    return Population(architecture, size, optimizer, memory_limit, engine)


def jobs(case: str) -> list[Job]:
    stddev = 1.0 if case == "vae" else 0.3
    others = [job("stops", 4, **PATIENT), job("schedule", 5, schedule="cosine", schedule_end=0.1)]
    return [job("a", 3, epochs=3, stddev=stddev), *(others if case == "dense" else [])]


def train(case: str, runs: list[Job], **options: Any) -> dict[str, TrainedRun]:
    shared = population(case, memory_limit=options.pop("memory_limit", None))
    shared = dataclasses.replace(shared, batch_size=options.pop("batch_size", shared.batch_size))
    return small_runs.train(runs, shared, *samples(shared.architecture.input_dim), **options)


def interrupted(folder: Path) -> dict[str, TrainedRun]:
    """The dense case, cut off in its second epoch and gone on with."""
    told = itertools.count(1)

    def interrupt(_: Any) -> None:
        if next(told) == 2:
            raise KeyboardInterrupt

    kept = folder / "checkpoints"
    runs = [dataclasses.replace(run, checkpoint_seconds=0.0) for run in jobs("dense")]
    with contextlib.suppress(KeyboardInterrupt):
        train("dense", runs, on_epoch=interrupt, checkpoints=Checkpoints(kept))
    assert len([*kept.iterdir()]) == len(runs)
    return train("dense", runs, checkpoints=Checkpoints(kept))


def main(folder: Path) -> None:
    import jax

    from offset_autoencoder.training import jax_engine

    compiled: dict[str, Any] = {}

    def compiled_once(shared: Population) -> Any:
        if shared.key not in compiled:
            compiled[shared.key] = jax_engine.JaxPrograms(shared)
        return compiled[shared.key]

    def small_device(programs: Any, program: Any, runs: int, *arguments: Any) -> Any:
        if runs // programs.parts > 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return by_parts(programs, program, runs, *arguments)

    def small_for_samples(engine: Any, data: Any) -> Any:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    def smaller_for_inputs(engine: Any, runs: Any, pieces: Any) -> Any:
        if len(pieces[0][0]) > 24:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return inputs(engine, runs, pieces)

    by_parts, inputs = jax_engine.JaxPrograms._by_parts, jax_engine.JaxEngine.inputs
    dense = jobs("dense")
    results: dict[str, dict[str, TrainedRun]] = {}
    with patch.object(jax_engine.JaxEngine, "programs_kind", staticmethod(compiled_once)):
        for case in ARCHITECTURES:
            results[case] = train(case, jobs(case))
        results["alone"] = train("dense", dense[:1])
        results["crowd"] = train("dense", [job(str(s), s, epochs=1) for s in range(20)] + dense)
        results["resumed"] = interrupted(folder)
        with patch.object(jax_engine, "device_memory", lambda: 2 * D * 4 * 48):
            results["pieces"] = train("dense", dense)
        results["chunks"] = train("dense", dense, memory_limit=CHUNKED)
        results["diverging"] = train("dense", DIVERGING)
    with patch.object(jax_engine.JaxPrograms, "_by_parts", small_device):
        results["halved"] = train("dense", dense)
    with patch.object(jax_engine.JaxEngine, "samples_of", small_for_samples):
        results["samples"] = train("dense", dense)
    with patch.object(jax_engine.JaxEngine, "inputs", smaller_for_inputs):
        results["offsets"] = train("dense", dense)
        try:
            train("dense", dense, batch_size=48)
        except InputError as error:
            print(error, file=sys.stderr)
    for case, runs in results.items():
        arrays: dict[str, Any] = {
            f"{name}/{key}": np.asarray(value)
            for name, run in runs.items()
            for key, value in [
                *(("loss", run.loss), ("val_loss", run.val_loss), ("best", run.best_epoch or 0)),
                *((f"weights/{n}", weight) for n, weight in enumerate(run.weights or [])),
            ]
        }
        np.savez(folder / f"{case}.npz", **arrays)
    assert "tensorflow" not in sys.modules


if __name__ == "__main__":
    main(Path(sys.argv[1]))
