from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from tests.evaluation.frames import run_rows

from offset_autoencoder.config import Params
from offset_autoencoder.config.schema import Evaluate
from offset_autoencoder.errors import InputError
from offset_autoencoder.evaluation.comparison import Comparison, compare, match_baseline

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
    found = _compare(params, make_runs(params, EFFECTS))
    assert found["frozen rms=0.1", "none", "mse"].family == 4
    assert found["frozen rms=0.1", "gaussian", "mse"].family == 2
    assert found["frozen rms=0.1", "none", "mse"].p_corrected == pytest.approx(4 * 2 / 1024)
    assert found["frozen rms=0.1", "gaussian", "mse"].p_corrected == pytest.approx(2 * 2 / 1024)
    assert {metric for _, _, metric in found} == {"mse", "psnr", "mse_as_trained", "mse_clean"}


def test_verdicts_go_with_the_direction_of_the_metric(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    params = make_params()
    found = _compare(params, make_runs(params, EFFECTS))
    better = found["frozen rms=0.1", "none", "mse"]
    assert better.outcome == "better"
    assert better.verdict.startswith("better than none by 0.0040")
    assert "95 % interval 0.003" in better.verdict
    assert better.verdict.endswith("corrected p 0.0078, better at 10 of 10 seeds)")
    # psnr here is −mse: what lowers the one raises the other.
    assert found["frozen rms=0.1", "none", "psnr"].outcome == "better"
    assert found["frozen rms=0.1", "none", "psnr"].difference.mean > 0
    worse = found["gaussian stddev=0.2", "none", "mse"]
    assert worse.outcome == "worse"
    assert worse.verdict.startswith("worse than none by 0.00")
    assert "better at 0 of 10 seeds" in worse.verdict
    same = found["frozen rms=0.2", "gaussian", "mse"]
    assert same.verdict.startswith("equivalent to gaussian stddev=0.2 within 5 % (error ")
    for item in found.values():
        assert "equal" not in item.verdict
        assert "no effect" not in item.verdict


def test_too_few_seeds_are_said_to_be_too_few(make_params: MakeParams, make_runs: MakeRuns) -> None:
    """Four comparisons need 8 seeds: 4 · 2/2⁷ is above 0.05, 4 · 2/2⁸ below."""
    for seeds, outcome in ((1, "too few seeds"), (7, "too few seeds"), (8, "better")):
        params = make_params(seeds=seeds)
        item = _compare(params, make_runs(params, EFFECTS))["frozen rms=0.1", "none", "mse"]
        assert item.outcome == outcome
        if outcome == "too few seeds":
            assert "cannot reach a corrected p of 0.05 among 4 comparisons" in item.verdict
    one = make_params(seeds=1)
    item = _compare(one, make_runs(one, EFFECTS))["frozen rms=0.1", "none", "mse"]
    assert math.isnan(item.difference.low)
    assert "interval" not in item.verdict
    assert "nan" not in item.verdict


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
        ({"none": range(10)}, "not comparable", "not comparable with none: no run of it finished"),
        (
            {"frozen": range(5), "none": range(5, 10)},
            "not comparable",
            "not comparable with none: no seed finished on both sides",
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
    assert close.verdict.startswith("equivalent to none within 5 % (error ")
    assert close.equivalence.p_corrected == pytest.approx(4 / 1024)
    far = _compare(params, make_runs(params, {}, noise=5e-3))["frozen rms=0.1", "none", "mse"]
    assert far.outcome == "inconclusive"
    assert far.verdict.startswith(
        "inconclusive against none, neither different nor equivalent within 5 % ("
    )
    assert f"about {far.needed.seeds} seeds would show them equivalent" in far.verdict


def test_a_small_difference_is_told_apart_and_equivalent(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    params = make_params()
    found = _compare(params, make_runs(params, {"frozen rms=0.1": 3e-4}))
    small = found["frozen rms=0.1", "none", "mse"]
    assert (small.outcome, small.equivalence.shown) == ("worse", True)
    assert "yet equivalent within 5 % (error +0." in small.verdict
    large = _compare(params, make_runs(params, EFFECTS))["gaussian stddev=0.2", "none", "mse"]
    assert (large.outcome, large.equivalence.shown) == ("worse", False)
    assert "equivalent" not in large.verdict
    assert large.equivalence.change.mean == pytest.approx(0.12, abs=0.03)


def test_few_seeds_may_show_equivalence_but_never_one(
    make_params: MakeParams, make_runs: MakeRuns
) -> None:
    """Four comparisons need 7 seeds to show any equivalent: 4/2⁷ is below 0.05, 4/2⁶ is not."""
    for seeds, shown in ((1, False), (6, False), (7, True)):
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


def _matches(params: Params, baseline: str) -> dict[str, str | None]:
    pairs = {}
    for setting in params.settings:
        match = match_baseline(setting, params.settings, baseline)
        pairs[setting.label] = None if match is None else match.label
    return pairs


def test_gaussian_is_met_at_the_same_power_and_none_by_all(make_params: MakeParams) -> None:
    params = make_params()
    assert _matches(params, "gaussian") == {
        "none": None,
        "gaussian stddev=0.1": None,
        "gaussian stddev=0.2": None,
        "frozen rms=0.1": "gaussian stddev=0.1",
        "frozen rms=0.2": "gaussian stddev=0.2",
    }
    assert set(_matches(params, "none").values()) == {None, "none"}
    assert _matches(params, "none")["none"] is None


def test_a_power_that_gaussian_lacks_has_no_match(make_params: MakeParams) -> None:
    models = {
        "gaussian": {"offset": "none", "stddev": 0.1},
        "frozen": {"offset": "frozen", "rms": [0.1, 0.3]},
        "raw": {"offset": "frozen"},
    }
    assert _matches(make_params(models=models), "gaussian") == {
        "gaussian": None,
        "frozen rms=0.1": "gaussian",
        "frozen rms=0.3": None,
        "raw": None,
    }


def test_what_is_swept_for_all_is_the_same_on_both_sides(make_params: MakeParams) -> None:
    params = make_params(network={"latent_dim": [8, 16], "hidden": [[32], [64, 32]]})
    matches = _matches(params, "gaussian")
    for label, match in matches.items():
        if label.startswith("frozen"):
            assert match == label.replace("frozen", "gaussian").replace("rms", "stddev")
    assert _matches(params, "none")["frozen latent_dim=8 hidden=64-32 rms=0.2"] == (
        "none latent_dim=8 hidden=64-32"
    )


@pytest.mark.parametrize(
    "own", [{"hidden": [64]}, {"latent_dim": 4}, {"learning_rate": [0.1, 0.2]}]
)
def test_what_a_model_has_of_its_own_keeps_nothing_from_being_compared(
    make_params: MakeParams, own: dict[str, Any]
) -> None:
    models = {"none": {"offset": "none"}, "own": {"offset": "none", **own}}
    matches = _matches(make_params(models=models), "none")
    assert {match for label, match in matches.items() if label != "none"} == {"none"}


def test_a_key_that_only_the_baseline_sweeps_is_taken_at_the_models_value(
    make_params: MakeParams,
) -> None:
    models = {
        "none": {"offset": "none", "latent_dim": [8, 16]},
        "at": {"offset": "frozen", "rms": 0.1, "latent_dim": 16},
        "beside": {"offset": "frozen", "rms": 0.1, "latent_dim": 4},
    }
    matches = _matches(make_params(models=models), "none")
    assert (matches["at"], matches["beside"]) == ("none latent_dim=16", None)


def test_of_several_of_one_power_the_alike_one_is_taken(make_params: MakeParams) -> None:
    models = {
        "both": {"offset": "frozen", "rms": 0.1, "stddev": [0.0, 0.1]},
        "pca": {"offset": "pca", "rms": 0.1, "stddev": [0.1, 0.3]},
    }
    matches = _matches(make_params(models=models), "both")
    assert matches["pca stddev=0.1"] == "both stddev=0.1"
    assert matches["pca stddev=0.3"] is None


def test_power_is_rms_then_stddev(make_params: MakeParams) -> None:
    models = {
        "none": {"offset": "none"},
        "raw": {"offset": "pca"},
        "gaussian": {"offset": "none", "stddev": 0.3},
        "both": {"offset": "pca", "rms": 0.1, "stddev": 0.3},
    }
    assert [setting.noise_level for setting in make_params(models=models).settings] == [
        None,
        None,
        0.3,
        0.1,
    ]
