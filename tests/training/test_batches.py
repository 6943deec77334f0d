from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from offset_autoencoder.training.batches import batch_weights, epoch_noise, epoch_order


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.integers(1, 70), st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_every_sample_counts_once_an_epoch(n: int, batch: int, seed: int, epoch: int) -> None:
    order, weights = epoch_order(seed, epoch, n, batch), batch_weights(n, batch)
    assert order.shape == weights.shape
    assert sorted(order[weights > 0]) == list(range(n))
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)


def test_epochs_and_seeds_differ_and_repeat() -> None:
    order = epoch_order(1, 1, 100, 10)
    np.testing.assert_array_equal(order, epoch_order(1, 1, 100, 10))
    assert not np.array_equal(order, epoch_order(1, 2, 100, 10))
    assert not np.array_equal(order, epoch_order(2, 1, 100, 10))


def test_noise_is_standard_normal() -> None:
    noise = epoch_noise(5, 2, 1000, 32, 16)
    assert noise.dtype == np.float32
    assert noise.shape == (32, 32, 16)
    np.testing.assert_allclose([noise.mean(), noise.std()], [0, 1], atol=0.03)
    np.testing.assert_array_equal(noise, epoch_noise(5, 2, 1000, 32, 16))
    assert not np.array_equal(noise, epoch_noise(5, 3, 1000, 32, 16))
