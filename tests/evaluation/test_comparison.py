from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from tests.evaluation.frames import run_rows

from offset_autoencoder.config import Params
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.errors import InputError
from offset_autoencoder.evaluation.comparison import Comparison, compare
from offset_autoencoder.evaluation.sign_flips import joint_sign_flips
from offset_autoencoder.evaluation.statistics import Design, number, two_way_interval

MakeParams = Callable[..., Params]
MakeRuns = Callable[..., pd.DataFrame]

EFFECTS = {
    "gaussian stddev=0.1": 0.003,
    "gaussian stddev=0.2": 0.006,
    "frozen rms=0.1": -0.004,
    "frozen rms=0.2": 0.0060001,
}


def _compare(
    params: Params, runs: pd.DataFrame, metric: str = "mse"
) -> dict[tuple[str, str, str], Comparison]:
    found = compare(run_rows(params, runs), params.settings, Evaluate(metric=metric))
    return {(item.setting.label, item.baseline.model, item.metric): item for item in found}


def test_pairs_are_by_seed_whatever_the_order_of_the_rows(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    params = make_params()
    runs = make_runs(params, EFFECTS)
    shuffled = runs.sample(frac=1, random_state=3)
    assert _compare(params, shuffled) == _compare(params, runs)
    item = _compare(params, runs)["frozen rms=0.1", "none", "mse"]
    by_seed = {
        model: runs[(runs["model"] == model) & ~(runs["rms"] == 0.2)].set_index("seed")["mse"]
        for model in ("none", "frozen")
    }
    expected = stats.ttest_rel(by_seed["frozen"], by_seed["none"])
    interval = expected.confidence_interval(0.95)
    assert item.difference.mean == pytest.approx((by_seed["frozen"] - by_seed["none"]).mean())
    assert (item.difference.low, item.difference.high) == pytest.approx(tuple(interval))
    assert (item.wins, item.pairs, item.p) == (10, 10, 2 / 1024)


def test_each_baseline_and_metric_is_corrected_by_itself(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    params = make_params()
    runs = make_runs(params, EFFECTS)
    rows = run_rows(params, runs)
    found = _compare(params, runs)
    assert found["frozen rms=0.1", "none", "mse"].family == 4
    assert found["frozen rms=0.1", "gaussian", "mse"].family == 2
    for baseline in ("none", "gaussian"):
        family = [item for item in found.values() if item.baseline.model == baseline]
        deployed = [item for item in family if item.metric == "mse"]
        own: dict[str, list[float]] = {row.run.setting.label: [] for row in rows}
        for row in rows:
            own[row.run.setting.label].append(row.metrics["mse"])
        paired = [
            np.subtract(own[item.setting.label], own[item.baseline.label]) for item in deployed
        ]
        p, corrected = joint_sign_flips(np.stack(paired, axis=1))
        assert [item.p for item in deployed] == p.tolist()
        assert [item.p_corrected for item in deployed] == corrected.tolist()
    assert {metric for _, _, metric in found} == {"mse", "psnr", "mse_as_trained", "mse_clean"}


def test_verdicts_go_with_the_direction_of_the_metric(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    params = make_params()
    found = _compare(params, make_runs(params, EFFECTS))
    better = found["frozen rms=0.1", "none", "mse"]
    assert better.outcome == "better"
    assert better.verdict.startswith("better than `none` by 0.0040")
    assert "95 % interval 0.003" in better.verdict
    assert better.verdict.endswith("corrected p 0.002, better at 10 of 10 seeds)")
    # psnr here is −mse: what lowers the one raises the other.
    assert found["frozen rms=0.1", "none", "psnr"].outcome == "better"
    assert found["frozen rms=0.1", "none", "psnr"].difference.mean > 0
    worse = found["gaussian stddev=0.2", "none", "mse"]
    assert worse.outcome == "worse"
    assert worse.verdict.startswith("worse than `none` by 0.00")
    assert "better at 0 of 10 seeds" in worse.verdict
    same = found["frozen rms=0.2", "gaussian", "mse"]
    assert same.verdict.startswith(
        "equivalent to `gaussian stddev=0.2` within 5 % (mean squared error "
    )
    for item in found.values():
        assert "equal" not in item.verdict
        assert "no effect" not in item.verdict


def test_too_few_seeds_are_said_to_be_too_few(make_params: MakeParams, make_runs: MakeRuns) -> None:
    """Among however many comparisons, 2/2⁵ is above 0.05 and 2/2⁶ below."""
    for seeds, outcome in ((1, "too few seeds"), (5, "too few seeds"), (6, "better")):
        params = make_params(seeds=seeds)
        item = _compare(params, make_runs(params, EFFECTS))["frozen rms=0.1", "none", "mse"]
        assert item.outcome == outcome
        if outcome == "too few seeds":
            assert "cannot reach a corrected p of 0.05 (difference" in item.verdict
    params = make_params(seeds=6)
    item = _compare(params, make_runs(params, {}, noise=5e-3))["frozen rms=0.1", "none", "mse"]
    assert item.outcome == "inconclusive"
    one = make_params(seeds=1)
    item = _compare(one, make_runs(one, EFFECTS))["frozen rms=0.1", "none", "mse"]
    assert math.isnan(item.difference.low)
    assert "interval" not in item.verdict
    assert "nan" not in item.verdict


def test_seeds_are_too_few_beside_others_that_have_more(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    """Six pairs alike reach 2/2⁶ alone, but others reach as far by chance with twelve seeds."""
    models: dict[str, Any] = {"none": {"offset": "none"}}
    models |= {f"m{index}": {"offset": "frozen", "rms": 0.1} for index in range(20)}
    params = make_params(models=models, seeds=12)
    runs = make_runs(params, {}, noise=5e-3)
    gone = (runs["model"] == "m0") & (runs["seed"] >= 6)
    runs.loc[gone, "status"] = "diverged"
    runs.loc[gone, ["mse", "psnr", "mse_as_trained", "mse_clean"]] = np.nan
    found = _compare(params, runs)
    assert found["m0", "none", "mse"].outcome == "too few seeds"
    assert found["m1", "none", "mse"].outcome == "inconclusive"


def test_a_word_needs_the_interval_of_the_design(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    """A difference that stands out among the splits drawn, but not among all there are."""
    params = make_params()
    rows = run_rows(params, make_runs(params, {"frozen rms=0.1": -4e-4}))
    words, halves = [], []
    for design in (Design(), Design(varies=True, overlap=0.3), Design(varies=True, overlap=3.0)):
        found = compare(rows, params.settings, Evaluate(margin=1e-6), design)
        item = next(one for one in found if one.setting.label == "frozen rms=0.1")
        assert item.p_corrected <= 0.05
        words.append(item.outcome)
        halves.append((item.difference.half, item.equivalence.change.half))
        never = "no number of seeds would settle it" in item.verdict
        assert never == item.needed.none_settles == (item.outcome == "inconclusive")
    assert words == ["better", "better", "inconclusive"]
    for own in zip(*halves, strict=True):
        np.testing.assert_allclose(np.array(own[1:]) / own[0], [2, np.sqrt(31)])


def test_where_one_split_is_used_test_samples_have_an_interval_too(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    params = make_params()
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 3e-3, size=(2, 50))
    rows = [
        replace(
            row,
            sample_errors=(
                row.metrics["mse"] + samples[int(row.run.setting.model == "frozen")]
            ).astype(np.float32),
        )
        for row in run_rows(params, make_runs(params, EFFECTS))
    ]
    found = compare(rows, params.settings, Evaluate())
    by_key = {(item.setting.label, item.baseline.model, item.metric): item for item in found}
    item = by_key["frozen rms=0.1", "none", "mse"]
    errors = {
        model: np.array([row.sample_errors for row in rows if row.run.setting.label == model])
        for model in ("frozen rms=0.1", "none")
    }
    expected = two_way_interval(
        errors["frozen rms=0.1"].astype(float) - errors["none"].astype(float), 0.95
    )
    assert item.two_way == expected
    assert expected.half > 3 * item.difference.half
    said = f", {number(-expected.high)} to {number(-expected.low)} over test samples too, "
    assert said in item.verdict
    assert by_key["frozen rms=0.1", "none", "mse_clean"].two_way is None
    design = Design(varies=True, overlap=0.3)
    assert all(one.two_way is None for one in compare(rows, params.settings, Evaluate(), design))


@pytest.mark.parametrize(
    ("spread", "outcome"), [(1e-2, "inconclusive"), (1e-3, "better")], ids=["few", "enough"]
)
def test_on_one_split_a_word_needs_the_test_samples_too(
    spread: float, outcome: str, make_params: MakeParams, make_runs: MakeRuns
) -> None:
    """The same at every seed, but by the luck of a few samples that all seeds share."""
    params = make_params()
    luck = spread * np.random.default_rng(0).normal(size=20)
    luck -= luck.mean()
    rows = [
        replace(row, sample_errors=(row.metrics["mse"] + of_model).astype(np.float32))
        for row in run_rows(params, make_runs(params, EFFECTS))
        for of_model in [luck * (row.run.setting.model == "frozen")]
    ]
    found = compare(rows, params.settings, Evaluate())
    by_key = {(item.setting.label, item.baseline.model, item.metric): item for item in found}
    item = by_key["frozen rms=0.1", "none", "mse"]
    assert item.p_corrected < 0.01
    assert item.difference.high < 0
    assert item.outcome == outcome
    same = by_key["frozen rms=0.2", "gaussian", "mse"]
    assert same.equivalence.shown
    assert same.outcome == ("inconclusive" if outcome == "inconclusive" else "equivalent")
    settles = "more test samples would settle it"
    for one, alone in ((item, "better"), (same, "equivalent")):
        said = f"; over seeds alone it is {alone}: {settles}"
        assert (said in one.verdict) == (outcome == "inconclusive")


def test_a_seed_that_diverged_on_one_side_is_left_out_and_said(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    params = make_params()
    runs = make_runs(params, EFFECTS)
    gone = (runs["model"] == "none") & (runs["seed"] == 3)
    runs.loc[gone, "status"] = "diverged"
    runs.loc[gone, ["mse", "psnr", "mse_as_trained", "mse_clean"]] = np.nan
    item = _compare(params, runs)["frozen rms=0.1", "none", "mse"]
    assert (item.pairs, item.wins, item.outcome) == (9, 9, "better")
    assert item.verdict.endswith("; 1 seed left out where a run diverged")


@pytest.mark.parametrize(
    ("gone", "outcome", "said"),
    [
        ({"frozen": range(10)}, "diverged", "diverged: no run finished that could be compared"),
        (
            {"none": range(10)},
            "not comparable",
            "not comparable with `none`: no run of it finished",
        ),
        (
            {"frozen": range(5), "none": range(5, 10)},
            "not comparable",
            "not comparable with `none`: no seed finished on both sides",
        ),
    ],
)
def test_without_a_pair_the_side_that_diverged_is_named(
    make_params: MakeParams,
    make_runs: MakeRuns,
    gone: dict[str, range],
    outcome: str,
    said: str,
) -> None:
    params = make_params()
    runs = make_runs(params, EFFECTS)
    for model, seeds in gone.items():
        rows = (runs["model"] == model) & runs["seed"].isin(seeds)
        runs.loc[rows, "status"] = "diverged"
        runs.loc[rows, ["mse", "psnr", "mse_as_trained", "mse_clean"]] = np.nan
    found = _compare(params, runs)
    item = found["frozen rms=0.1", "none", "mse"]
    assert (item.pairs, item.outcome) == (0, outcome)
    assert item.verdict.startswith(said)
    assert "nan" not in item.verdict
    others = found.get(("gaussian stddev=0.1", "none", "mse"))
    assert others is not None
    assert (others.outcome == "not comparable") == (len(gone.get("none", ())) == 10)


def test_wins_keep_ties_apart(make_params: MakeParams, make_runs: MakeRuns) -> None:
    params = make_params(models={"none": {"offset": "none"}, "pca": {"offset": "pca"}}, seeds=4)
    runs = make_runs(params, {}, noise=0)
    runs.loc[runs["model"] == "pca", "mse"] += [-1, 0, 2, -3]
    runs.loc[runs["model"] == "pca", "psnr"] += [-1, 0, 2, -3]
    found = _compare(params, runs)
    lower, higher = found["pca", "none", "mse"], found["pca", "none", "psnr"]
    assert [(item.wins, item.ties) for item in (lower, higher)] == [(2, 1), (1, 1)]
    assert "better at 2 of 4 seeds, 1 tied" in lower.verdict


def test_an_infinite_psnr_is_not_compared(make_params: MakeParams, make_runs: MakeRuns) -> None:
    params = make_params()
    runs = make_runs(params, EFFECTS)
    runs.loc[runs["seed"] == 0, "psnr"] = np.inf
    item = _compare(params, runs)["frozen rms=0.1", "none", "psnr"]
    assert item.outcome == "not comparable"
    assert "not finite" in item.verdict


def test_a_lone_huge_difference_is_no_verdict(make_params: MakeParams, make_runs: MakeRuns) -> None:
    """All ten seeds on one side, but an interval across zero: the size cannot be stated."""
    params = make_params(models={"none": {"offset": "none"}, "pca": {"offset": "pca"}})
    runs = make_runs(params, {"pca": -1e-6}, noise=0)
    runs.loc[(runs["model"] == "pca") & (runs["seed"] == 9), "mse"] -= 1
    item = _compare(params, runs)["pca", "none", "mse"]
    assert item.p_corrected == 2 / 1024
    assert item.outcome == "inconclusive"


def test_false_verdicts_are_as_rare_as_promised(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    """Of families without any difference at most some 5 % have even one verdict."""
    params = make_params(seeds=8)
    runs = make_runs(params, {})
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(60):
        runs["mse"] = rng.normal(size=len(runs))
        found = compare(
            run_rows(params, runs.drop(columns=["psnr", "mse_as_trained", "mse_clean"])),
            params.settings,
            Evaluate(baselines=["none"]),
        )
        false += any(item.outcome in ("better", "worse") for item in found)
    assert false <= 9  # the 99.7 % quantile of 60 families at 5 %


def test_equal_is_said_only_where_it_is_shown(make_params: MakeParams, make_runs: MakeRuns) -> None:
    """No difference, seen closely, then through ten times the scatter."""
    params = make_params()
    close = _compare(params, make_runs(params, {}))["frozen rms=0.1", "none", "mse"]
    assert close.outcome == "equivalent"
    assert close.verdict.startswith("equivalent to `none` within 5 % (mean squared error ")
    assert close.equivalence.p_corrected == 1 / 1024
    far = _compare(params, make_runs(params, {}, noise=5e-3))["frozen rms=0.1", "none", "mse"]
    assert far.outcome == "inconclusive"
    assert far.verdict.startswith(
        "inconclusive against `none`, neither different nor equivalent within 5 % ("
    )
    seeds = f"about {far.needed.seeds} seeds ({far.needed.span})"
    assert f"{seeds} would show them equivalent" in far.verdict


def test_a_small_difference_is_told_apart_and_equivalent(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    params = make_params()
    found = _compare(params, make_runs(params, {"frozen rms=0.1": 3e-4}))
    small = found["frozen rms=0.1", "none", "mse"]
    assert (small.outcome, small.equivalence.shown) == ("worse", True)
    assert "yet equivalent within 5 % (mean squared error +0." in small.verdict
    large = _compare(params, make_runs(params, EFFECTS))["gaussian stddev=0.2", "none", "mse"]
    assert (large.outcome, large.equivalence.shown) == ("worse", False)
    assert "equivalent" not in large.verdict
    assert large.equivalence.change.mean == pytest.approx(0.12, abs=0.03)


def test_few_seeds_may_show_equivalence_but_never_one(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    """It takes 5 seeds to show any equivalent: 1/2⁵ is below 0.05, 1/2⁴ is not."""
    for seeds, shown in ((1, False), (4, False), (5, True)):
        params = make_params(seeds=seeds)
        item = _compare(params, make_runs(params, {}))["frozen rms=0.1", "none", "mse"]
        assert item.equivalence.shown is shown
    one = make_params(seeds=1)
    assert _compare(one, make_runs(one, {}))["frozen rms=0.1", "none", "mse"].needed.seeds is None


def test_a_metric_that_does_not_apply_is_refused(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    params = make_params()
    with pytest.raises(InputError, match=r"evaluate.metric: binary_crossentropy is not defined"):
        _compare(params, make_runs(params, EFFECTS), metric="binary_crossentropy")
