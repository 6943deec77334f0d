from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.evaluation.interventions import find_intervention, noisy

from offset_autoencoder.config import Params
from offset_autoencoder.evaluation.controls import NOISE, NOTHING, OWN_NETWORK
from offset_autoencoder.evaluation.interventions import OMITTED, OWN, PERMUTED, Exchanges
from offset_autoencoder.evaluation.offset_effects import (
    Trial,
    summarise_interventions,
    trials,
)
from offset_autoencoder.evaluation.run_evaluation import RunEvaluation
from offset_autoencoder.evaluation.statistics import Design

MakeParams = Callable[..., Params]


def _measured(params: Params, metric: str = "mse") -> list[Trial]:
    """Trials of runs whose baseline errs by 2 + seed / 10, those with an offset in controls too."""
    measured = []
    for run in reversed(params.runs):  # seeds come out ascending whatever their order
        rng = np.random.default_rng([run.seed, len(run.setting.label)])
        own = 1 + rng.random()
        test: dict[Any, Any] = {OWN: {metric: own}, noisy(0.1): {metric: 2 * own}}
        train: dict[Any, Any] = {}
        if run.setting.model == "frozen":
            test |= {OMITTED: {metric: own - 0.25}, PERMUTED: {metric: own + rng.random()}}
            train = {OWN: {metric: own / 2}, PERMUTED: {metric: own / 2 + 0.5}}
        unit = {metric: 2 + run.seed / 10}
        exchanges = Exchanges({"test": test, "train": train}, None)
        measured.append(Trial(run, OWN_NETWORK, exchanges, unit))
        if train:
            handed = Exchanges({"test": {OWN: {metric: 7.0}, PERMUTED: {metric: 7.5}}}, None)
            measured.append(Trial(run, NOTHING, handed, unit))
    return measured


def test_changes_are_paired_by_seed_in_units_of_the_baseline(make_params: MakeParams) -> None:
    params = make_params()
    measured = _measured(params)
    summaries = summarise_interventions(measured, design=Design(confidence=0.9))
    setting = next(item for item in params.settings if item.label == "frozen rms=0.2")
    item = find_intervention(summaries, setting, PERMUTED, "mse")
    assert item is not None
    by_label = {one.run.label: one for one in measured if one.network == OWN_NETWORK}
    runs = [by_label[f"frozen rms=0.2 seed={seed}"] for seed in params.seeds]
    own, values = (
        np.array([one.exchanges.metrics["test"][each]["mse"] for one in runs])
        for each in (OWN, PERMUTED)
    )
    unit = 2 + np.array(params.seeds) / 10
    np.testing.assert_array_equal(item.own, own)
    np.testing.assert_array_equal(item.values, values)
    assert list(item.changes) == list(params.seeds)
    np.testing.assert_allclose(list(item.changes.values()), (values - own) / unit)
    for estimate, per_seed in (
        (item.estimate, values),
        (item.difference, values - own),
        (item.change, (values - own) / unit),
    ):
        interval = stats.ttest_1samp(per_seed, 0).confidence_interval(0.9)
        assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high))
        assert estimate.mean == pytest.approx(per_seed.mean())
    for network, split, change in ((OWN_NETWORK, "train", 0.5), (NOTHING, "test", 0.5)):
        (found,) = (
            each
            for each in summaries
            if (each.setting.label, each.network, each.split) == (setting.label, network, split)
            and each.intervention == PERMUTED
        )
        np.testing.assert_allclose(list(found.changes.values()), change / unit)


def test_a_score_is_taken_back_to_its_error(make_params: MakeParams) -> None:
    """PSNR of errors 1 and 1.5 times that of the baseline: half of it."""
    run = make_params().runs[-1]
    error = {OWN: 1.0, PERMUTED: 1.5}
    metrics = {one: {"psnr": -10 * np.log10(value)} for one, value in error.items()}
    trial = Trial(run, OWN_NETWORK, Exchanges({"test": metrics}, None), {"psnr": 10 * np.log10(4)})
    (_, item) = summarise_interventions([trial])
    assert item.change.mean == pytest.approx(0.5 / 0.25)


