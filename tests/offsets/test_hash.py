from __future__ import annotations

import hashlib
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import stats

from offset_autoencoder.config.offset_kinds import HashOffset
from offset_autoencoder.offsets import hash
from offset_autoencoder.offsets.kind import Float32, Samples, Training

# What f([0, 0.5, 1]) was when the kind was made: tables made today and later must agree.
KNOWN = [[-0.5832275748252869, -1.6092747449874878, -0.16044312715530396, 1.3678677082061768]]


def hash_offset(x: Float32, latent_dim: int = 16, seed: int = 0) -> Float32:
    state = hash.fit("offsets.h", HashOffset(seed=seed), Training(x), latent_dim)
    return hash.apply("offsets.h", state, Samples(x))


def samples(n: int, input_dim: int = 8, seed: int = 0) -> Float32:
    return np.random.default_rng(seed).random((n, input_dim), dtype=np.float32)


def test_is_shake_128_and_box_muller_as_documented() -> None:
    row = [0.25, -3.5, 0.0]
    key = struct.pack("<Q", 7) + struct.pack("<3f", *row)
    bits = [v >> 11 for v in struct.unpack("<4Q", hashlib.shake_128(key).digest(32))]
    expected = []
    for a, b in ((bits[0], bits[1]), (bits[2], bits[3])):
        radius = math.sqrt(-2 * math.log((a + 1) / 2**53))
        expected += [radius * math.cos(2 * math.pi * b / 2**53)]
        expected += [radius * math.sin(2 * math.pi * b / 2**53)]
    got = hash_offset(np.array([row], dtype=np.float32), latent_dim=3, seed=7)
    np.testing.assert_allclose(got[0], expected[:3], rtol=2e-7)


def test_known_vector_does_not_drift() -> None:
    got = hash_offset(np.array([[0.0, 0.5, 1.0]], dtype=np.float32), latent_dim=4)
    np.testing.assert_allclose(got, KNOWN, rtol=3e-7)


@settings(max_examples=25, deadline=None)
@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 12), st.integers(1, 5)),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    ),
    st.integers(1, 9),
)
def test_depends_on_the_sample_alone(x: Float32, latent_dim: int) -> None:
    order = np.random.default_rng(len(x)).permutation(len(x))
    table = hash_offset(x, latent_dim)
    assert np.isfinite(table).all()
    assert np.array_equal(hash_offset(x[order], latent_dim), table[order])
    alone = np.concatenate([hash_offset(row[None], latent_dim) for row in x])
    assert np.array_equal(alone, table)


def test_memory_order_byte_order_and_the_sign_of_zero_do_not_matter() -> None:
    x = samples(20)
    x[3] = 0
    assert np.array_equal(hash_offset(np.where(x == 0, np.float32(-0.0), x)), hash_offset(x))
    assert np.array_equal(hash_offset(np.asfortranarray(x)), hash_offset(x))
    assert np.array_equal(hash_offset(x.astype(">f4")), hash_offset(x))


def test_one_bit_changes_everything() -> None:
    x = samples(2000)
    changed = x.copy()
    changed[:, 3] = np.nextafter(changed[:, 3], np.float32(2))
    a, b = hash_offset(x), hash_offset(changed)
    assert not np.any(a == b)
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.03


def test_seeds_are_unrelated() -> None:
    x = samples(2000)
    a, b = hash_offset(x, seed=0), hash_offset(x, seed=1)
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.03


def test_shorter_vectors_begin_longer_ones() -> None:
    x = samples(10)
    assert np.array_equal(hash_offset(x, 5), hash_offset(x, 8)[:, :5])


@pytest.fixture(scope="module")
def large() -> NDArray[np.float64]:
    return hash_offset(samples(20_000, 4), 16).astype(np.float64)


def test_coordinates_are_standard_normal(large: NDArray[np.float64]) -> None:
    n = large.size
    assert abs(large.mean()) < 4 / math.sqrt(n)
    assert abs(large.var() - 1) < 4 * math.sqrt(2 / n)
    for column in large.T:
        assert stats.kstest(column, "norm").pvalue > 1e-4


def test_coordinates_are_uncorrelated(large: NDArray[np.float64]) -> None:
    bound = 5 / math.sqrt(len(large))
    correlation = np.corrcoef(large, rowvar=False) - np.eye(16)
    assert np.abs(correlation).max() < bound
    assert np.abs(np.corrcoef(large**2, rowvar=False) - np.eye(16)).max() < bound
    assert abs(np.corrcoef(large[:-1].ravel(), large[1:].ravel())[0, 1]) < bound
