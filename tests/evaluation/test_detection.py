"""AUROC and average precision against scikit-learn's, with ties, and where they are not defined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from offset_autoencoder.evaluation.detection import auroc, average_precision

SAMPLES = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({flag for _, flag in pairs}) == 2
)


@given(SAMPLES)
def test_they_are_scikit_learns(pairs: list[tuple[int, bool]]) -> None:
    errors, is_anomaly = (np.array(part) for part in zip(*pairs, strict=True))
    expected = roc_auc_score(is_anomaly, errors), average_precision_score(is_anomaly, errors)
    found = auroc(errors / 7, is_anomaly), average_precision(errors / 7, is_anomaly)
    assert found == pytest.approx(expected, abs=1e-12)


def test_by_hand() -> None:
    errors, is_anomaly = np.array([4.0, 3.0, 2.0, 2.0, 1.0]), np.array([1, 0, 1, 0, 0], bool)
    assert auroc(errors, is_anomaly) == pytest.approx((3 + 1 + 0.5) / 6)
    assert average_precision(errors, is_anomaly) == pytest.approx((1 / 1 + 2 / 4) / 2)
    assert auroc(-errors, is_anomaly) == pytest.approx(1 - 4.5 / 6)
    assert auroc(np.array([np.inf, 1.0]), np.array([True, False])) == 1


@pytest.mark.parametrize("score", [auroc, average_precision])
def test_unknown_is_nan(score: object) -> None:
    assert callable(score)
    assert np.isnan(score(np.array([1.0, np.nan]), np.array([True, False])))
    assert np.isnan(score(np.array([1.0, 2.0]), np.array([False, False])))


def test_without_a_normal_sample_there_is_no_pair() -> None:
    assert np.isnan(auroc(np.array([1.0, 2.0]), np.array([True, True])))
