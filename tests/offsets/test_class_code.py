from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard

from offset_autoencoder.config.offset_kinds import ClassCodeOffset, DataShape
from offset_autoencoder.errors import InputError
from offset_autoencoder.offsets import class_code
from offset_autoencoder.offsets.kind import Float32, Samples, State, Training

WHERE = "params.yaml: offsets.class_code"
X = np.zeros((4, 2), dtype=np.float32)


def fit(code: str, n_classes: int, latent_dim: int, seed: int = 0) -> State:
    params = ClassCodeOffset.model_validate({"code": code, "seed": seed})
    return class_code.fit(WHERE, params, Training(X, n_classes=n_classes), latent_dim)


def code_of(code: str, n_classes: int, latent_dim: int) -> Float32:
    table: Float32 = fit(code, n_classes, latent_dim)["code"]
    return table


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(0, 9))
def test_simplex_vertices_are_unit_and_equally_far(n_classes: int, spare: int) -> None:
    code = code_of("simplex", n_classes, n_classes - 1 + spare).astype(np.float64)
    expected = np.full((n_classes, n_classes), -1 / (n_classes - 1))
    np.fill_diagonal(expected, 1)
    np.testing.assert_allclose(code @ code.T, expected, atol=1e-6)
    assert (code[:, n_classes - 1 :] == 0).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 20))
def test_random_code_suits_any_latent_dim(n_classes: int, latent_dim: int) -> None:
    code = code_of("random", n_classes, latent_dim)
    np.testing.assert_allclose(np.linalg.norm(code, axis=1), 1, rtol=1e-6)
    assert np.array_equal(code, code_of("random", n_classes, latent_dim))


def test_random_code_has_no_favourite_direction() -> None:
    code = code_of("random", 4000, 3).astype(np.float64)
    np.testing.assert_allclose(code.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(code.T @ code / 4000, np.eye(3) / 3, atol=0.03)


def test_random_code_follows_its_seed() -> None:
    first, other = (fit("random", 3, 5, seed)["code"] for seed in (0, 1))
    assert not np.array_equal(first, other)


def test_simplex_of_two_is_a_sign() -> None:
    assert code_of("simplex", 2, 3).tolist() == [[1, 0, 0], [-1, 0, 0]]


def test_one_hot_is_zero_padded() -> None:
    assert code_of("one_hot", 2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(("n_classes", "latent_dim"), [(10, 16), (16, 16), (2, 2), (1, 1), (3, 64)])
def test_hadamard_rows_are_orthonormal_signs(n_classes: int, latent_dim: int) -> None:
    code = code_of("hadamard", n_classes, latent_dim).astype(np.float64)
    np.testing.assert_allclose(code @ code.T, np.eye(n_classes), atol=1e-6)
    np.testing.assert_allclose(code * np.sqrt(latent_dim), hadamard(latent_dim)[:n_classes], 1e-6)


@pytest.mark.parametrize(
    ("code", "n_classes", "latent_dim", "expected"),
    [
        ("one_hot", 10, 9, "at least 10, not 9"),
        ("simplex", 10, 8, "at least 9, not 8"),
        ("hadamard", 10, 8, "a power of two, the next is 16, not 8"),
        ("hadamard", 10, 12, "a power of two, the next is 16, not 12"),
        ("hadamard", 10, 17, "a power of two, the next is 32, not 17"),
        ("simplex", 1, 8, "a simplex needs two classes, the data has 1"),
    ],
)
def test_latent_dim_that_does_not_suit(
    code: str, n_classes: int, latent_dim: int, expected: str
) -> None:
    params = ClassCodeOffset.model_validate({"code": code})
    with pytest.raises(InputError) as caught:
        params.check_shape(WHERE, DataShape(4, 2, n_classes), [latent_dim])
    assert str(caught.value).startswith(f"{WHERE}.code: ")
    assert expected in str(caught.value)


def test_each_sample_has_the_vector_of_its_label() -> None:
    state = fit("simplex", 3, 2)
    y = np.array([2, 0, 2, 1])
    table = class_code.apply(WHERE, state, Samples(X, y))
    assert table.dtype == np.float32
    assert table.tolist() == [state["code"][label].tolist() for label in y]


def test_missing_labels_name_the_offset_and_the_key() -> None:
    with pytest.raises(InputError, match=r"offsets.class_code: .*needs labels.*data.label"):
        ClassCodeOffset().check_shape(WHERE, DataShape(4, 2, None), [4])
    with pytest.raises(InputError, match="needs labels"):
        class_code.apply(WHERE, fit("one_hot", 3, 4), Samples(X))
