from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from channel.monte_carlo import BlockErrors, Link, check_unit_norm, count_block_errors
from channel.theory import uncoded_bpsk
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float32]
SQUARE = (np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) / np.sqrt(2)).astype(np.float32)


def silence(generator: np.random.Generator, messages: NDArray[Any]) -> Array:
    return np.zeros((len(messages), 2), np.float32)


def nearest(received: Array) -> NDArray[Any]:
    return np.argmax(received @ SQUARE.T, axis=1)


LINK = Link(4, silence, lambda messages, interference: SQUARE[messages], nearest)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5000), st.data())
def test_interval_and_p_are_those_of_the_exact_binomial_test(blocks: int, data: Any) -> None:
    errors = data.draw(st.integers(0, blocks))
    count = BlockErrors(errors, blocks)
    expected = stats.binomtest(errors, blocks).proportion_ci(0.95, method="exact")
    np.testing.assert_allclose(count.interval(0.95), expected, rtol=1e-7, atol=1e-12)
    p = stats.binomtest(errors, blocks, 0.3, alternative="less").pvalue
    assert count.p_not_below(0.3) == pytest.approx(p, rel=1e-9)


def test_perfect_receiver_of_a_square_is_as_good_as_theory() -> None:
    points = [-2.0, 0.0, 2.0, 4.0, 6.0]
    counts = count_block_errors(LINK, points)
    for count, rate in zip(counts, uncoded_bpsk(points, 2), strict=True):
        assert count.errors >= 200
        low, high = count.interval(0.9999)
        assert low <= rate <= high


def test_same_seed_same_counts() -> None:
    counts = count_block_errors(LINK, [0.0, 4.0], seed=3)
    assert counts == count_block_errors(LINK, [0.0, 4.0], seed=3)
    assert counts != count_block_errors(LINK, [0.0, 4.0], seed=4)
    assert counts[0] == count_block_errors(LINK, [0.0], seed=3)[0]


def test_waiting_ends() -> None:
    (count,) = count_block_errors(LINK, [40.0], most_blocks=30_000)
    assert count.errors == 0
    assert 30_000 <= count.blocks < 100_000
    assert count.interval(0.95)[0] == 0


@pytest.mark.parametrize("length", [0.99, 1.01, 0.0, np.nan])
def test_codes_of_other_energy_are_refused(length: float) -> None:
    codes = SQUARE.copy()
    codes[2] *= np.float32(length)
    with pytest.raises(ValueError, match="norm 1"):
        check_unit_norm(codes)
    link = dataclasses.replace(LINK, transmit=lambda messages, interference: codes[messages])
    with pytest.raises(ValueError, match="norm 1"):
        count_block_errors(link, [0.0])


def test_encoder_is_shown_the_interference_that_is_added() -> None:
    def interfere(generator: np.random.Generator, messages: NDArray[Any]) -> Array:
        return generator.standard_normal((len(messages), 2), np.float32)

    shown: list[Array] = []

    def transmit(messages: NDArray[Any], interference: Array) -> Array:
        shown.append(interference)
        return SQUARE[messages]

    def told(received: Array) -> NDArray[Any]:
        return nearest(received - shown[-1])

    informed = Link(4, interfere, transmit, told)
    (count,) = count_block_errors(informed, [2.0], at_least=2000)
    low, high = count.interval(0.9999)
    assert low <= uncoded_bpsk(2.0, 2) <= high
    (ignored,) = count_block_errors(dataclasses.replace(informed, receive=nearest), [2.0])
    assert ignored.rate > 0.3
