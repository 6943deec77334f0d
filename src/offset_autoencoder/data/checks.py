"""Checks of scaled values: what the losses of params.yaml need of every split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import Params
from offset_autoencoder.config.registries import LOSSES
from offset_autoencoder.data.prepared import LEFT_OUT, PartName, SplitRows, SplitStatistics
from offset_autoencoder.data.samples import Samples
from offset_autoencoder.data.scaling import Scale
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import chunks, first_not_finite, first_where
from offset_autoencoder.io.files import open_npy

_SUM_TOLERANCE = 1e-4


@dataclass(frozen=True)
class WrittenSplits:
    """Train, validation and test of a seed, or of all, as they stand in a folder.

    Attributes:
        of_seed: ``" of seed 3"`` where they are those of a seed.
        samples: The data set as it came, and ``rows`` of it in each split.
    """

    folder: Path
    of_seed: str
    samples: Samples
    rows: SplitRows
    scale: Scale
    statistics: dict[PartName, SplitStatistics]

    def x(self, name: PartName) -> NDArray[np.float32]:
        """Scaled samples of a split, mapped."""
        return open_npy(self.folder / name / "x.npy")

    def title(self, name: PartName) -> str:
        """``"test split of seed 3"``."""
        part = "anomalies left out" if name == LEFT_OUT else f"{name} split"
        return part + self.of_seed

    def location(self, name: PartName, row: int, feature: int | None = None) -> str:
        """Place of a value in the file that it came from."""
        return self.samples.location(int(self.rows[name][row]), feature)


def check_values(params: Params, splits: WrittenSplits) -> None:
    """Refuse scaled values that float32 or a loss of params.yaml cannot take.

    Raises:
        InputError: naming the first one's place in the user's own file.
    """
    for name, part in splits.statistics.items():
        if np.isfinite(part.low) and np.isfinite(part.high):
            continue
        if cell := first_not_finite(splits.x(name)):
            what = f"is too large for float32 after data.scale: {splits.scale.kind}"
            what += splits.of_seed and f", in the {splits.title(name)}"
            mend = "set data.scale: minmax or standard, or fix the value"
            raise InputError(splits.location(name, *cell), what, mend)
    for loss, (user, section) in _losses(params).items():
        needs = f"which loss: {loss} of {user} needs"
        if LOSSES[loss].targets == "unit_interval":
            _check_unit_interval(splits, needs, section)
        elif LOSSES[loss].targets == "non_negative":
            _check_non_negative(splits, needs, section)
        elif LOSSES[loss].targets == "distribution":
            _check_distributions(splits, needs, section)


def _check_unit_interval(splits: WrittenSplits, needs: str, section: str) -> None:
    scale = splits.scale.kind
    for name, part in splits.statistics.items():
        if part.low >= 0 and part.high <= 1:
            continue
        x = splits.x(name)
        cell = first_where(x, lambda block: (block < 0) | (block > 1))
        assert cell is not None
        others = _other_scales(scale, negative=bool(x[cell] < 0))
        other = f"data.scale: {' or '.join(others)}, or " if others else ""
        what = (
            f"{x[cell]:g} in the {splits.title(name)}, scaled by data.scale: {scale}, is outside "
        )
        mend = f"set {other}{section}.loss: mean_squared_error with output: linear"
        raise InputError(splits.location(name, *cell), f"{what}[0, 1], {needs}", mend)


def _check_non_negative(splits: WrittenSplits, needs: str, section: str) -> None:
    scale = splits.scale.kind
    for name, part in splits.statistics.items():
        if part.low >= 0:
            continue
        cell = first_where(x := splits.x(name), lambda block: block < 0)
        assert cell is not None
        mend = f"set data.scale: {'none or unit' if scale == 'standard' else 'minmax'}, or "
        mend += f"{section}.loss: mean_squared_error with output: linear"
        what = f"{x[cell]:g} in the {splits.title(name)}, scaled by data.scale: {scale}, is below 0"
        raise InputError(splits.location(name, *cell), f"{what}, {needs}", mend)


def _check_distributions(splits: WrittenSplits, needs: str, section: str) -> None:
    hint = f"scale the rows so and set data.scale: none, or take another {section}.loss"
    for name in splits.statistics:
        x, title = splits.x(name), splits.title(name)
        if cell := first_where(x, lambda block: block < 0):
            what = f"{x[cell]:g} in the {title} is not a probability (0 or more), {needs}"
            raise InputError(splits.location(name, *cell), what, hint)
        for start, chunk in chunks(x):
            sums = chunk.sum(axis=1, dtype=np.float64)
            if len(odd := (np.abs(sums - 1) > _SUM_TOLERANCE).nonzero()[0]):
                row = int(odd[0])
                what = f"sums to {sums[row]:g} in the {title}, not to 1, {needs}"
                raise InputError(splits.location(name, start + row), what, hint)


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


def _other_scales(scale: str, *, negative: bool) -> list[str]:
    """Other scales that may bring a value into [0, 1]."""
    if scale == "minmax":
        return ["unit"]
    if scale == "standard":
        return ["unit", "minmax"]
    if negative:
        return ["minmax"]
    # Under unit the value is beyond the training split's largest, and so it is under minmax.
    return ["unit", "minmax"] if scale == "none" else []
