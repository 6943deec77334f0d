"""Linear probes: x and its label, read from the offset, from the code, and from both.

One ridge regression per part, fitted on the training split, its strength chosen on the
validation split, scored on the test split. The label is read by ridge classification: a
least-squares regression of the one-hot labels, of which the largest prediction counts. A
multinomial logistic regression would do a little better and take a hundred times as long.

A regression of m targets on k features is solved in closed form, from sums over the samples that
cost n·k·(k + m); then every strength, and every linear mixture of the features, costs nothing
that grows with n.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Run, Setting
from offset_autoencoder.evaluation.metrics import AT_MOST_ONE, SHARE, Bounds, Float64
from offset_autoencoder.evaluation.statistics import ONE_SPLIT, Design, Estimate
from offset_autoencoder.evaluation.summary import by_setting

BLOCK_ROWS = 4096
_ROUNDING = 1e-12  # a feature that varies by less than this share of its mean is constant
STRENGTHS: tuple[float, ...] = tuple(10.0**power for power in range(-6, 4))
PARTS = ("offset", "code", "sum", "both")


@dataclass(frozen=True)
class Moments:
    """Sums over the n samples of a split, of k features and m targets about their means."""

    count: int
    mean: Float64  # of the features, (k,)
    target_mean: Float64  # (m,)
    squares: Float64  # features by features, (k, k)
    cross: Float64  # features by targets, (k, m)

    def mixed(self, mixing: Float64) -> Moments:
        """The moments of ``features @ mixing``, (k, j)."""
        return Moments(
            self.count,
            self.mean @ mixing,
            self.target_mean,
            mixing.T @ self.squares @ mixing,
            mixing.T @ self.cross,
        )

    def target(self, columns: slice) -> Moments:
        """The moments with some of the targets."""
        cross = self.cross[:, columns]
        return Moments(self.count, self.mean, self.target_mean[columns], self.squares, cross)


@dataclass(frozen=True)
class Linear:
    """A fitted map from k features to m targets."""

    weights: Float64  # (k, m)
    mean: Float64  # of the features in training, (k,)
    target_mean: Float64  # in training, (m,)

    def __call__(self, features: NDArray[Any]) -> Float64:
        """Predicted targets, float64 (n, m)."""
        return (features - self.mean) @ self.weights + self.target_mean


def moments(
    features: NDArray[Any], targets: Sequence[NDArray[Any]], target_mean: Float64
) -> Moments:
    """The sums that a ridge regression needs, in float64, a block of samples at a time.

    ``targets`` (n, ·) are side by side; their means (m,) are computed once for all regressions.

    Raises:
        ValueError: where there are not as many samples of each.
    """
    if any(len(target) != len(features) for target in targets):
        raise ValueError(f"needs features of {len(targets[0])} samples, got {len(features)}")
    mean = features.mean(axis=0, dtype=np.float64)
    squares = np.zeros((len(mean), len(mean)))
    cross = np.zeros((len(mean), len(target_mean)))
    for start in range(0, len(features), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        centred = features[block] - mean
        rows = np.concatenate([target[block] for target in targets], axis=1)
        squares += centred.T @ centred
        cross += centred.T @ (rows - target_mean)
    return Moments(len(features), mean, target_mean, squares, cross)


def fit(train: Moments, strengths: Sequence[float]) -> list[Linear]:
    """A ridge regression of each strength, at least 0.

    Minimises ``Σ ‖ŷ − y‖² + strength · v · ‖W‖²`` with v the mean over the features of their sum
    of squares about the mean, so that the features' unit does not matter; the intercept is free.
    At strength 0, directions in which the features do not vary get no weight.
    """
    values, vectors = np.linalg.eigh(train.squares)
    rounding = len(values) * np.finfo(np.float64).eps * values[-1]
    of_means = train.count * np.sum(np.square(_ROUNDING * train.mean))
    values = np.where(values > max(rounding, of_means), values, 0.0)
    projected = vectors.T @ train.cross
    fitted = []
    for strength in strengths:
        shrunk = values + strength * float(np.mean(values))
        inverse = np.divide(1.0, shrunk, out=np.zeros_like(shrunk), where=shrunk > 0)
        weights = vectors @ (inverse[:, None] * projected)
        fitted.append(Linear(weights, train.mean, train.target_mean))
    return fitted


def squared_error(linear: Linear, split: Moments) -> float:
    """``Σ ‖ŷ − y‖²`` over a split, less its targets' own sum of squares about their mean."""
    off = split.target_mean - linear(split.mean[None, :])[0]
    within = linear.weights * (split.squares @ linear.weights - 2 * split.cross)
    return float(np.sum(within) + split.count * np.sum(np.square(off)))


class Splits(NamedTuple):
    """The three splits of one array, row-aligned with the prepared samples."""

    train: NDArray[Any]
    validation: NDArray[Any]
    test: NDArray[Any]


@dataclass(frozen=True)
class Targets:
    """Targets of the probes, prepared once for all runs."""

    x: Splits  # (n, features)
    labels: Splits | None  # one-hot, float32 (n, classes)
    means: tuple[Float64, Float64]  # training and validation, each (features + classes,)
    variation: Float64  # ‖x − mean(x)‖² of each test sample, (n_test,)


