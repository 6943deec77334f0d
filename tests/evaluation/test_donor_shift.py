from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from offset_autoencoder.evaluation.encoder_adaptation import donor_shift

Array = NDArray[np.float32]
SAMPLES, WIDTH = 200, 6


def _sum(code: Array | None, offset: Array) -> Array:
    assert code is not None
    return code + offset


@pytest.fixture
def x() -> Array:
    return np.random.default_rng(0).standard_normal((SAMPLES, WIDTH), dtype=np.float32)


@pytest.fixture
def sources() -> NDArray[np.int64]:
    return np.stack([np.roll(np.arange(SAMPLES), shift) for shift in (1, 7)])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_it_is_the_share_that_the_offset_carries(
    share: float, x: Array, sources: NDArray[np.int64]
) -> None:
    offset = np.float32(share) * x
    assert donor_shift(x, x - offset, offset, _sum, sources) == pytest.approx(share, abs=1e-6)


def test_it_is_the_slope_of_a_regression(x: Array, sources: NDArray[np.int64]) -> None:
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((WIDTH, WIDTH)).astype(np.float32)
    offset = np.tanh(x @ weights)
    shifts = np.concatenate([(offset[source] - offset).ravel() for source in sources])
    ways = np.concatenate([(x[source] - x).ravel() for source in sources])
    slope = np.linalg.lstsq(ways[:, None], shifts, rcond=None)[0][0]
    assert donor_shift(x, np.zeros_like(x), offset, _sum, sources) == pytest.approx(slope, abs=1e-5)


def test_an_offset_that_the_encoder_takes_back_does_not_pull(
    x: Array, sources: NDArray[np.int64]
) -> None:
    """A turn by 90°: x follows from the offset, and the offset leads nowhere near x."""
    turn = np.kron(np.eye(WIDTH // 2), [[0, 1], [-1, 0]]).astype(np.float32)
    offset = x @ turn
    np.testing.assert_allclose(_sum(x - offset, offset), x, atol=1e-6)
    assert donor_shift(x, x - offset, offset, _sum, sources) == pytest.approx(0, abs=1e-6)


def test_without_other_samples_it_is_not_known(x: Array) -> None:
    one = x[:1]
    assert math.isnan(donor_shift(one, one, one, _sum, np.zeros((0, 1), dtype=np.int64)))
