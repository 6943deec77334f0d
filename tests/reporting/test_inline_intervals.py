from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offset_autoencoder.evaluation.statistics import Estimate
from offset_autoencoder.reporting.tables import (
    WIDTH,
    Mark,
    draw_axis,
    draw_row,
    percent_axis,
    value_axis,
)

NAN = float("nan")
values = st.floats(-1e9, 1e9, allow_subnormal=False)


def estimate(mean: float, low: float = NAN, high: float = NAN) -> Estimate:
    return Estimate(mean, NAN, low, high, 0)


@given(st.lists(values, min_size=2, max_size=8))
@example([2.3e-308, 2.3e-308])
@example([2.3e-308, 5e-308])
@example([1e-300, 0.5])
def test_places_keep_the_order_of_values_and_stay_within(found: list[float]) -> None:
    for axis in (percent_axis(map(estimate, found)), value_axis(map(estimate, found), 1)):
        places = [axis.place(value) for value in sorted(found)]
        assert all(0 <= place <= WIDTH for place in places)
        assert places == sorted(places)
        shown = [(axis.place(value), len(text)) for value, text in axis.ticks if text]
        for (at, letters), (later, its_letters) in itertools.pairwise(shown):
            assert later - at > 6 * (letters + its_letters) / 2  # numbers do not touch


def test_percent_is_linear_near_zero_and_logarithmic_beyond() -> None:
    axis = percent_axis([estimate(10.0), estimate(-10.0)])
    zero = axis.place(0)
    assert axis.place(0.1) - zero == pytest.approx(2 * (axis.place(0.05) - zero))
    assert axis.place(10) - axis.place(1) == pytest.approx(axis.place(1) - axis.place(0.1))
    assert zero - axis.place(-0.7) == pytest.approx(axis.place(0.7) - zero)
    assert {text for _, text in axis.ticks} >= {"-1000", "0", "+1000"}


def test_a_metric_above_zero_has_a_logarithmic_axis() -> None:
    axis = value_axis([estimate(0.004), estimate(0.03)], 1000)
    assert axis.place(0.02) - axis.place(0.01) == pytest.approx(
        axis.place(0.01) - axis.place(0.005)
    )
    assert {text for _, text in axis.ticks} >= {"5", "10", "20"}
    assert value_axis([estimate(-0.1), estimate(0.5)], 1).scale == "linear"


def test_a_row_draws_what_is_known() -> None:
    axis = percent_axis([estimate(0.2, 0.1, 0.4)])
    whole = draw_row(axis, [Mark(estimate(0.2, 0.1, 0.4), "x")])
    (bar,) = re.findall(r'class="bar" d="M([\d.]+) [\d.]+H([\d.]+)"', whole)
    (middle,) = re.findall(r'cx="([\d.]+)"', whole)
    expected = [axis.place(value) for value in (0.1, 0.2, 0.4)]
    assert [float(bar[0]), float(middle), float(bar[1])] == pytest.approx(expected, abs=0.06)
    alone = draw_row(axis, [Mark(estimate(0.2), "x")])
    assert "bar" not in alone
    assert "<circle" in alone
    assert "circle" not in draw_row(axis, [Mark(estimate(NAN), "x")])


def test_nothing_known_still_gives_an_axis() -> None:
    for axis in (percent_axis([estimate(NAN)]), value_axis([estimate(NAN)], 1), value_axis([], 1)):
        assert "nan" not in draw_axis(axis)
        assert axis.place(0) < axis.place(1)


def test_one_value_gives_an_axis_around_it() -> None:
    axis = value_axis([estimate(0.5)], 1)
    assert 0.2 * WIDTH < axis.place(0.5) < 0.8 * WIDTH
    assert len(axis.ticks) >= 2


def test_a_narrow_axis_has_round_numbers_too() -> None:
    axis = value_axis([estimate(0.0071), estimate(0.0079)], 1000)
    assert {"7", "8", "9"} == {text for _, text in axis.ticks}
