from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offset_autoencoder.config import Params
from offset_autoencoder.evaluation.summary import best_so_far, learning_curves, shown_epochs

MakeParams = Callable[..., Params]


@given(st.lists(st.floats(0, 9), min_size=1, max_size=20), st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_best_so_far_is_the_loss_of_the_weights_that_are_kept(
    losses: list[float], epochs: int
) -> None:
    best = best_so_far(np.array(losses), epochs)
    assert best.tolist() == [min(losses[: epoch + 1]) for epoch in range(epochs)]


def test_a_run_without_an_epoch_is_refused() -> None:
    with pytest.raises(ValueError, match="epoch"):
        best_so_far(np.array([]), 3)


@given(st.integers(1, 100_000))
@settings(max_examples=40, deadline=None)
def test_shown_epochs_are_few_and_reach_both_ends(last: int) -> None:
    epochs = shown_epochs(last)
    assert (epochs[0], epochs[-1]) == (1, last)
    assert len(epochs) <= 100
    assert np.all(np.diff(epochs) > 0)
    if last <= 100:
        assert len(epochs) == last


def test_stopped_runs_stay_in_the_mean(make_params: MakeParams) -> None:
    first, second, *_ = make_params().settings
    losses = [np.array([3.0, 1.0, 2.0]), np.array([4.0, 3.0, 3.0, 2.0, 1.0])]
    (curve,) = learning_curves([(first, losses), (second, [])], confidence=0.95)
    assert curve.epochs.tolist() == [1, 2, 3, 4, 5]
    assert curve.mean.tolist() == [3.5, 2.0, 2.0, 1.5, 1.0]
    assert curve.runs == 2
    assert np.all(curve.low[:4] < curve.mean[:4])
    assert curve.low[4] == curve.high[4] == 1.0
