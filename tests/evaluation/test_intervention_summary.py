from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.evaluation.interventions import find_intervention, noisy

from offset_autoencoder.config import Params, Run
from offset_autoencoder.evaluation.interventions import (
    OMITTED,
    OWN,
    PERMUTED,
    summarise_interventions,
)

MakeParams = Callable[..., Params]


def _measured(params: Params, metric: str = "mse") -> list[tuple[Run, Any]]:
    measured = []
    for run in reversed(params.runs):  # seeds come out ascending whatever their order
        rng = np.random.default_rng([run.seed, len(run.setting.label)])
        own = 1 + rng.random()
        found = {OWN: {metric: own}, noisy(0.1): {metric: 2 * own}}
        if run.setting.model == "frozen":
            found |= {OMITTED: {metric: own - 0.25}, PERMUTED: {metric: own + rng.random()}}
        measured.append((run, found))
    return measured


def test_costs_are_paired_by_seed(make_params: MakeParams) -> None:
    params = make_params()
    measured = _measured(params)
    summaries = summarise_interventions(measured, confidence=0.9)
    setting = next(item for item in params.settings if item.label == "frozen rms=0.2")
    item = find_intervention(summaries, setting, PERMUTED, "mse")
    assert item is not None
    by_label = {run.label: found for run, found in measured}
    runs = [by_label[f"frozen rms=0.2 seed={seed}"] for seed in params.seeds]
    own = np.array([one[OWN]["mse"] for one in runs])
    values = np.array([one[PERMUTED]["mse"] for one in runs])
    np.testing.assert_array_equal(item.own, own)
    np.testing.assert_array_equal(item.values, values)
    for estimate, per_seed in (
        (item.estimate, values),
        (item.difference, values - own),
        (item.relative, (values - own) / own),
    ):
        interval = stats.ttest_1samp(per_seed, 0).confidence_interval(0.9)
        assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high))
        assert estimate.mean == pytest.approx(per_seed.mean())


def test_every_setting_has_what_applies_to_it(make_params: MakeParams) -> None:
    params = make_params()
    measured = _measured(params)
    summaries = summarise_interventions(measured, confidence=0.95)
    labels = {
        label: [i.intervention for i in summaries if i.setting.label == label]
        for label in {i.setting.label for i in summaries}
    }
    assert set(labels) == {setting.label for setting in params.settings}
    assert labels["none"] == [OWN, noisy(0.1)]
    assert labels["frozen rms=0.1"] == [OWN, noisy(0.1), OMITTED, PERMUTED]
    none = params.settings[0]
    assert find_intervention(summaries, none, PERMUTED, "mse") is None
    own = find_intervention(summaries, none, OWN, "mse")
    assert own is not None
    assert (own.difference.mean, own.relative.high) == (0, 0)


def test_a_run_that_diverged_is_left_out(make_params: MakeParams) -> None:
    measured = _measured(make_params(seeds=3))
    left = [(run, found) for run, found in measured if run.label != "none seed=1"]
    first = summarise_interventions(left, confidence=0.95)[-2]
    assert (first.setting.label, first.intervention) == ("none", OWN)
    values = [found[OWN]["mse"] for run, found in reversed(left) if run.setting.label == "none"]
    np.testing.assert_array_equal(first.values, values)
    assert summarise_interventions([], confidence=0.95) == []


def test_one_seed_has_a_mean_and_no_interval(make_params: MakeParams) -> None:
    for item in summarise_interventions(_measured(make_params(seeds=1)), confidence=0.95):
        assert np.isfinite(item.relative.mean)
        assert np.isnan([item.relative.low, item.difference.high]).all()
