from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from offset_autoencoder.evaluation.examples import (
    CODE_COLUMNS,
    code_points,
)


def test_points_are_principal_components() -> None:
    rng = np.random.default_rng(0)
    code = rng.normal(size=(40, 5)) * [3, 2, 1, 1, 1] @ rng.normal(size=(5, 5))
    rows = code_points("pca", code.astype(np.float32), np.arange(40), list("ab" * 20))
    assert list(vars(rows[0])) == list(CODE_COLUMNS)
    expected = PCA(2).fit(code)
    found = np.array([[row.c1, row.c2] for row in rows])
    places = expected.transform(code)
    signs = np.sign(expected.components_[[0, 1], np.abs(expected.components_).argmax(axis=1)])
    np.testing.assert_allclose(found, places * signs, rtol=1e-4, atol=1e-5)
    shares = np.array([rows[0].share1, rows[0].share2], dtype=np.float64)
    np.testing.assert_allclose(shares, expected.explained_variance_ratio_, rtol=1e-5)
    assert [row.label for row in rows[:2]] == ["a", "b"]


def test_mirrored_codes_give_the_same_points() -> None:
    code = np.random.default_rng(1).normal(size=(20, 3))
    first, second = (code_points("a", each, range(20), None) for each in (code, code[:, ::-1]))
    np.testing.assert_allclose([row.c1 for row in first], [row.c1 for row in second], atol=1e-12)


def test_one_dimension_has_no_second_component() -> None:
    rows = code_points("a", np.array([[1.0], [3.0]]), [7, 8], None)
    assert [(row.c1, row.c2) for row in rows] == [(-1, 0), (1, 0)]
    assert (rows[0].share1, rows[0].share2) == (1, 0)


@pytest.mark.parametrize("code", [np.ones((3, 4)), np.zeros((1, 2))])
def test_codes_without_variance_stand_in_one_place(code: np.ndarray) -> None:
    rows = code_points("a", code, range(len(code)), None)
    assert {(row.c1, row.c2, row.share1) for row in rows} == {(0.0, 0.0, None)}


def test_what_is_not_finite_is_left_out() -> None:
    code = np.array([[0.0, 1.0], [np.nan, 1.0], [2.0, 5.0], [np.inf, 0.0]])
    assert [row.sample for row in code_points("a", code, list("wxyz"), None)] == ["w", "y"]
    assert code_points("a", np.full((2, 2), np.nan), [1, 2], None) == []
    assert code_points("a", np.zeros((0, 2)), [], None) == []
