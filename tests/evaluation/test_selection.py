"""Selection by validation: by hand-computed means, whatever the test split says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.config import Params, Run
from offset_autoencoder.config.schema import Anomaly, Evaluate
from offset_autoencoder.evaluation.comparison import Comparison, compare
from offset_autoencoder.evaluation.selection import TUNED, select_settings, selection_note
from offset_autoencoder.evaluation.statistics import ONE_SPLIT, Design, mean_and_interval
from offset_autoencoder.evaluation.summary import RunRow

MakeParams = Callable[..., Params]
SEEDS = 3
VARIES = Design(varies=True, overlap=0.3, validation_overlap=0.2)
RATES = {"learning_rate": [0.1, 0.2, 0.3]}
MODELS = {
    "none": {"offset": "none", **RATES},
    "gaussian": {"offset": "none", "stddev": [0.1, 0.2], **RATES},
    "frozen": {"offset": "frozen", "rms": [0.1, 0.2], **RATES},
    "plain": {"offset": "pca"},
}
# Validation by seed; all settings that are not named have 5 at every seed.
VALIDATION: dict[str, Sequence[float]] = {
    "none learning_rate=0.2": (1, 2, 6),  # mean 3, though the worst of all at seed 2
    "none learning_rate=0.3": (3, 3, 4),  # mean 3.33
    "gaussian stddev=0.1 learning_rate=0.3": (4, 4, 4),
    "frozen rms=0.2 learning_rate=0.1": (2, 2, 2),
}
SELECTED = [
    "none learning_rate=0.2",
    "gaussian stddev=0.1 learning_rate=0.3",
    "gaussian stddev=0.2 learning_rate=0.1",  # all alike: the first of the file
    "frozen rms=0.1 learning_rate=0.1",
    "frozen rms=0.2 learning_rate=0.1",
    "plain",
]


@pytest.fixture
def params(make_params: MakeParams) -> Params:
    evaluate = {"select": ["train.learning_rate"]}
    return make_params(seeds=SEEDS, models=MODELS, evaluate=evaluate)


def rows_of(
    params: Params,
    validation: Mapping[str, Sequence[float]] = VALIDATION,
    test: Callable[[Run], float] = lambda run: 1.0 + run.seed,
    metric: str = "mse",
) -> list[RunRow]:
    """Runs whose validation value is given; NaN stands for a run that diverged."""
    rows = []
    for run in params.runs:
        value = validation.get(run.setting.label, (5,) * SEEDS)[run.seed]
        measured = {"mse": test(run), metric: test(run), f"{metric}_validation": float(value)}
        gone = np.isnan(value)
        rows.append(RunRow(run.label, run, "diverged" if gone else "finished", measured))
    return [RunRow(r.id, r.run, r.status, r.metrics if r.finished else {}) for r in rows]


def labels(params: Params, rows: Sequence[RunRow]) -> list[str]:
    found = select_settings(rows, params.settings, params.evaluate)
    return [item.setting.label for item in found]


def test_the_lowest_mean_on_the_validation_split_is_selected(params: Params) -> None:
    found = select_settings(rows_of(params), params.settings, params.evaluate)
    assert [item.setting.label for item in found] == SELECTED
    assert [item.candidates for item in found] == [3, 3, 3, 3, 3, 1]
    assert [item.validation.mean for item in found] == [3, 4, 5, 5, 2, 5]
    assert found[0].validation.count == SEEDS


def test_the_test_split_never_decides(params: Params) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert labels(params, rows_of(params, test=lambda _: float(rng.random()))) == SELECTED


def test_a_metric_of_which_more_is_better_selects_the_highest(make_params: MakeParams) -> None:
    evaluate = {"select": ["train.learning_rate"], "metric": "psnr", "baselines": ["none"]}
    params = make_params(seeds=SEEDS, models={"none": MODELS["none"]}, evaluate=evaluate)
    assert labels(params, rows_of(params, metric="psnr")) == ["none learning_rate=0.1"]


@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_a_setting_that_lost_a_seed_comes_after_all_that_did_not(
    params: Params, lost: float
) -> None:
    """Its mean over the seeds that were easy would be the lowest."""
    lucky = {**VALIDATION, "none learning_rate=0.2": (0, lost, 0)}
    assert labels(params, rows_of(params, lucky))[0] == "none learning_rate=0.3"
    every = {f"none learning_rate={rate}": (lost,) * SEEDS for rate in (0.1, 0.3)}
    # Where all lost some, the one that lost the fewest; where all lost all, the first.
    assert labels(params, rows_of(params, {**lucky, **every}))[0] == "none learning_rate=0.2"
    every["none learning_rate=0.2"] = (lost,) * SEEDS
    found = select_settings(rows_of(params, every), params.settings, params.evaluate)[0]
    assert (found.setting.label, found.unfinished) == ("none learning_rate=0.1", SEEDS)
    assert np.isnan(found.validation.mean)


def _tuned(
    params: Params, rows: Sequence[RunRow], design: Design = ONE_SPLIT
) -> dict[tuple[str, str], Comparison]:
    selected = select_settings(rows, params.settings, params.evaluate, design)
    settings, own = [s.setting for s in selected], [row for s in selected for row in s.rows]
    keys = params.evaluate.selected_keys
    found = compare(own, settings, params.evaluate, design, selected=keys)
    return {(c.setting.label, c.baseline.model): c for c in found if c.metric == "mse"}


def test_selected_settings_are_paired_by_seed_whatever_was_selected(params: Params) -> None:
    """The noise level has to agree, the learning rate has not."""
    test = {label: float(n) for n, label in enumerate(SELECTED)}
    rows = rows_of(params, test=lambda run: test.get(run.setting.label, 99.0) + 0.1 * run.seed)
    found = _tuned(params, rows)
    assert {(label, item.baseline.label) for (label, _), item in found.items()} == {
        *((label, SELECTED[0]) for label in SELECTED[1:]),
        (SELECTED[3], SELECTED[1]),
        (SELECTED[4], SELECTED[2]),
    }
    item = found[SELECTED[4], "gaussian"]
    assert item.pairs == SEEDS
    assert item.difference.mean == pytest.approx(2.0)
    assert found[SELECTED[4], "none"].difference.mean == pytest.approx(4.0)
    # Untuned, the learning rate has to agree.
    untuned = compare(rows, params.settings, params.evaluate)
    pairs = {(c.setting.label, c.baseline.label) for c in untuned}
    assert ("frozen rms=0.2 learning_rate=0.1", "none learning_rate=0.2") not in pairs
    assert ("frozen rms=0.2 learning_rate=0.2", "none learning_rate=0.2") in pairs


def test_a_noise_level_can_be_selected_too(make_params: MakeParams) -> None:
    evaluate = {"select": ["stddev", "rms", "train.learning_rate"]}
    params = make_params(seeds=SEEDS, models=MODELS, evaluate=evaluate)
    rows = rows_of(params)
    gaussian, frozen = SELECTED[1], SELECTED[4]
    assert labels(params, rows) == [SELECTED[0], gaussian, frozen, "plain"]
    assert _tuned(params, rows)[frozen, "gaussian"].baseline.label == gaussian
    counts = [c.candidates for c in select_settings(rows, params.settings, params.evaluate)]
    assert counts == [3, 6, 6, 1]


def test_unequal_budgets_are_said(make_params: MakeParams, params: Params) -> None:
    assert params.budget_warning == (
        "unequal budgets: evaluate.select takes the best setting out of 1 of `plain`; "
        "3 of `none`, `gaussian`, `frozen`"
    )
    same: dict[str, Any] = {name: keys for name, keys in MODELS.items() if name != "plain"}
    assert not make_params(models=same, evaluate={"select": ["train.learning_rate"]}).budget_warning
    assert not make_params().budget_warning


def test_where_splits_vary_each_seed_selects_for_itself(params: Params) -> None:
    """By its own validation value; a mean over seeds would have seen the others' test samples."""
    rates = {label: float(n) for n, label in enumerate(s.label for s in params.settings)}
    rows = rows_of(params, test=lambda run: 100 * rates[run.setting.label] + run.seed)
    found = {
        item.setting.label: item
        for item in select_settings(rows, params.settings, params.evaluate, VARIES)
    }
    assert list(found) == [f"none learning_rate={TUNED}", *SELECTED[1:]]
    none = found[f"none learning_rate={TUNED}"]
    # 0.2 has the best mean, and at seed 2 the worst value.
    assert [row.metrics["mse_validation"] for row in none.rows] == [1, 2, 4]
    assert [row.metrics["mse"] for row in none.rows] == [100, 101, 202]
    assert [row.run.seed for row in none.rows] == [0, 1, 2]
    assert all(row.run.setting == none.setting for row in none.rows)
    assert none.picks == {"learning_rate=0.2": 2, "learning_rate=0.3": 1}
    assert none.picked == "learning_rate=0.2 (2), learning_rate=0.3 (1)"
    assert none.candidates == 3
    assert none.validation.mean == pytest.approx(7 / 3)
    ratio = np.sqrt(1 + 3 * VARIES.validation_overlap)
    half = ratio * mean_and_interval([1, 2, 4], 0.95).half
    assert none.validation.high == pytest.approx(7 / 3 + half)
    assert none.validation.low == 0  # no squared error is below it
    # Where all seeds agree it is that setting; what sweeps none of the keys has no pick to name.
    assert found[SELECTED[1]].picked == "learning_rate=0.3 (3)"
    assert found["plain"].picked == ""


