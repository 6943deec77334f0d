from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from offset_autoencoder.config import Params
from offset_autoencoder.evaluation.statistics import mean_and_interval
from offset_autoencoder.evaluation.summary import generalization_gaps, summarise_generalization_gaps

MakeParams = Callable[..., Params]


@pytest.mark.parametrize(("metric", "sign"), [("mse", 1), ("psnr", -1)])
def test_the_gap_is_above_zero_where_training_is_better(metric: str, sign: int) -> None:
    train, test = np.array([1.0, 2.0]), np.array([1.5, 1.75])
    np.testing.assert_allclose(generalization_gaps(train, test, metric), [sign * 0.5, -sign * 0.25])
    with pytest.raises(ValueError, match="pairs"):
        generalization_gaps(train, test[:1], metric)


def test_gaps_are_paired_by_seed(make_params: MakeParams) -> None:
    params = make_params()
    finished = [(run.label, run) for run in params.runs]
    train = {run_id: 1.0 + run.seed for run_id, run in finished}
    test = {run_id: (1.0 + run.seed) * 1.5 for run_id, run in finished if run.seed != 4}
    summaries = summarise_generalization_gaps(finished, train, test, metric="mse", confidence=0.95)
    assert [item.setting for item in summaries] == list(params.settings)
    on_train = np.array([1.0 + seed for seed in range(10) if seed != 4])
    for item in summaries:
        assert item.train == mean_and_interval(on_train, 0.95)
        assert item.gap == mean_and_interval(on_train / 2, 0.95)
        assert item.relative.mean == pytest.approx(0.5)
        assert item.relative.half == pytest.approx(0, abs=1e-12)
