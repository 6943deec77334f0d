from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from offset_autoencoder.config import Params
from offset_autoencoder.evaluation.statistics import mean_and_interval
from offset_autoencoder.evaluation.summary import summarise_generalization_gaps

MakeParams = Callable[..., Params]


@pytest.mark.parametrize(("metric", "sign"), [("mse", 1), ("explained_variance", -1)])
def test_gaps_are_paired_by_seed_and_above_zero_where_training_is_better(
    metric: str, sign: int, make_params: MakeParams
) -> None:
    params = make_params()
    pairs = [
        (run, (0.01 * (1 + run.seed), 0.015 * (1 + run.seed)))
        for run in params.runs
        if run.seed != 4
    ]
    summaries = summarise_generalization_gaps(pairs, metric=metric, confidence=0.95)
    assert [item.setting for item in summaries] == list(params.settings)
    train = np.array([0.01 * (1 + seed) for seed in range(10) if seed != 4])
    for item in summaries:
        assert item.train == mean_and_interval(train, 0.95)
        assert item.gap.mean == pytest.approx(sign * train.mean() / 2)
        assert item.gap.half == pytest.approx(item.train.half / 2)
        if metric == "mse":
            assert item.relative.mean == pytest.approx(0.5)
            assert item.relative.half == pytest.approx(0, abs=1e-12)
