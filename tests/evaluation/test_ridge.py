from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offset_autoencoder.evaluation.probes import fit, moments, squared_error

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(2, 1, size=(200, 3))
TARGETS = FEATURES @ RNG.normal(size=(3, 4)) + RNG.normal(size=(200, 4))
TRAIN = moments(FEATURES, [TARGETS], TARGETS.mean(axis=0))


@given(st.floats(0, 100), st.integers(1, 30), st.floats(-3, 3))
@settings(max_examples=30, deadline=None)
def test_the_error_of_a_split_needs_no_second_look_at_its_samples(
    strength: float, count: int, shift: float
) -> None:
    rng = np.random.default_rng(count)
    rows, wanted = rng.normal(shift, 1, size=(count, 3)), rng.normal(size=(count, 4))
    held_out = moments(rows, [wanted[:, :1], wanted[:, 1:]], wanted.mean(axis=0))
    (fitted,) = fit(TRAIN, [strength])
    own = np.square(wanted - wanted.mean(axis=0)).sum()
    expected = np.square(fitted(rows) - wanted).sum()
    assert squared_error(fitted, held_out) + own == pytest.approx(expected, rel=1e-9)


def test_without_a_penalty_it_is_least_squares_and_no_other_map_does_better() -> None:
    (fitted,) = fit(TRAIN, [0.0])
    design = np.c_[np.ones(len(FEATURES)), FEATURES]
    expected = design @ np.linalg.lstsq(design, TARGETS, rcond=None)[0]
    np.testing.assert_allclose(fitted(FEATURES), expected, atol=1e-9)


def test_mixed_features_are_those_of_the_mixture() -> None:
    mixing = RNG.normal(size=(3, 2))
    mixed, direct = TRAIN.mixed(mixing), moments(FEATURES @ mixing, [TARGETS], TRAIN.target_mean)
    for name in ("mean", "squares", "cross"):
        np.testing.assert_allclose(getattr(mixed, name), getattr(direct, name), atol=1e-9)


def test_directions_without_variance_get_no_weight_even_without_a_penalty() -> None:
    copies = np.repeat(FEATURES[:, :1], 3, axis=1)
    (fitted,) = fit(moments(copies, [TARGETS], TRAIN.target_mean), [0.0])
    (single,) = fit(moments(FEATURES[:, :1], [TARGETS], TRAIN.target_mean), [0.0])
    np.testing.assert_allclose(fitted.weights, np.repeat(single.weights, 3, axis=0) / 3, atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e8 / 7])
def test_what_varies_by_rounding_alone_gets_no_weight(value: float) -> None:
    constant = np.full((200, 2), value)
    constant[::2] = np.nextafter(constant[::2], np.inf)
    for fitted in fit(moments(constant, [TARGETS], TRAIN.target_mean), [0.0, 1.0]):
        assert not fitted.weights.any()
        np.testing.assert_allclose(fitted(constant[:2]), TARGETS.mean(axis=0)[None].repeat(2, 0))
