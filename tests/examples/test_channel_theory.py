from __future__ import annotations

import itertools

import numpy as np
import pytest
from channel.theory import (
    cone_half_angle,
    hamming_codebook,
    hamming_hard,
    maximum_likelihood,
    noise_stddev,
    sphere_packing_bound,
    theory_of,
    uncoded_bpsk,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

POINTS = (-2.0, 0.0, 2.0, 4.0, 6.0)


def test_stddev_gives_back_ebn0() -> None:
    stddev = noise_stddev(POINTS, bits=4)
    np.testing.assert_allclose(10 * np.log10(1 / (2 * 4 * stddev**2)), POINTS, atol=1e-12)


def test_uncoded_is_right_where_every_bit_is() -> None:
    wrong = stats.norm.sf(np.sqrt(2 * 10 ** (np.array(POINTS) / 10)))
    np.testing.assert_allclose(uncoded_bpsk(POINTS, 3), 1 - stats.binom.pmf(0, 3, wrong))
    np.testing.assert_allclose(uncoded_bpsk([0, 2, 4], 2), [0.1511, 0.0736, 0.0249], atol=6e-5)


def test_codebook_is_the_hamming_code() -> None:
    words = hamming_codebook()
    bits = (words < 0).astype(int)
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), 1)
    sums = {tuple(a ^ b) for a, b in itertools.product(bits, bits)}
    assert sums == {tuple(word) for word in bits}
    assert sorted(bits.sum(axis=1)) == [0] + [3] * 7 + [4] * 7 + [7]


def test_hard_decisions_against_every_pattern_of_wrong_bits() -> None:
    bits = (hamming_codebook() < 0).astype(int)
    patterns = np.array(list(itertools.product((0, 1), repeat=7)))
    decoded = bits[np.argmin((patterns[:, None] != bits).sum(axis=2), axis=1)]
    lost = patterns[decoded.any(axis=1)].sum(axis=1)
    for db in POINTS:
        p = stats.norm.sf(np.sqrt(2 * 4 / 7 * 10 ** (db / 10)))
        np.testing.assert_allclose(hamming_hard(db), np.sum(p**lost * (1 - p) ** (7 - lost)))


def test_maximum_likelihood_of_codes_whose_rate_is_known() -> None:
    square = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) / np.sqrt(2)
    found = maximum_likelihood(square, POINTS, directions=1 << 16)
    assert np.all(np.abs(found.rate - uncoded_bpsk(POINTS, 2)) < 5 * found.standard_error)
    pair = np.array([[0.6, 0.8], [-0.6, -0.8]])
    found = maximum_likelihood(pair, POINTS, directions=1 << 16)
    assert np.all(np.abs(found.rate - uncoded_bpsk(POINTS, 1)) < 5 * found.standard_error)


def test_maximum_likelihood_against_blocks_sent_one_by_one() -> None:
    words = hamming_codebook()
    generator = np.random.default_rng(3)
    blocks = 200_000
    found = maximum_likelihood(words, POINTS[:3], directions=1 << 16)
    for db, rate in zip(POINTS, found.rate, strict=False):
        sent = generator.integers(16, size=blocks)
        noise = noise_stddev(db, 4) * generator.standard_normal((blocks, 7))
        wrong = np.mean(np.argmax((words[sent] + noise) @ words.T, axis=1) != sent)
        assert abs(wrong - rate) < 5 * np.sqrt(rate / blocks)


def test_maximum_likelihood_of_words_of_unequal_energy() -> None:
    words = np.array([[0.0, 0.0], [2.0, 0.0]])
    found = maximum_likelihood(words, [3.0], directions=1 << 16)
    exact = stats.norm.sf(1 / noise_stddev(3.0, 1))
    assert abs(found.rate[0] - exact) < 5 * found.standard_error[0]


@pytest.mark.parametrize(("messages", "dimensions"), [(2, 2), (4, 2), (16, 7), (256, 8)])
def test_cone_takes_its_share_of_all_directions(messages: int, dimensions: int) -> None:
    angle = cone_half_angle(messages, dimensions)

    def surface(end: float) -> float:
        return float(integrate.quad(lambda a: np.sin(a) ** (dimensions - 2), 0, end)[0])

    assert surface(angle) / surface(np.pi) == pytest.approx(1 / messages, rel=1e-9)


def test_bound_against_the_integral_over_the_noise_across_the_word() -> None:
    for bits, dimensions in ((2, 2), (4, 7), (8, 8)):
        slope = 1 / np.tan(cone_half_angle(2**bits, dimensions))
        for db in POINTS:
            along = 1 / float(noise_stddev(db, bits))
            across = stats.chi(dimensions - 1)
            outside = integrate.quad(
                lambda r, along=along, slope=slope, across=across: (
                    across.pdf(r) * stats.norm.cdf(r * slope - along)
                ),
                0,
                np.inf,
                epsabs=0,
                epsrel=1e-9,
            )[0]
            assert sphere_packing_bound(db, bits, dimensions) == pytest.approx(outside, rel=1e-7)


def test_reference_points_of_seven_four() -> None:
    curves = theory_of(4, 7, [0, 2, 4])
    target = curves.curves[curves.target]
    np.testing.assert_allclose(target, [0.179, 0.0639, 0.0117], rtol=0.015)
    np.testing.assert_allclose(curves.bound, [0.158, 0.0498, 0.00706], rtol=0.006)


def test_square_reaches_the_bound() -> None:
    np.testing.assert_allclose(sphere_packing_bound(POINTS, 2, 2), uncoded_bpsk(POINTS, 2))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_no_code_is_below_the_bound(bits: int, dimensions: int, seed: int) -> None:
    words = np.random.default_rng(seed).standard_normal((2**bits, dimensions))
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    found = maximum_likelihood(words, POINTS, directions=1 << 12)
    bound = sphere_packing_bound(POINTS, bits, dimensions)
    assert np.all(found.rate + 5 * found.standard_error >= bound * (1 - 1e-9))


def test_bound_needs_room_for_a_cone() -> None:
    with pytest.raises(ValueError, match="two"):
        sphere_packing_bound(0.0, 4, 1)