def test_a_seed_that_was_lost_selects_another_value(params: Params) -> None:
    lost = {**VALIDATION, "none learning_rate=0.2": (np.nan, 2, 6)}
    (none, *_) = select_settings(rows_of(params, lost), params.settings, params.evaluate, VARIES)
    assert none.picks == {"learning_rate=0.3": 2, "learning_rate=0.2": 1}
    assert none.unfinished == 0
    every = {f"none learning_rate={rate}": (np.nan, 1, 1) for rate in (0.1, 0.2, 0.3)}
    (none, *_) = select_settings(rows_of(params, every), params.settings, params.evaluate, VARIES)
    assert (none.unfinished, none.validation.count) == (1, 2)
    assert [row.status for row in none.rows] == ["diverged", "finished", "finished"]


def test_what_each_seed_selected_is_compared_at_the_same_seed(make_params: MakeParams) -> None:
    """Noise levels agree unless selected; one that seeds differ in agrees with no level."""
    varying = {**VALIDATION, "frozen rms=0.2 learning_rate=0.2": (9, 9, 1)}
    for keys in (["train.learning_rate"], ["train.learning_rate", "rms"]):
        params = make_params(seeds=SEEDS, models=MODELS, evaluate={"select": keys})
        found = _tuned(params, rows_of(params, varying), VARIES)
        label = f"frozen rms=0.2 learning_rate={TUNED}"
        assert {baseline for name, baseline in found if name == label} == {"none", "gaussian"}
        assert all(item.pairs == SEEDS for item in found.values())
    varying["frozen rms=0.1 learning_rate=0.3"] = (0, 9, 9)
    found = _tuned(params, rows_of(params, varying), VARIES)
    label = f"frozen rms={TUNED} learning_rate={TUNED}"
    assert {baseline for name, baseline in found if name == label} == {"none"}
    both = make_params(
        seeds=SEEDS, models=MODELS, evaluate={"select": ["train.learning_rate", "rms", "stddev"]}
    )
    found = _tuned(both, rows_of(both, varying), VARIES)
    assert {baseline for name, baseline in found if name == label} == {"none", "gaussian"}


