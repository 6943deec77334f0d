from __future__ import annotations

import numpy as np
import pytest
from channel.monte_carlo import BlockErrors
from channel.results import Measured, below_bound, best_of, decibels_at
from channel.tables import metrics_of, rows_of
from channel.theory import Theory, theory_of

POINTS = (0.0, 2.0, 4.0)


def measured(rates: list[float], seed: int = 0, setting: str = "clean ebn0_db=1") -> Measured:
    points = tuple(BlockErrors(round(rate * 100_000), 100_000) for rate in rates)
    return Measured(setting, setting.split()[0], seed, f"{setting} {seed}", points)


def test_best_seed_of_each_setting_and_model() -> None:
    runs = [
        measured([0.2, 0.07, 0.02], 0),
        measured([0.2, 0.06, 0.01], 1),
        measured([0.3, 0.05, 0.0], 2, "clean ebn0_db=3"),
        measured([0.5, 0.4, 0.3], 1, "unknown"),
    ]
    assert [(run.setting, run.seed) for run in best_of(runs, "setting")] == [
        ("clean ebn0_db=1", 1),
        ("clean ebn0_db=3", 2),
        ("unknown", 1),
    ]
    assert [run.id for run in best_of(runs, "model")] == ["clean ebn0_db=3 2", "unknown 1"]


def test_decibels_at_a_rate() -> None:
    db = np.linspace(0, 6, 7)
    assert decibels_at(0.1, db, 10 ** (-db / 4)) == pytest.approx(4)
    assert decibels_at(10**-0.6, db, 10 ** (-db / 4)) == pytest.approx(2.4)
    assert decibels_at(0.1, db, np.full(7, 0.2)) is None
    assert decibels_at(0.1, db, np.full(7, 0.05)) is None
    assert decibels_at(0.1, [0.0, 1.0], [0.2, 0.0]) is None


def test_what_is_below_the_bound_by_chance_is_not_blamed() -> None:
    theory = theory_of(2, 2, POINTS)
    generator = np.random.default_rng(0)
    lucky = [
        Measured(
            "clean",
            "clean",
            seed,
            "",
            tuple(BlockErrors(int(generator.binomial(10_000, p)), 10_000) for p in theory.bound),
        )
        for seed in range(20)
    ]
    assert any(
        run.rates[place] < theory.bound[place] for run in lucky for place in range(len(POINTS))
    )
    assert below_bound(lucky, theory, 0.95) == []


def test_a_code_with_too_much_energy_is_found_out() -> None:
    theory = theory_of(2, 2, POINTS)
    honest = measured([0.16, 0.08, 0.03], 1)
    cheat = measured([0.16, 0.03, 0.03], 7)
    assert below_bound([honest, cheat], theory, 0.95) == ["clean ebn0_db=1 seed=7 at point 1"]


def test_rows_state_count_interval_and_ratio() -> None:
    theory = Theory({"target": np.array([0.1]), "sphere-packing bound": np.array([0.08])}, "target")
    run = Measured("clean", "clean", 3, "abc", (BlockErrors(220, 2000),))
    (row,) = rows_of(run, [2.0], theory, 0.95)
    low, high = BlockErrors(220, 2000).interval(0.95)
    assert (row["rate"], row["low"], row["high"]) == (0.11, low, high)
    assert row["ratio"] == pytest.approx(1.1)
    assert (row["bound"], row["best_decoder"]) == (0.08, None)


def test_metrics_say_null_where_a_curve_does_not_come_down() -> None:
    theory = theory_of(2, 2, POINTS)
    tree = metrics_of([measured([0.5, 0.4, 0.3])], POINTS, theory)["db_at_0.1"]
    assert tree["clean ebn0_db=1"] is None
    assert tree["uncoded BPSK"] == pytest.approx(1.23, abs=0.15)
