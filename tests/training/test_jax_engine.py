"""The engine jax, in a process of its own, against stock Keras and the other engines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.training import jax_runs, small_runs
from tests.training.small_runs import samples
from tests.training.test_against_keras import check_agrees

from offset_autoencoder.runs.files import TrainedRun
from offset_autoencoder.user_code import BACKEND

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the runs of :mod:`.jax_runs`, and what was said."""
    folder = tmp_path_factory.mktemp("jax")
    command = [sys.executable, "-m", "tests.training.jax_runs", str(folder)]
    environment = {**os.environ, BACKEND: "jax"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder, done.stderr


def read(folder: Path, case: str) -> dict[str, Any]:
    """Its runs by name, with losses, best epoch and weights."""
    runs: dict[str, Any] = {}
    with np.load(folder / f"{case}.npz") as archive:
        for key in archive.files:
            name, what, *_ = key.split("/")
            run = runs.setdefault(name, SimpleNamespace(weights=[]))
            if what == "weights":
                run.weights.append(archive[key])
            else:
                setattr(run, what, archive[key])
    return runs


def by_numba(runs: list[Any], memory_limit: int | None = None) -> dict[str, TrainedRun]:
    shared = jax_runs.population("dense", "auto", memory_limit)
    return small_runs.train(runs, shared, *samples(shared.architecture.input_dim))


def check_close(one: Any, other: Any) -> None:
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-4)
    np.testing.assert_allclose(one.val_loss, other.val_loss, rtol=1e-4)
    for ours, theirs in zip(one.weights, other.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)


def check_same(one: Any, other: Any) -> None:
    np.testing.assert_array_equal(one.loss, other.loss)
    np.testing.assert_array_equal(one.val_loss, other.val_loss)
    assert one.best == other.best
    for ours, theirs in zip(one.weights, other.weights, strict=True):
        assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("case", jax_runs.ARCHITECTURES)
def test_every_network_agrees_with_keras_on_tensorflow(
    trained: tuple[Path, str], case: str
) -> None:
    """From the same initial weights, a convolutional, a recurrent and a user's own one too."""
    runs = jax_runs.jobs(case)
    compared = [run for run in runs if run.id != "stops"]
    check_agrees(jax_runs.population(case, "keras"), read(trained[0], case), compared)


def test_a_run_stops_at_the_epoch_of_the_other_engines(trained: tuple[Path, str]) -> None:
    runs = jax_runs.jobs("dense")
    ours, numba = read(trained[0], "dense")["stops"], by_numba(runs)["stops"]
    assert ours.best == numba.best_epoch
    assert len(ours.loss) == numba.epochs
    check_close(ours, numba)


@pytest.mark.parametrize("case", ["alone", "crowd", "resumed"])
def test_neither_company_nor_an_interruption_changes_a_run(
    trained: tuple[Path, str], case: str
) -> None:
    folder, _ = trained
    expected, runs = read(folder, "dense"), read(folder, case)
    for name in expected.keys() & runs.keys():
        check_same(runs[name], expected[name])
    assert "a" in runs


@pytest.mark.parametrize("case", ["pieces", "halved", "samples", "offsets"])
def test_samples_and_stacks_too_large_for_the_device(trained: tuple[Path, str], case: str) -> None:
    folder, said = trained
    expected, runs = read(folder, "dense"), read(folder, case)
    assert expected.keys() == runs.keys()
    for name, run in runs.items():
        check_close(run, expected[name])
        assert run.best == expected[name].best
    lines = [line for line in said.splitlines() if line.startswith("note: ")]
    small = "not fit the device's memory"
    assert lines == [
        *(f"note: 8 runs do {small}: {n} at once are tried" for n in (4, 2)),
        *[f"note: samples and offsets do {small}: 24 at once are tried"] * 2,
        f"note: samples and offsets do {small}: 48 at once are tried",
    ]
    last = said.splitlines()[-1]
    assert last.startswith(f"train.engine: one run of such a network does {small}")


def test_chunks_of_samples_larger_than_memory(trained: tuple[Path, str]) -> None:
    numba = by_numba(jax_runs.jobs("dense"), jax_runs.CHUNKED)
    for name, run in read(trained[0], "chunks").items():
        check_close(run, numba[name])


def test_a_run_that_diverges_ends_and_leaves_the_others_alone(trained: tuple[Path, str]) -> None:
    runs, numba = read(trained[0], "diverging"), by_numba(jax_runs.DIVERGING)
    assert numba["bad"].status == "diverged"
    assert len(runs["bad"].loss) == numba["bad"].epochs
    assert not np.isfinite(runs["bad"].loss[-1])
    assert not runs["bad"].best
    check_close(runs["good"], numba["good"])
