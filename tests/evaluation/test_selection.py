"""Selection by validation: by hand-computed means, whatever the test split says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from offset_autoencoder.config import Params, Run
from offset_autoencoder.evaluation.comparison import Comparison, compare
from offset_autoencoder.evaluation.selection import select_settings, selection_note
from offset_autoencoder.evaluation.statistics import ONE_SPLIT, Design
from offset_autoencoder.evaluation.summary import RunRow

MakeParams = Callable[..., Params]
SEEDS = 3
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


def _tuned(params: Params, rows: Sequence[RunRow]) -> dict[tuple[str, str], Comparison]:
    picked = [s.setting for s in select_settings(rows, params.settings, params.evaluate)]
    keys = params.evaluate.selected_keys
    found = compare(rows, picked, params.evaluate, selected=keys)
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
        "unequal budgets: evaluate.select takes the best setting out of 1 of plain; "
        "3 of none, gaussian, frozen"
    )
    same: dict[str, Any] = {name: keys for name, keys in MODELS.items() if name != "plain"}
    assert not make_params(models=same, evaluate={"select": ["train.learning_rate"]}).budget_warning
    assert not make_params().budget_warning


def test_where_splits_vary_the_test_samples_have_a_part_in_the_selection() -> None:
    assert selection_note(ONE_SPLIT) == "The test split had no part in it."
    assert "flatters" in selection_note(Design(varies=True, overlap=0.3))