def test_selection_per_seed_flatters_nothing(make_params: MakeParams) -> None:
    """Of settings that err alike what each seed selects does so on test, the best mean less.

    Each draws an error per sample, of which a split of each seed tests some and validates some.
    """
    models = {"none": {"offset": "none", "learning_rate": [0.1, 0.2, 0.3, 0.4, 0.5]}}
    evaluate = {"select": ["train.learning_rate"], "baselines": ["none"]}
    params = make_params(seeds=10, models=models, evaluate=evaluate)
    rng, samples, means = np.random.default_rng(0), 60, []
    for _ in range(150):
        errors = {setting.label: rng.normal(size=samples) for setting in params.settings}
        splits = [rng.permutation(samples) for _ in params.seeds]
        rows = []
        for run in params.runs:
            own = errors[run.setting.label][splits[run.seed]]
            metrics = {"mse": own[:20].mean(), "mse_validation": own[20:30].mean()}
            rows.append(RunRow(run.label, run, "finished", metrics))
        both = (
            select_settings(rows, params.settings, params.evaluate, design)[0].rows
            for design in (VARIES, ONE_SPLIT)
        )
        means.append([np.mean([row.metrics["mse"] for row in selected]) for selected in both])
    mean, error = np.mean(means, axis=0), np.std(means, axis=0) / np.sqrt(len(means))
    assert abs(mean[0]) < 3 * error[0]
    assert mean[1] < -5 * error[1]


def test_what_the_test_split_has_to_do_with_it_is_said() -> None:
    assert "the test split has no part in it" in selection_note(ONE_SPLIT, Evaluate())
    assert "Each seed selects for itself" in selection_note(VARIES, Evaluate())
    detecting = Evaluate(metric="auroc", anomaly=Anomaly(normal=[0], error="mae"))
    note = selection_note(VARIES, detecting)
    assert note.startswith(
        "AUROC is compared, yet validation has no anomalies: there mean absolute"
    )
