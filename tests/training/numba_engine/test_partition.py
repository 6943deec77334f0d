"""Several threads on one run: the same bytes as one."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offset_autoencoder.config.schema import Network
from offset_autoencoder.models.architecture import Architecture
from offset_autoencoder.models.autoencoder import build_model
from offset_autoencoder.training.numba_engine.compile_model import compile_model
from offset_autoencoder.training.numba_engine.epoch import (
    most_sharing_threads,
    train_batches,
    validate,
)
from offset_autoencoder.training.numba_engine.keras_graph import graph_of
from offset_autoencoder.training.numba_engine.program import (
    DENSE,
    GROUP_ROWS,
    Program,
    Share,
    first_row,
    give_up,
    groups_of,
    most_parts,
    new_barrier,
    new_scratch,
    wait,
    weight_owners,
)

D, L, SAMPLES, BATCH = 256, 8, 300, 128
LARGE = {"latent_dim": L, "hidden": [64]}


def program_of(**keys: Any) -> Program:
    network = Network.model_validate({**LARGE, **keys.pop("network", {})})
    model = build_model(Architecture(network=network, input_dim=D, **keys), noise_input=True)
    return compile_model(graph_of(model), network.loss, "adam", BATCH)


def train(program: Program, parts: int, threads: int) -> list[Any]:
    """Two epochs by so many threads: weights, losses and validation losses."""
    owners = weight_owners(program, parts)
    rng = np.random.default_rng(0)
    x = rng.random((SAMPLES, D), dtype=np.float32)
    offset = rng.normal(size=(SAMPLES, L)).astype(np.float32)
    noise = rng.normal(size=(SAMPLES, L)).astype(np.float32)
    order = rng.permutation(SAMPLES).astype(np.int32)
    x.flags.writeable = offset.flags.writeable = False
    weights = rng.normal(size=program.size).astype(np.float32) / 16
    moments, factor = np.zeros((2, program.trained), np.float32), np.float32(0.1)
    rates = np.full(3, 0.01)
    scratch, groups = new_scratch(program), groups_of(BATCH)
    losses, validation = np.zeros((2, groups)), np.zeros((2, 2, groups))
    for epoch in range(2):
        meeting, others = new_barrier(), new_barrier()

        def work(thread: int, epoch: int = epoch, meeting: Any = meeting) -> None:
            assert train_batches(
                program, Share(parts, owners, thread, threads, meeting), weights, moments,
                3 * epoch, rates, 0.1, x, offset, factor, order, noise, scratch, losses[epoch],
            )  # fmt: skip

        def check(thread: int, epoch: int = epoch, meeting: Any = others) -> None:
            assert validate(
                program, Share(parts, owners, thread, threads, meeting), weights, x, offset,
                factor, scratch, validation[epoch],
            )  # fmt: skip

        for piece in (work, check):
            started = [threading.Thread(target=piece, args=(t,)) for t in range(threads)]
            for one in started:
                one.start()
            for one in started:
                one.join(60)
                assert not one.is_alive()
    return [weights, losses.sum(axis=1), validation.sum(axis=2)]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"network": {"hidden": [64, 32]}},
        {"network": {"loss": "mean_squared_error"}},
        {"network": {"loss": "huber", "output": "linear"}},
        {"system": "vae", "beta": 1.0, "warmup_steps": 3},
    ],
)
def test_threads_leave_the_same_bytes_as_one(keys: dict[str, Any]) -> None:
    program = program_of(**keys)
    uncut = train(program, 1, 1)
    for parts in (2, 3, 4):
        alone = train(program, parts, 1)
        for threads in range(2, parts + 1):
            for mine, theirs in zip(train(program, parts, threads), alone, strict=True):
                np.testing.assert_array_equal(mine, theirs)
        for mine, theirs in zip(alone, uncut, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4)


def test_as_many_threads_share_a_run_as_leave_its_bytes_as_they_are() -> None:
    program = program_of()
    threads = most_sharing_threads(program, (SAMPLES, SAMPLES))
    assert 1 <= threads <= 2
    uncut = train(program, 1, 1)
    for mine, theirs in zip(train(program, threads, threads), uncut, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_cut_that_changes_a_bit_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    from offset_autoencoder.training.numba_engine import epoch

    program = program_of()

    def trained(*arguments: Any) -> list[Any]:
        return [np.array([0.1 if arguments[-1] < 2 else np.nextafter(0.1, 1)])]

    monkeypatch.setattr(epoch, "train_randomly", trained)
    assert most_sharing_threads(program, (SAMPLES, 1)) == 1


def test_small_networks_are_not_cut_and_the_weights_of_large_ones_evenly() -> None:
    program = program_of()
    sizes = (32, 127, BATCH, 191, 192)
    parts = [most_parts(program._replace(batch_size=size)) for size in sizes]
    assert parts == [1, 1, 2, 2, 3]
    assert groups_of(191) == 3
    assert most_parts(program_of(network={"hidden": [2]})) == 1
    loads = np.zeros(2)
    for op, owner in zip(program.operations, weight_owners(program, 2), strict=True):
        size = program.widths[op["first"]] * program.widths[op["out"]]
        loads[owner] += (op["kind"] == DENSE) * size
    assert loads[0] == loads[1]


@settings(deadline=None)  # the first call compiles
@given(rows=st.integers(1, 300), batch=st.integers(1, 300), parts=st.integers(1, 8))
def test_parts_are_whole_groups_and_together_the_batch(rows: int, batch: int, parts: int) -> None:
    rows = min(rows, batch)
    bounds = [first_row(batch, parts, part, rows) for part in range(parts + 1)]
    assert bounds[0] == 0
    assert bounds[-1] == rows
    assert bounds == sorted(bounds)
    assert all(bound % GROUP_ROWS == 0 for bound in bounds[:-1] if bound < rows)


def test_nobody_waits_for_one_that_gave_up() -> None:
    meeting, came = new_barrier(), list[bool]()
    waiting = threading.Thread(target=lambda: came.append(wait(meeting, 2, 1)))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    give_up(meeting)
    waiting.join(30)
    assert came == [False]
    assert wait(new_barrier(), 1, 5)
