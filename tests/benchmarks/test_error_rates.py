"""Error rates by simulation: what the docs state, with fewer draws and bounds to match."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.error_rates import (
    EFFECTS,
    NOISES,
    Rate,
    family_rates,
    holm,
    print_tables,
    split_rates,
    two_way_rates,
)


def _at_most(rate: Rate, nominal: float) -> bool:
    """True unless the rate is above the nominal one by more than three standard errors."""
    return rate.share <= nominal + 3 * np.sqrt(nominal * (1 - nominal) / rate.of)


@pytest.mark.parametrize("noise", NOISES)
def test_even_one_false_difference_is_rare(noise: str) -> None:
    rates = family_rates(8, NOISES[noise], (), draws=400, seed=0)["joint sign flips"]
    assert _at_most(rates["false"], 0.05)
    assert rates["word"].seen <= rates["false"].seen


def test_true_differences_are_found_more_often_than_by_holm_and_false_ones_are_not() -> None:
    rates = family_rates(10, NOISES["normal"], EFFECTS, draws=200, seed=1)
    holm, joint = rates["Holm"], rates["joint sign flips"]
    assert _at_most(joint["false"], 0.05)
    for effect in ("1", "1.5", "2"):
        assert joint[effect].seen > holm[effect].seen
    assert joint["2"].share > 0.8


def test_overlapping_splits_need_nadeau_and_bengios_interval() -> None:
    rates = split_rates(10, samples=300, draws=150, seed=0)
    students, corrected = rates["Student's interval"], rates["Nadeau and Bengio's interval"]
    assert _at_most(Rate(150 - corrected["coverage"].seen, 150), 0.05)
    assert students["coverage"].share < 0.95 - 3 * np.sqrt(0.95 * 0.05 / 150)
    assert _at_most(corrected["false"], 0.05)
    assert students["false"].share > 0.1
    assert rates["both"]["false"].seen <= corrected["false"].seen


@pytest.mark.parametrize("noise", NOISES)
def test_the_interval_over_seeds_alone_misses_other_samples(noise: str) -> None:
    covered = two_way_rates(10, NOISES[noise], samples=100, draws=300, seed=0)
    assert _at_most(Rate(300 - covered["over seeds and test samples"].seen, 300), 0.06)
    assert covered["over seeds"].share < 0.7


def test_a_rate_has_wilsons_interval() -> None:
    assert str(Rate(0, 100)) == "0.0 [0.0, 3.7]"
    assert str(Rate(5, 100)) == "5.0 [2.2, 11.2]"


def test_holm_on_a_textbook_family() -> None:
    corrected = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(corrected, [0.03, 0.06, 0.06, 0.02])


def test_tables_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_tables(lambda seeds: 8, 0)
    text = capsys.readouterr().out
    assert text.count("| joint sign flips |") == 8
    assert "nan" not in text
