from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

from offset_autoencoder.config import Params, Run
from offset_autoencoder.evaluation.encoder_adaptation import (
    EncoderAdaptation,
    adaptation_word,
    donor_shift,
    encoder_adaptation,
    summarise_encoder_adaptation,
)
from offset_autoencoder.evaluation.statistics import mean_and_interval

MakeParams = Callable[..., Params]

N, L = 400, 5
RNG = np.random.default_rng(0)
OFFSET = (RNG.normal(size=(N, L)) * [0.1, 0.2, 0.4, 0.8, 1.6] + 3).astype(np.float32)
NOISE = RNG.normal(size=(N, L)).astype(np.float32)


@pytest.mark.parametrize("slope", [-1.0, 0.0, 0.6])
def test_slope_and_share_are_those_of_least_squares(slope: float) -> None:
    code = slope * OFFSET + NOISE - 7
    found = encoder_adaptation(code, OFFSET)
    assert found is not None
    # One slope for all coordinates, an intercept each.
    pooled = (OFFSET - OFFSET.mean(axis=0)).reshape(-1, 1)
    centred = (code - code.mean(axis=0)).ravel()
    reference = LinearRegression(fit_intercept=False).fit(pooled.astype(float), centred)
    assert found.slope == pytest.approx(reference.coef_[0], abs=1e-5)
    assert found.slope == pytest.approx(slope, abs=0.1)
    every = LinearRegression().fit(OFFSET.astype(float), code.astype(float))
    residual = np.square(every.predict(OFFSET.astype(float)) - code).sum()
    share = 1 - residual / np.square(code - code.mean(axis=0)).sum()
    assert found.explained == pytest.approx(1 - (1 - share) * (N - 1) / (N - 1 - L), abs=1e-5)
    assert found.plain_slope is None


def test_a_share_by_chance_is_about_zero() -> None:
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(300):
        found = encoder_adaptation(rng.normal(size=(40, 10)), rng.normal(size=(40, 10)))
        assert found is not None
        shares.append(found.explained)
    assert abs(np.mean(shares)) < 0.01


def test_the_plain_slope_is_that_of_the_other_code() -> None:
    found = encoder_adaptation(NOISE - OFFSET, OFFSET, NOISE + 2 * OFFSET)
    other = encoder_adaptation(NOISE + 2 * OFFSET, OFFSET)
    assert found is not None
    assert other is not None
    assert found.plain_slope == other.slope


def test_an_offset_that_does_not_vary_has_no_answer() -> None:
    assert encoder_adaptation(NOISE, np.zeros_like(NOISE)) is None
    assert encoder_adaptation(NOISE, np.full_like(NOISE, 0.1)) is None
    assert encoder_adaptation(NOISE, np.full_like(NOISE, 1e6)) is None


def test_few_samples_leave_the_share_unknown() -> None:
    found = encoder_adaptation(NOISE[:4], OFFSET[:4])
    assert found is not None
    assert np.isnan(found.explained)
    with pytest.raises(ValueError, match="shape"):
        encoder_adaptation(NOISE, OFFSET[:5])


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (-1.1, -0.9, "cancels"),
        (0.01, 0.2, "reinforces"),
        (-0.2, -0.01, "cancels"),
        (-0.03, 0.04, "ignores"),
        (0.01, 0.03, "ignores"),
        (-0.03, 0.3, "inconclusive"),
        (np.nan, np.nan, "unknown"),
    ],
)
def test_the_word_is_by_the_interval(low: float, high: float, word: str) -> None:
    values = np.array([low, high])
    slope = mean_and_interval(values, 0.5)  # of two values: exactly from one to the other
    assert adaptation_word(slope) == word


def test_the_word_is_for_what_training_with_the_offset_did(make_params: MakeParams) -> None:
    params = make_params()
    adaptations: list[tuple[Run, EncoderAdaptation | None]] = []
    for run in params.runs:
        plain = 0.5 if run.setting.label == "frozen rms=0.1" else None
        adapted = EncoderAdaptation(0.5 + 0.001 * run.seed, 0.3, plain)
        adaptations.append((run, adapted if run.setting.model == "frozen" else None))
    known, unknown = summarise_encoder_adaptation(adaptations)
    assert (known.setting.label, known.word) == ("frozen rms=0.1", "ignores")
    assert (known.learnt_slope.mean, known.plain_slope.mean) == pytest.approx((0.0045, 0.5))
    # Without a run that was trained without it, the same slope may be there by chance.
    assert (unknown.setting.label, unknown.word) == ("frozen rms=0.2", "unknown")
    assert (unknown.learnt_slope.count, unknown.slope.count) == (0, 10)


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