@dataclass(frozen=True)
class Probe:
    """Result of probing one part, on the test split; standard errors are over test samples.

    The share of the variance of x that is explained is that of all features together, as the
    metric ``explained_variance``. Below zero it says less than the mean does.
    """

    explained: float
    explained_error: float
    accuracy: float | None  # share of the labels that are right; None without labels
    accuracy_error: float | None


def prepare_targets(x: Splits, y: Splits | None) -> Targets:
    """Prepare the targets: features (n, D) and labels (n,) as indices of classes of each split.

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
    parts = [x] if labels is None else [x, labels]
    train, validation, _ = (
        np.concatenate([split.mean(axis=0, dtype=np.float64) for split in splits])
        for splits in zip(*parts, strict=True)
    )
    return Targets(x, labels, (train, validation), np.concatenate(variation))


def probe(features: Splits, targets: Targets, strengths: Sequence[float] = STRENGTHS) -> Probe:
    """Read x and the labels from one part, each split (n, k), of whatever unit.

    Raises:
        ValueError: where there is not one row per sample.
    """
    return _score(features, _moments(features, targets), targets, strengths)


def probe_parts(code: Splits | None, offset: Splits | None, targets: Targets) -> dict[str, Probe]:
    """Read x and the labels from each part of what a run's decoder gets, in one pass over them.

    Code and offset are (n, L) of each split; None, or an offset of zeros, is a part that the run
    does not have.

    Returns:
        By part, of :data:`PARTS`, that the run has: ``offset``; ``code``; ``sum``, what an
        additive system's decoder gets; ``both`` side by side, what a concatenating system's gets.

    Raises:
        ValueError: where there is not one row per sample.
    """
    if offset is not None and not any(split.any() for split in offset):
        offset = None
    if code is None or offset is None:
        alone = {"offset": offset, "code": code}
        return {name: probe(part, targets) for name, part in alone.items() if part is not None}
    both = Splits(*(np.concatenate(pair, axis=1) for pair in zip(offset, code, strict=True)))
    summed = Splits(*(a + b for a, b in zip(offset, code, strict=True)))
    train, validation = _moments(both, targets)
    unit = np.eye(len(train.mean))
    left, right = np.hsplit(unit, 2)
    parts = zip(PARTS, (offset, code, summed, both), (left, right, left + right, unit), strict=True)
    return {
        name: _score(part, [train.mixed(mixing), validation.mixed(mixing)], targets, STRENGTHS)
        for name, part, mixing in parts
    }


def _moments(features: Splits, targets: Targets) -> list[Moments]:
    """Those of the training and the validation split."""
    parts = [targets.x] if targets.labels is None else [targets.x, targets.labels]
    return [
        moments(features[split], [part[split] for part in parts], targets.means[split])
        for split in (0, 1)
    ]


def _score(
    features: Splits, fitted_on: Sequence[Moments], targets: Targets, strengths: Sequence[float]
) -> Probe:
    train, validation = fitted_on
    width = targets.x.train.shape[1]
    to_x, to_label = slice(0, width), slice(width, None)
    maps, held_out = fit(train.target(to_x), strengths), validation.target(to_x)
    best = min(maps, key=lambda linear: squared_error(linear, held_out))
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

    The intervals are over ``seeds``, unless the part is one table for all of them: then the seeds
    say nothing of how well it is known, and ``samples`` of the test split do.
    """

    setting: Setting
    part: str  # of PARTS
    explained: Estimate  # share of the variance of x
    accuracy: Estimate | None  # share of labels that are right; None without labels
    over: Literal["seeds", "samples"]


def summarise_probes(
    probes: Iterable[tuple[Run, Mapping[str, Probe]]], *, design: Design = ONE_SPLIT
) -> list[ProbeSummary]:
    """Every part of every setting, from :func:`probe_parts` of each run."""
    return [
        _summary(setting, part, present, design)
        for setting, runs in by_setting(probes)
        for part in PARTS
        if (present := [parts[part] for parts in runs if part in parts])
    ]


def _summary(setting: Setting, part: str, probes: Sequence[Probe], design: Design) -> ProbeSummary:
    from scipy.special import ndtri

    explained = [(item.explained, item.explained_error) for item in probes]
    pairs = [(item.accuracy, item.accuracy_error or 0.0) for item in probes]
    accuracies = [(share, error) for share, error in pairs if share is not None]
    shared = part == "offset" and len({share for share, _ in explained}) == 1

    def estimate(measured: Sequence[tuple[float, float]], bounds: Bounds) -> Estimate:
        if not shared:
            return design.estimate([share for share, _ in measured], bounds=bounds)
        share, error = measured[0]
        half = float(ndtri((1 + design.confidence) / 2)) * error
        return Estimate(share, 0.0, share - half, share + half, len(probes)).within(bounds)

    accuracy = estimate(accuracies, SHARE) if accuracies else None
    over: Literal["seeds", "samples"] = "samples" if shared else "seeds"
    return ProbeSummary(setting, part, estimate(explained, AT_MOST_ONE), accuracy, over)
