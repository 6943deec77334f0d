from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from offset_autoencoder.models.architecture import steps_per_epoch
from offset_autoencoder.runs.spec import Chunks
from offset_autoencoder.training.batches import (
    MOST_CHUNKED_RUNS,
    chunks_of,
    draw_noise,
    epoch_chunks,
    epoch_order,
    noise_generator,
)


def epoch_noise(seed: int, epoch: int, samples: int, latent_dim: int) -> NDArray[np.float32]:
    return draw_noise(noise_generator(seed, epoch), samples, latent_dim)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_every_sample_comes_once_an_epoch(n: int, seed: int, epoch: int) -> None:
    order = epoch_order(seed, epoch, n)
    assert order.dtype == np.int32
    assert sorted(order) == list(range(n))


@given(st.integers(1, 300), st.integers(1, 70))
def test_batches_are_full_but_for_the_last(n: int, batch: int) -> None:
    assert steps_per_epoch(n, batch) == len(range(0, n, batch))


def test_epochs_and_seeds_differ_and_repeat() -> None:
    order = epoch_order(1, 1, 100)
    np.testing.assert_array_equal(order, epoch_order(1, 1, 100))
    assert not np.array_equal(order, epoch_order(1, 2, 100))
    assert not np.array_equal(order, epoch_order(2, 1, 100))


def test_noise_is_standard_normal() -> None:
    noise = epoch_noise(5, 2, 1000, 16)
    assert noise.dtype == np.float32
    assert noise.shape == (1000, 16)
    np.testing.assert_allclose([noise.mean(), noise.std()], [0, 1], atol=0.03)
    np.testing.assert_array_equal(noise, epoch_noise(5, 2, 1000, 16))
    assert not np.array_equal(noise, epoch_noise(5, 3, 1000, 16))


def test_the_order_says_nothing_about_the_noise() -> None:
    order, noise = epoch_order(5, 2, 1000), epoch_noise(5, 2, 1000, 1)[:, 0]
    assert abs(np.corrcoef(order, noise)[0, 1]) < 0.1


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(1, 500),
    batch=st.integers(1, 40),
    batches=st.integers(1, 5),
    blocks=st.integers(1, 8),
    seed=st.integers(0, 99),
)
def test_chunks_together_are_an_epoch(
    samples: int, batch: int, batches: int, blocks: int, seed: int
) -> None:
    chunks = Chunks(block=batch * batches, blocks=blocks)
    cut = list(epoch_chunks(seed, 1, samples, chunks))
    assert all(rows.dtype == np.int32 and 0 < len(rows) <= chunks.rows for rows in cut)
    assert sorted(np.concatenate(cut)) == list(range(samples))
    # As many steps as without chunks: a run that goes on counts on it.
    steps = sum(steps_per_epoch(len(rows), batch) for rows in cut)
    assert steps == steps_per_epoch(samples, batch)


def test_chunks_are_shuffled_across_the_file_and_within() -> None:
    chunks = Chunks(block=10, blocks=4)
    first, again = (list(epoch_chunks(3, epoch, 1000, chunks)) for epoch in (1, 2))
    assert [list(rows) for rows in first] == [list(r) for r in epoch_chunks(3, 1, 1000, chunks)]
    for rows, other in zip(first, again, strict=True):
        assert set(rows) != set(other)
        assert len(set(rows // 10)) == 4  # whole blocks, so that little is read
    # From anywhere in the file, each chunk's rows mixed.
    ends = [(rows.min(), rows.max()) for rows in first]
    assert np.mean([high - low for low, high in ends]) > 400
    assert all(len(set(rows[:20] // 10)) > 1 for rows in first)
    (whole,) = epoch_chunks(3, 1, 1000, None)
    np.testing.assert_array_equal(whole, epoch_order(3, 1, 1000))


@given(st.lists(st.integers(0, 60), max_size=8), st.integers(0, 99))
def test_noise_in_chunks_is_the_noise_of_the_whole(sizes: list[int], seed: int) -> None:
    generator = noise_generator(seed, 2)
    drawn = [draw_noise(generator, size, 3) for size in sizes]
    whole = epoch_noise(seed, 2, sum(sizes), 3)
    np.testing.assert_array_equal(np.concatenate([*drawn, whole[:0]]), whole)


@given(
    limit=st.integers(1, 10**9),
    samples=st.integers(1, 10**7),
    row_bytes=st.integers(1, 10**5),
    batch=st.integers(1, 10**4),
)
def test_chunks_keep_to_the_memory_allowed(
    limit: int, samples: int, row_bytes: int, batch: int
) -> None:
    chunks = chunks_of(limit, samples, row_bytes, batch)
    assert (chunks is None) == (samples * row_bytes <= limit)
    if chunks is not None:
        assert chunks.rows % batch == chunks.block % batch == 0
        assert chunks.rows >= chunks.block >= batch
        # Each of so many runs has one in hand and one read ahead.
        held = 2 * MOST_CHUNKED_RUNS * chunks.rows * row_bytes
        assert held <= limit or chunks.rows == batch
        assert chunks.blocks == min(8, chunks.rows // batch) or chunks.block > batch


def test_without_a_limit_nothing_is_cut() -> None:
    assert chunks_of(None, 10**9, 10**4, 32) is None
