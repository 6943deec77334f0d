"""Losses of the compiled loop and their gradients against float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, softmax

from offset_autoencoder.config.registries import LOSSES as RECORDS
from offset_autoencoder.training.numba_engine.kernels import (
    ABSOLUTE_ERROR,
    HUBER,
    LOGITS_OF,
    LOSSES,
    POISSON,
    SIGMOID_CROSSENTROPY,
    SOFTMAX_CROSSENTROPY,
    loss_and_gradient,
)

KINDS = sorted(LOSSES.values())


def compiled(kind: int, x: Any, y: Any) -> tuple[float, Any]:
    gradient = np.full_like(y, np.nan)  # what was there before is not added to
    products = np.full(x.shape[1] + 3, np.nan, np.float32)
    return loss_and_gradient(kind, x, y, gradient, products, len(x)), gradient


def by_hand(kind: int, x: Any, y: Any) -> tuple[float, Any]:
    """The loss summed over rows, and the gradient of its mean, in float64."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    rows, features = x.shape
    if kind == SIGMOID_CROSSENTROPY:
        loss = (np.logaddexp(0, y) - y * x).mean(axis=1)
        return float(loss.sum()), (expit(y) - x) / (rows * features)
    if kind == SOFTMAX_CROSSENTROPY:
        loss = -(x * log_softmax(y, axis=1)).sum(axis=1)
        return float(loss.sum()), (softmax(y, axis=1) - x) / rows
    d, share = y - x, 1 / (rows * features)
    if kind == POISSON:
        with np.errstate(invalid="ignore"):  # no rate is below 0
            loss = (y - x * np.log(y + 1e-7)).mean(axis=1)
        return float(loss.sum()), share * (1 - x / (y + 1e-7))
    if kind == ABSOLUTE_ERROR:
        return float(np.abs(d).mean(axis=1).sum()), share * np.sign(d)
    if kind == HUBER:
        loss = np.where(np.abs(d) <= 1, d**2 / 2, np.abs(d) - 0.5).mean(axis=1)
        return float(loss.sum()), share * np.clip(d, -1, 1)
    return float((d**2).mean(axis=1).sum()), 2 * share * d


def check(kind: int, x: Any, y: Any) -> None:
    loss, gradient = compiled(kind, x, y)
    expected, slope = by_hand(kind, x, y)
    # An entropy is a difference of numbers as large as the logits.
    size = 1e-6 * np.abs(y).max() * len(x)
    np.testing.assert_allclose(loss, expected, rtol=3e-6, atol=size)
    np.testing.assert_allclose(gradient, slope, rtol=2e-6, atol=1e-6 / len(x))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(
    rows=st.sampled_from([1, 2, 63, 64, 65, 128, 150]),
    features=st.sampled_from([1, 2, 7, 12, 64, 67]),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 30.0, 100.0]),
    seed=st.integers(0, 99),
)
def test_losses_are_those_of_the_definition(
    kind: int, rows: int, features: int, scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.random((rows, features), dtype=np.float32)
    if kind == SOFTMAX_CROSSENTROPY:
        x = rng.dirichlet(np.full(features, 0.1), rows).astype(np.float32)
        x /= x.sum(axis=1, keepdims=True)
    else:
        x[rng.random(x.shape) < 0.3] = rng.integers(2)
    y = (scale * rng.normal(size=x.shape)).astype(np.float32)
    check(kind, x, np.abs(y) if kind == POISSON else y)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("logit", [0.0, 100.0, -100.0, 1e4])
def test_extreme_logits(kind: int, logit: float) -> None:
    """Zeros make every factor of the product of 200 rows a 2."""
    x = np.zeros((200, 9), np.float32)
    x[np.arange(200), np.arange(200) % 9] = 1
    check(kind, x, np.full_like(x, logit))
    signs = np.where(np.arange(9) % 2, 1, -1)
    check(kind, x, np.full_like(x, logit) * signs.astype(np.float32))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", [0, 63, 64, 99])
def test_a_single_nan_makes_the_loss_one(kind: int, row: int) -> None:
    x = np.full((100, 10), 0.1, np.float32)
    y = np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    y[row, 7] = np.nan
    loss, gradient = compiled(kind, x, y)
    assert np.isnan(loss)
    assert np.isnan(gradient[row, 7])


def test_kernels_are_those_of_the_losses_that_can_be_asked_for() -> None:
    assert set(LOSSES) <= set(RECORDS)
    for name, kind in LOSSES.items():
        assert LOGITS_OF.get(kind) == RECORDS[name].output


def test_no_unknown_kind_is_taken_for_another() -> None:
    with pytest.raises(ValueError, match="unknown kind of loss"):
        compiled(len(LOSSES), np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32))