def test_without_a_baseline_the_unit_is_the_own_error_in_every_network(
    make_params: MakeParams,
) -> None:
    """No model that is trained with nothing: the control trained with noise has the same unit."""
    models = {
        "gaussian": {"offset": "none", "stddev": [0.1]},
        "frozen": {"offset": "frozen", "rms": [0.1]},
    }
    params = make_params(seeds=3, models=models)
    measured = []
    for run in params.runs:
        own, frozen = 2.0 + run.seed, run.setting.model == "frozen"
        exchanged = {OWN: {"mse": own}, OMITTED: {"mse": 9 * own}, PERMUTED: {"mse": own + 1}}
        exchanges = Exchanges({"test": exchanged if frozen else {OWN: {"mse": 5.0}}}, None)
        others: dict[str, Any] = {"references": {NOISE: f"gaussian stddev=0.1 seed={run.seed}"}}
        if not frozen:
            handed = Exchanges({"test": {OWN: {"mse": 7.0}, PERMUTED: {"mse": 8.0}}}, None)
            others["guests"] = {f"frozen rms=0.1 seed={run.seed}": handed}
        evaluation = RunEvaluation({"mse": own}, 0.0, exchanges, {}, None, **others)
        measured.append((run.label, run, evaluation))
    summaries = [
        item for item in summarise_interventions(trials(measured)) if item.intervention == PERMUTED
    ]
    assert [item.network for item in summaries] == [OWN_NETWORK, NOISE]
    for item in summaries:
        assert not item.has_baseline
        assert list(item.changes.values()) == pytest.approx([1 / 2, 1 / 3, 1 / 4])


def test_a_seed_whose_baseline_diverged_has_no_change(make_params: MakeParams) -> None:
    params = make_params(seeds=3)
    measured = [
        replace(one, baseline=None) if one.run.seed == 1 else one for one in _measured(params)
    ]
    summaries = summarise_interventions(measured)
    item = find_intervention(summaries, params.settings[-1], PERMUTED, "mse")
    assert item is not None
    assert (list(item.changes), item.change.count, item.estimate.count) == ([0, 2], 2, 3)


def test_every_setting_has_what_applies_to_it(make_params: MakeParams) -> None:
    params = make_params()
    summaries = summarise_interventions(_measured(params))
    labels = {
        label: [(i.network, i.split, i.intervention) for i in summaries if i.setting.label == label]
        for label in {i.setting.label for i in summaries}
    }
    assert set(labels) == {setting.label for setting in params.settings}
    assert labels["none"] == [(OWN_NETWORK, "test", one) for one in (OWN, noisy(0.1))]
    assert labels["frozen rms=0.1"] == [
        *((OWN_NETWORK, "test", one) for one in (OWN, noisy(0.1), OMITTED, PERMUTED)),
        *((OWN_NETWORK, "train", one) for one in (OWN, PERMUTED)),
        *((NOTHING, "test", one) for one in (OWN, PERMUTED)),
    ]
    none = params.settings[0]
    assert find_intervention(summaries, none, PERMUTED, "mse") is None
    own = find_intervention(summaries, none, OWN, "mse")
    assert own is not None
    assert (own.difference.mean, own.change.high) == (0, 0)


def test_a_run_that_diverged_is_left_out(make_params: MakeParams) -> None:
    measured = _measured(make_params(seeds=3))
    left = [one for one in measured if one.run.label != "none seed=1"]
    summaries = summarise_interventions(left)
    none = left[-1].run.setting
    first = find_intervention(summaries, none, OWN, "mse")
    assert first is not None
    values = [
        one.exchanges.metrics["test"][OWN]["mse"]
        for one in reversed(left)
        if one.run.setting.label == "none"
    ]
    np.testing.assert_array_equal(first.values, values)
    assert summarise_interventions([]) == []


def test_one_seed_has_a_mean_and_no_interval(make_params: MakeParams) -> None:
    for item in summarise_interventions(_measured(make_params(seeds=1))):
        assert np.isfinite(item.change.mean)
        assert np.isnan([item.change.low, item.difference.high]).all()


def test_trials_are_a_run_in_its_own_network_and_in_its_references(make_params: MakeParams) -> None:
    params = make_params(seeds=1)
    none, noisy_run, frozen = (params.runs[place] for place in (0, 1, 3))
    own, as_plain, as_noisy = (Exchanges({"test": {}}, shift) for shift in (0.1, 0.2, 0.3))

    def evaluation(exchanges: Exchanges, **given: Any) -> RunEvaluation:
        return RunEvaluation({"mse": 4.0}, 0.0, exchanges, {}, None, **given)

    nothing = Exchanges({"test": {}}, None)
    measured = [
        ("a", none, evaluation(nothing, references={NOTHING: "a"}, guests={"c": as_plain})),
        ("b", noisy_run, evaluation(nothing, references={NOTHING: "a"}, guests={"c": as_noisy})),
        ("c", frozen, evaluation(own, references={NOTHING: "a", NOISE: "b"})),
    ]
    found = [(one.run, one.network, one.exchanges.donor_shift) for one in trials(measured)]
    assert found == [
        (none, OWN_NETWORK, None),
        (noisy_run, OWN_NETWORK, None),
        (frozen, OWN_NETWORK, 0.1),
        (frozen, NOTHING, 0.2),
        (frozen, NOISE, 0.3),
    ]
    assert all(one.baseline == {"mse": 4.0} for one in trials(measured))
    assert all(one.has_baseline for one in trials(measured))
