from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from offset_autoencoder.training.batches import epoch_noise, epoch_order, steps_an_epoch


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_every_sample_comes_once_an_epoch(n: int, seed: int, epoch: int) -> None:
    order = epoch_order(seed, epoch, n)
    assert order.dtype == np.int32
    assert sorted(order) == list(range(n))


@given(st.integers(1, 300), st.integers(1, 70))
def test_batches_are_full_but_for_the_last(n: int, batch: int) -> None:
    assert steps_an_epoch(n, batch) == len(range(0, n, batch))


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
