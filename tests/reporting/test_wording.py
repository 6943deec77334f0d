from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.reporting.wording import decimals_of, exponent_of, mean_and_half

NAN = math.nan


def _estimate(mean: float, half: float = NAN) -> Estimate:
    return Estimate(mean, half, mean - half, mean + half, 10)


@pytest.mark.parametrize(
    ("estimate", "interval", "expected"),
    [
        (_estimate(0.0123, 0.0046), True, "+1.2 ± 0.5"),
        (_estimate(0.0123, 0.0046), False, "+1.2"),
        (_estimate(-0.0123), True, "-1.2"),
        (_estimate(-0.0001, 0.01), True, "+0.0 ± 1.0"),
        (_estimate(NAN), True, "-"),
        (_estimate(math.inf), True, "inf"),
        (_estimate(5e6, 1.0), True, "+5.00e+08 ± 100.0"),
        (_estimate(0.95, 0.32).within((0, 1)), True, "+95.0 [+63.0, +100.0]"),
        (_estimate(0.95, 0.32).within((0, 1)), False, "+95.0"),
        (_estimate(0.95, 0.05).within((0, 1)), True, "+95.0 ± 5.0"),
        (_estimate(0.5).within((0, 1)), True, "+50.0"),
    ],
)
def test_what_is_known_is_shown(estimate: Estimate, interval: bool, expected: str) -> None:
    shown = mean_and_half(estimate, decimals=1, factor=100, signed=True, interval=interval)
    assert shown == expected


@pytest.mark.parametrize(
    ("half", "decimals", "expected"),
    [
        (0.38, 0, "77.0 ± 0.4"),
        (0.0021, 1, "77.000 ± 0.002"),
        (2e-9, 0, "77.000 ± 0.000"),
        (0.38, 1, "77.0 ± 0.4"),
        (0.0, 0, "77 ± 0"),
    ],
)
def test_an_interval_is_not_shown_as_none_at_all(half: float, decimals: int, expected: str) -> None:
    assert mean_and_half(_estimate(77, half), decimals=decimals) == expected


@given(st.floats(1e-3, 9.94e5), st.integers(-9, 9))
def test_the_typical_half_interval_has_two_digits_at_any_scale(size: float, power: int) -> None:
    estimates = [_estimate(10 * size * 10.0**power, size * 10.0**power)] * 3
    decimals = decimals_of(estimates, factor=10.0**-power)
    shown = f"{size:.{decimals}f}"
    digits = shown.replace(".", "").lstrip("0")
    # 9.96 is rounded up to 10.0; and above 10 there are no decimals to take away.
    assert len(digits) in (2, 3) or (decimals == 0 and size >= 10)


@pytest.mark.parametrize(
    ("means", "expected"),
    [([0.009, 0.02], -3), ([0.31], 0), ([3e6, 2e6], 6), ([NAN, 0.0], 0), ([2e-9], -9)],
)
def test_small_and_large_values_are_shown_in_powers_of_a_thousand(
    means: list[float], expected: int
) -> None:
    assert exponent_of(means) == expected
