from __future__ import annotations

from fractions import Fraction
from math import pi, sin, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from tests.small_params import small_params

from offset_autoencoder.config import parse_params
from offset_autoencoder.config.offset_kinds import InterferenceOffset
from offset_autoencoder.errors import InputError
from offset_autoencoder.offsets import interference
from offset_autoencoder.offsets.kind import Float32, Samples, Training

WHERE = "params.yaml: offsets.mine"
POINTS = ("bpsk", "qpsk", "psk8", "qam16")


def signal(ids: NDArray[Any], latent_dim: int = 6, **keys: Any) -> Float32:
    params = InterferenceOffset.model_validate(keys)
    x = np.random.default_rng(len(ids)).random((len(ids), 3), dtype=np.float32)
    state = interference.fit(WHERE, params, Training(x, ids=ids), latent_dim)
    return interference.apply(WHERE, state, Samples(x, ids=ids))


def drawn(points: str, ids: NDArray[Any], latent_dim: int = 6, seed: int = 0) -> Float32:
    return signal(ids, latent_dim, signal="constellation", points=points, seed=seed)


def test_wave_runs_on_through_the_samples() -> None:
    table = signal(np.arange(7), 5, frequency=0.13, phase=0.4)
    assert table.dtype == np.float32
    time = np.arange(35)
    np.testing.assert_allclose(
        table.ravel(), np.sqrt(2) * np.sin(2 * np.pi * 0.13 * time + 0.4), atol=1e-6
    )


@settings(max_examples=50, deadline=None)
@given(st.integers(-(2**63), 2**63 - 1), st.floats(1e-6, 0.499), st.floats(-10, 10))
def test_large_ids_lose_no_digits(name: int, frequency: float, phase: float) -> None:
    got = interference.sinusoid(np.array([name]), 3, frequency, phase)[0]
    for j in range(3):
        turns = float(Fraction(frequency) * (name * 3 + j) % 1)
        assert abs(got[j] - sqrt(2) * sin(2 * pi * turns + phase)) < 1e-12


def test_wave_has_unit_power_over_its_cycle() -> None:
    assert np.square(signal(np.arange(5000), 16)).mean() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("keys", [{}, {"signal": "constellation", "points": "qam16"}])
@pytest.mark.parametrize("ids", [np.array([4, 9, -2, 70]), np.array(["a", "b", "é", "a b"])])
def test_same_id_same_signal_in_any_order_and_among_others(
    ids: NDArray[Any], keys: dict[str, Any]
) -> None:
    table = signal(ids, **keys)
    turned = signal(ids[::-1][:3], **keys)
    assert turned.tobytes() == table[::-1][:3].tobytes()
    assert len(np.unique(table, axis=0)) == 4


# What id 3 got when the kind was made: tables made today and later must agree.
@pytest.mark.parametrize(("points", "first"), [("bpsk", [1, -1, 1, -1]), ("qam16", [-1, 3, 1, -3])])
def test_symbols_of_a_known_id(points: str, first: list[float]) -> None:
    unit = 1 if points == "bpsk" else np.sqrt(5)
    np.testing.assert_allclose(drawn(points, np.array([3]), 4)[0] * unit, first, rtol=1e-6)


@pytest.mark.parametrize("points", POINTS)
def test_alphabets_have_unit_power_and_no_mean(points: str) -> None:
    alphabet = interference.alphabet(points)
    assert np.square(alphabet).mean(axis=0) == pytest.approx(1)
    assert alphabet.mean(axis=0) == pytest.approx(0, abs=1e-12)
    size = {"bpsk": 2, "qpsk": 4, "psk8": 8, "qam16": 16}[points]
    assert len(np.unique(alphabet.round(9), axis=0)) == size == len(alphabet)


@pytest.mark.parametrize("points", POINTS)
def test_symbols_are_uniform_and_independent_of_their_neighbours(points: str) -> None:
    alphabet = interference.alphabet(points)
    table = drawn(points, np.arange(4000), 2 * alphabet.shape[1])
    pairs = table.reshape(4000, 2, -1)
    nearest = np.abs(pairs[:, :, None] - alphabet).sum(axis=3)
    assert nearest.min(axis=2).max() < 1e-6
    index = nearest.argmin(axis=2)
    counts = np.bincount(index[:, 0] * len(alphabet) + index[:, 1], minlength=len(alphabet) ** 2)
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("points", POINTS)
def test_smaller_latent_dim_is_the_beginning_of_a_larger(points: str) -> None:
    ids = np.arange(20)
    assert np.array_equal(drawn(points, ids, 3), drawn(points, ids, 8)[:, :3])


def test_seed_draws_other_symbols() -> None:
    ids = np.arange(50)
    assert not np.array_equal(drawn("bpsk", ids, seed=0), drawn("bpsk", ids, seed=1))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"points": "qpsk"}, "offsets.mine.points: points does not go with signal: sinusoid"),
        (
            {"signal": "constellation", "frequency": 0.1},
            "offsets.mine.frequency: frequency does not go with signal: constellation",
        ),
        ({"frequency": 0.5}, "offsets.mine.frequency: "),
        ({"frequency": 0}, "offsets.mine.frequency: "),
        ({"signal": "constelation"}, "did you mean 'constellation'?"),
    ],
)
def test_keys_that_do_not_suit(keys: dict[str, Any], expected: str) -> None:
    offsets = {"none": {"kind": "zero"}, "mine": {"kind": "interference", **keys}}
    with pytest.raises(InputError) as caught:
        parse_params(small_params(offsets=offsets))
    assert expected in str(caught.value)
