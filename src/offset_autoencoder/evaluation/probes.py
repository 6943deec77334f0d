"""Linear probes: x and its label, read from the offset, from the code, and from both.

One ridge regression per part, fitted on the training split, its strength chosen on the
validation split, scored on the test split. The label is read by ridge classification: a
least-squares regression of the one-hot labels, of which the largest prediction counts. A
multinomial logistic regression would do a little better and take a hundred times as long.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Run, Setting
from offset_autoencoder.evaluation.ridge import (
    BLOCK_ROWS,
    Linear,
    Moments,
    fit,
    moments,
    squared_error,
)
from offset_autoencoder.evaluation.runs_table import runs_by_setting
from offset_autoencoder.evaluation.statistics import Estimate, mean_and_interval

Float64 = NDArray[np.float64]

STRENGTHS: tuple[float, ...] = tuple(10.0**power for power in range(-6, 4))
PARTS = ("offset", "code", "sum", "both")


@dataclass(frozen=True)
class Splits:
    """The three splits of one array, row-aligned with the prepared samples."""

    train: NDArray[Any]
    validation: NDArray[Any]
    test: NDArray[Any]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return iter((self.train, self.validation, self.test))


@dataclass(frozen=True)
class Targets:
    """Targets of the probes, prepared once for all runs.

    Attributes:
        x: The samples' features, each split (n, features).
        labels: One-hot labels, each split float32 (n, classes); None where there are none.
        means: Of features and labels, for training and validation, float64 (features + classes,).
        variation: ``‖x − mean(x)‖²`` of each test sample, float64 (n_test,).
    """

    x: Splits
    labels: Splits | None
    means: tuple[Float64, Float64]
    variation: Float64


@dataclass(frozen=True)
class Probe:
    """Result of probing one part, on the test split.

    Attributes:
        explained: Share of the variance of x that is explained, over all features together, as
            :func:`.metrics.explained_variance`. Below zero it says less than the mean does.
        explained_error: Standard error of that share over test samples.
        accuracy: Share of the labels that are right; None without labels.
        accuracy_error: Standard error of that share over test samples.
    """

    explained: float
    explained_error: float
    accuracy: float | None
    accuracy_error: float | None


def prepare_targets(x: Splits, y: Splits | None) -> Targets:
    """Prepare the targets of the probes.

    Args:
        x: The samples' features, each split (n, features).
        y: Their labels as indices of classes, each split (n,), or None.

    Raises:
        ValueError: where there is not one label per sample.
    """
    labels = None
    if y is not None:
        if [len(split) for split in y] != [len(split) for split in x]:
            raise ValueError("there must be one label per sample")
        one_hot = np.eye(1 + max(int(split.max()) for split in y), dtype=np.float32)
        labels = Splits(*(one_hot[split] for split in y))
    centre = x.test.mean(axis=0, dtype=np.float64)
    variation = [np.square(rows - centre).sum(axis=1) for rows in _blocks(x.test)]
    parts = [list(x), *([list(labels)] if labels is not None else [])]
    means = [
        np.concatenate([part[split].mean(axis=0, dtype=np.float64) for part in parts])
        for split in (0, 1)
    ]
    return Targets(x, labels, (means[0], means[1]), np.concatenate(variation))


def probe(features: Splits, targets: Targets, strengths: Sequence[float] = STRENGTHS) -> Probe:
    """Read x and the labels from one part.

    Args:
        features: The part, each split (n, k). Its unit does not matter: a table scaled to
            another rms gives the same.
        targets: As :func:`prepare_targets` gives them.
        strengths: Ridge strengths to choose from, as :func:`.ridge.fit` takes them.

    Raises:
        ValueError: where there is not one row per sample.
    """
    return _score(features, *_moments(features, targets), targets, strengths)


def probe_parts(
    code: Splits | None,
    offset: Splits | None,
    targets: Targets,
    strengths: Sequence[float] = STRENGTHS,
) -> dict[str, Probe]:
    """Read x and the labels from each part of what a run's decoder gets, in one pass over them.

    Args:
        code: The run's codes, each split (n, L), or None where its architecture names none.
        offset: What is added to the codes or stands beside them, each split (n, L); None or
            zeros where nothing does.
        targets: As :func:`prepare_targets` gives them.
        strengths: As in :func:`probe`.

    Returns:
        By part, of :data:`PARTS`: ``offset``; ``code``; ``sum``, what an additive system's
        decoder gets; ``both`` side by side, what a concatenating system's gets. Parts that a
        run does not have are not in it.

    Raises:
        ValueError: where there is not one row per sample.
    """
    if offset is not None and not any(split.any() for split in offset):
        offset = None
    if code is None or offset is None:
        alone = {"offset": offset, "code": code}
        return {
            name: probe(part, targets, strengths)
            for name, part in alone.items()
            if part is not None
        }
    both = Splits(*(np.concatenate(pair, axis=1) for pair in zip(offset, code, strict=True)))
    summed = Splits(*(a + b for a, b in zip(offset, code, strict=True)))
    train, validation = _moments(both, targets)
    unit = np.eye(len(train.mean))
    left, right = np.hsplit(unit, 2)
    mixtures = (
        ("offset", offset, left),
        ("code", code, right),
        ("sum", summed, left + right),
        ("both", both, unit),
    )
    return {
        name: _score(part, train.mixed(mixing), validation.mixed(mixing), targets, strengths)
        for name, part, mixing in mixtures
    }


def _moments(features: Splits, targets: Targets) -> tuple[Moments, Moments]:
    x, labels = targets.x, targets.labels
    return (
        moments(
            features.train,
            [x.train] if labels is None else [x.train, labels.train],
            targets.means[0],
        ),
        moments(
            features.validation,
            [x.validation] if labels is None else [x.validation, labels.validation],
            targets.means[1],
        ),
    )


def _score(
    features: Splits,
    train: Moments,
    validation: Moments,
    targets: Targets,
    strengths: Sequence[float],
) -> Probe:
    width = targets.x.train.shape[1]
    to_x, to_label = slice(0, width), slice(width, None)
    held_out = validation.target(to_x)
    best = min(
        fit(train.target(to_x), strengths), key=lambda linear: squared_error(linear, held_out)
    )
    explained, explained_error = _explained(best, features.test, targets)
    if targets.labels is None:
        return Probe(explained, explained_error, None, None)
    truth = [split.argmax(axis=1) for split in targets.labels]
    # The strongest ridge of those that are equally good.
    classifier = max(
        reversed(fit(train.target(to_label), sorted(strengths))),
        key=lambda linear: int(np.sum(linear(features.validation).argmax(axis=1) == truth[1])),
    )
    accuracy = float(np.mean(classifier(features.test).argmax(axis=1) == truth[2]))
    error = float(np.sqrt(accuracy * (1 - accuracy) / len(truth[2])))
    return Probe(explained, explained_error, accuracy, error)


def _explained(linear: Linear, features: NDArray[Any], targets: Targets) -> tuple[float, float]:
    """The share r explained of the test samples, and the standard error of a ratio of means.

    For errors e and variations v of n samples it is ``std(e − (1 − r)·v) / (√n · mean(v))``.
    """
    pairs = zip(_blocks(features), _blocks(targets.x.test), strict=True)
    errors = np.concatenate([np.square(linear(rows) - x).sum(axis=1) for rows, x in pairs])
    total, count = float(targets.variation.sum()), len(errors)
    if not total:
        return float("nan"), float("nan")
    unexplained = float(errors.sum()) / total
    if count < 2:
        return 1 - unexplained, float("nan")
    spread = float(np.std(errors - unexplained * targets.variation, ddof=1))
    return 1 - unexplained, spread * float(np.sqrt(count)) / total


def _blocks(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(rows), BLOCK_ROWS):
        yield rows[start : start + BLOCK_ROWS]


@dataclass(frozen=True)
class ProbeSummary:
    """Result of probing one part of a setting, over the seeds that finished.

    Attributes:
        setting: The setting.
        part: The part, of :data:`PARTS`.
        values: Share of the variance of x that is explained, float64, one per seed.
        explained: Its mean and interval.
        accuracy: Mean and interval of the share of labels that are right; None without labels.
        over: The source of the intervals: ``seeds``, unless the part is one table for all of
            them: then the seeds say nothing of how well it is known, and ``samples`` of the
            test split do.
    """

    setting: Setting
    part: str
    values: NDArray[np.float64]
    explained: Estimate
    accuracy: Estimate | None
    over: Literal["seeds", "samples"]


def summarise_probes(
    finished: Sequence[tuple[str, Run]],
    probes: Mapping[str, Mapping[str, Probe]],
    *,
    confidence: float,
) -> list[ProbeSummary]:
    """Every part of every setting, by setting and then in the order of the parts.

    Args:
        finished: Ids and runs, in the order of the report.
        probes: :func:`probe_parts` of each id; a run may be missing.
        confidence: The share of intervals that hold the true value.
    """
    return [
        _summary(
            setting, part, [probes[i][part] for i, _ in members if part in probes[i]], confidence
        )
        for setting, members in runs_by_setting(finished, probes)
        for part in PARTS
        if any(part in probes[run_id] for run_id, _ in members)
    ]


def _summary(
    setting: Setting, part: str, probes: Sequence[Probe], confidence: float
) -> ProbeSummary:
    values = np.array([probe.explained for probe in probes], dtype=np.float64)
    shares = [probe.accuracy for probe in probes if probe.accuracy is not None]
    if part == "offset" and len(set(values)) == 1:
        first, count = probes[0], len(probes)
        accuracy = None
        if first.accuracy is not None and first.accuracy_error is not None:
            accuracy = _over_samples(first.accuracy, first.accuracy_error, count, confidence)
        explained = _over_samples(first.explained, first.explained_error, count, confidence)
        return ProbeSummary(setting, part, values, explained, accuracy, "samples")
    accuracy = mean_and_interval(np.array(shares, dtype=np.float64), confidence) if shares else None
    explained = mean_and_interval(values, confidence)
    return ProbeSummary(setting, part, values, explained, accuracy, "seeds")


def _over_samples(value: float, error: float, count: int, confidence: float) -> Estimate:
    """A value that all runs share, with the normal interval of its standard error."""
    from scipy.special import ndtri

    half = float(ndtri((1 + confidence) / 2)) * error
    return Estimate(value, 0.0, value - half, value + half, count)
