"""What a run does better on the samples it was trained on than on others: what it memorised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Run, Setting
from offset_autoencoder.evaluation.by_setting import runs_by_setting
from offset_autoencoder.evaluation.equivalence import relative_change
from offset_autoencoder.evaluation.metrics import higher_is_better
from offset_autoencoder.evaluation.statistics import Estimate, differences, mean_and_interval


@dataclass(frozen=True)
class GapSummary:
    """The gap between training and test of a setting, over the seeds that finished.

    Attributes:
        setting: Which setting.
        metric: The metric.
        train: Mean and interval on the training split.
        test: Mean and interval on the test split.
        gap: Mean and interval of the gap, seed by seed; above zero, training is better.
        relative: How much larger the error is on test than in training, as
            :func:`.equivalence.relative_change`: 0.05 is 5 %.
    """

    setting: Setting
    metric: str
    train: Estimate
    test: Estimate
    gap: Estimate
    relative: Estimate


def gaps(train: NDArray[Any], test: NDArray[Any], metric: str) -> NDArray[np.float64]:
    """How much better the metric is on the training split than on the test split, seed by seed.

    ``test − train`` for an error, ``train − test`` for what is better when higher: above zero a
    run does better on what it has seen. An offset that is a key to memorised samples opens the
    gap; one that is used by a rule leaves it.

    Args:
        train: One value a seed, (n,).
        test: At the same seeds, (n,).
        metric: Which metric.

    Raises:
        ValueError: where the two differ in length.
    """
    first, second = (train, test) if higher_is_better(metric) else (test, train)
    return differences(first, second)


def summarise_gaps(
    finished: Sequence[tuple[str, Run]],
    train: Mapping[str, float],
    test: Mapping[str, float],
    *,
    metric: str,
    confidence: float,
) -> list[GapSummary]:
    """The gap of every setting, in the order of the settings.

    Args:
        finished: Ids and runs, in the order of the report.
        train: The metric on the training split as deployed, by id.
        test: The metric on the test split as deployed, by id.
        metric: Which metric.
        confidence: The share of intervals that hold the true mean.
    """
    summaries = []
    for setting, members in runs_by_setting(finished, train.keys() & test.keys()):
        on_train = np.array([train[run_id] for run_id, _ in members], dtype=np.float64)
        on_test = np.array([test[run_id] for run_id, _ in members], dtype=np.float64)
        gap = gaps(on_train, on_test, metric)
        relative = relative_change(on_test, on_train, metric)
        estimates = (
            mean_and_interval(values, confidence) for values in (on_train, on_test, gap, relative)
        )
        summaries.append(GapSummary(setting, metric, *estimates))
    return summaries
