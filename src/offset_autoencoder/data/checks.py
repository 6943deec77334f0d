"""Checks of scaled values: what the losses of params.yaml need of every split."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offset_autoencoder.config import Params
from offset_autoencoder.config.data_schema import SPLITS, SplitName
from offset_autoencoder.config.registries import LOSSES
from offset_autoencoder.data.prepared import Schema, SplitStatistics
from offset_autoencoder.data.samples import Samples
from offset_autoencoder.data.scaling import Scale, survey
from offset_autoencoder.data.splits import LEFT_OUT, PartName, SplitRows, split_leakage
from offset_autoencoder.errors import InputError, Obstacles, first_names
from offset_autoencoder.io.arrays import Matrix, chunks, first_not_finite, first_where

_SUM_TOLERANCE = 1e-4
_SHARE, _FEW = 0.95, 4  # of the variance, in less than one feature of four
_NAMED = 3
LINEAR = "network.loss: mean_squared_error and network.output: linear"


@dataclass(frozen=True)
class WrittenSplits:
    """Train, validation and test of a seed, or of all, as they are written.

    Attributes:
        folder: Folder of the splits.
        schema: Without the range, which is that of all seeds.
        x: Scaled samples of each split, float32.
        seed: The seed whose splits they are; None where they are those of all.
        samples: The data set as it came, and ``rows`` of it in each split.
    """

    folder: Path
    schema: Schema
    x: Mapping[PartName, Matrix]
    seed: int | None
    samples: Samples
    rows: SplitRows
    scale: Scale
    statistics: dict[PartName, SplitStatistics]

    @functools.cached_property
    def leakage(self) -> Mapping[SplitName, int]:
        """Number of samples of a split that stand in an earlier one, too."""
        return split_leakage({name: self.statistics[name].samples for name in SPLITS})

    def title(self, name: PartName) -> str:
        """``"test split of seed 3"``."""
        part = "anomalies left out" if name == LEFT_OUT else f"{name} split"
        return part + ("" if self.seed is None else f" of seed {self.seed}")

    def location(self, name: PartName, row: int, feature: int | None = None) -> str:
        """Place of a value in the file that it came from."""
        return self.samples.location(int(self.rows[name][row]), feature)


def check_values(params: Params, splits: Sequence[WrittenSplits]) -> None:
    """Refuse scaled values that float32 or a loss of params.yaml cannot take.

    ``splits`` are those of all seeds: what is wrong is said of all.

    Raises:
        InputError: naming the first one's place in the user's own file.
    """
    for own in splits:
        for name, part in own.statistics.items():
            if np.isfinite(part.low) and np.isfinite(part.high):
                continue
            if cell := first_not_finite(own.x[name]):
                what = f"is too large for float32 after data.scale: {own.scale.kind}"
                what += "" if own.seed is None else f", in the {own.title(name)}"
                mend = "set data.scale: minmax or standard, or fix the value"
                raise InputError(own.location(name, *cell), what, mend)
    obstacles = Obstacles()
    for loss, (user, section) in _losses(params).items():
        needs = f"which loss: {loss} of {user} needs"
        with obstacles.noting():
            if LOSSES[loss].targets == "unit_interval":
                _check_unit_interval(splits, needs, section)
            elif LOSSES[loss].targets == "non_negative":
                _check_non_negative(splits, needs, section)
            elif LOSSES[loss].targets == "distribution":
                _check_distributions(splits, needs, section)
    obstacles.raise_noted()


def _check_unit_interval(splits: Sequence[WrittenSplits], needs: str, section: str) -> None:
    outside = [
        (own, name)
        for own in splits
        for name, part in own.statistics.items()
        if part.low < 0 or part.high > 1
    ]
    if not outside:
        return
    samples, scale = splits[0].samples, splits[0].scale.kind
    by_split = dict.fromkeys(splits[0].statistics, 0)
    by_feature = np.zeros(samples.x.shape[1], dtype=np.int64)
    first = place = ""
    for own, name in outside:
        for start, chunk in chunks(own.x[name]):
            is_outside = (chunk < 0) | (chunk > 1)
            by_split[name] += int(is_outside.sum())
            by_feature += is_outside.sum(axis=0)
            if not first and is_outside.any():
                row, feature = np.argwhere(is_outside)[0].tolist()
                place = own.location(name, start + row, feature)
                first = f"{chunk[row, feature]:g} in the {own.title(name)}"
    what = f"{first}, scaled by data.scale: {scale}, is outside [0, 1], {needs}"
    if by_feature.sum() > 1:
        counts = [f"{number} in {name}" for name, number in by_split.items() if number]
        if len(splits) > 1:
            seeds = list(dict.fromkeys(own.seed for own, _ in outside))
            counts.append(
                f"in the splits of {len(seeds)} of {len(splits)} seeds: {first_names(seeds)}"
            )
        order = np.argsort(-by_feature, kind="stable")[: np.count_nonzero(by_feature)].tolist()
        names = first_names(map(samples.tables[0].feature_name, order), _NAMED)
        what += f"; in all {by_feature.sum()} values are: {', '.join(counts)}, of {names}"
    raise InputError(place, what, f"set {_into_unit_interval(samples.x, scale, section)}")


def _into_unit_interval(x: Matrix, scale: str, section: str) -> str:
    """Settings that bring every value into [0, 1], or that take values which are not."""
    low, *_ = survey(x, moments=False)
    ways = []
    if scale == "minmax":
        ways.append("data.clip: true")
    if scale != "unit" and low.min() >= 0:
        ways.append("data.scale: unit")
    if scale != "minmax":
        ways.append("data.scale: minmax with data.clip: true")
    return ", or ".join([*ways, f"{section}.loss: mean_squared_error with output: linear"])


def _first_below_0(splits: Sequence[WrittenSplits]) -> tuple[str, str] | None:
    """Place of the first value below 0, and it; None where there is none."""
    for own in splits:
        for name, part in own.statistics.items():
            if part.low < 0:
                cell = first_where(own.x[name], lambda block: block < 0)
                assert cell is not None
                value = own.x[name][cell[0] : cell[0] + 1][0, cell[1]]
                return own.location(name, *cell), f"{value:g} in the {own.title(name)}"
    return None


def _check_non_negative(splits: Sequence[WrittenSplits], needs: str, section: str) -> None:
    if (found := _first_below_0(splits)) is not None:
        scale = splits[0].scale.kind
        ways = "none or unit" if scale == "standard" else "minmax with data.clip: true"
        mend = f"set data.scale: {ways}, or {section}.loss: mean_squared_error with output: linear"
        what = f"{found[1]}, scaled by data.scale: {scale}, is below 0, {needs}"
        raise InputError(found[0], what, mend)


def _check_distributions(splits: Sequence[WrittenSplits], needs: str, section: str) -> None:
    hint = f"scale the rows so and set data.scale: none, or take another {section}.loss"
    if (found := _first_below_0(splits)) is not None:
        what = f"{found[1]} is not a probability (0 or more), {needs}"
        raise InputError(found[0], what, hint)
    for own, name in [(each, name) for each in splits for name in each.statistics]:
        for start, chunk in chunks(own.x[name]):
            sums = chunk.sum(axis=1, dtype=np.float64)
            if len(odd := (np.abs(sums - 1) > _SUM_TOLERANCE).nonzero()[0]):
                row = int(odd[0])
                what = f"sums to {sums[row]:g} in the {own.title(name)}, not to 1, {needs}"
                raise InputError(own.location(name, start + row), what, hint)


def _losses(params: Params) -> dict[str, tuple[str, str]]:
    """First model or offset with each loss, and the section of params.yaml that names it."""
    users = [(s.network.loss, f"model {s.label}", "network") for s in params.settings]
    users += [
        (offset.fitted_loss, f"the reference of offset {name}", f"offsets.{name}")
        for name, offset in params.offsets.items()
        if offset.fitted_loss is not None
    ]
    firsts = {loss: (user, section) for loss, user, section in reversed(users)}
    return dict(sorted(firsts.items()))


def unlike_sizes_warning(
    params: Params, samples: Samples, train: Matrix, scale: Scale
) -> list[str]:
    """Line where a few features carry nearly all of the variance, and so of the error.

    Only scales that treat all features alike leave them so; pixels are meant to be alike, and so
    are shares that sum to 1. ``train`` is the training split, raw.
    """
    is_distribution = any(LOSSES[loss].targets == "distribution" for loss in _losses(params))
    features = train.shape[1]
    if (
        scale.arrays.shift.size > 1
        or samples.shape.image
        or samples.shape.sequence
        or is_distribution
        or features == 1
    ):
        return []
    *_, stddev = survey(train, moments=True, fill=scale.arrays.fill)
    if not 0 < stddev.max() < np.inf:
        return []
    shares = np.square(stddev / stddev.max())
    shares /= shares.sum()
    order = np.argsort(-shares, kind="stable")
    count = 1 + int(np.searchsorted(np.cumsum(shares[order]), _SHARE))
    if not count <= max(1, features // _FEW):
        return []
    name = samples.tables[0].feature_name
    names = first_names(
        (f"{name(i)} {100 * shares[i]:.3g} %" for i in order[:count].tolist()), _NAMED
    )
    carry = f"{count} of {features} features carr{'ies' if count == 1 else 'y'} "
    carry += f"{100 * shares[order[:count]].sum():.3g} % of the variance"
    mend = f"set data.scale: standard with {LINEAR}, or data.scale: minmax with data.clip: true"
    line = f"warning: under data.scale: {scale.kind} {carry} ({names}), and so of the error: {mend}"
    return [line]
