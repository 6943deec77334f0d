"""Scaling of raw values to network inputs: ``scaled = (raw − shift) · factor``, in float32.

Before that a missing value gets its feature's fill, and a value beyond the range of the training
split may be clipped to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.data_schema import Data
from offset_autoencoder.errors import InputError, first_names
from offset_autoencoder.io.arrays import Matrix, chunks, rows_per_chunk

_NAMED = 3
_BLOCK_VALUES = 1 << 18  # converted at a time: they stay in fast memory
_FULL_SCALE = {"uint8": 255.0, "uint16": 65535.0, "bool": 1.0}

Float64 = NDArray[np.float64]


class ScaleArrays(NamedTuple):
    """Fitted scale as in ``scale.npz``; each array is float64, ``(1,)`` or ``(D,)``.

    Attributes:
        shift: Raw value that becomes 0.
        factor: Of the raw value less the shift; 0 for a feature without spread.
        fill: Raw value that stands for a missing one; None where none may be missing.
        low: Smallest raw value that is not clipped; None where nothing is.
        high: Largest one.
    """

    shift: Float64
    factor: Float64
    fill: Float64 | None = None
    low: Float64 | None = None
    high: Float64 | None = None

    @property
    def stored(self) -> dict[str, Float64]:
        """The arrays that there are, by name."""
        return {name: array for name, array in self._asdict().items() if array is not None}

    def equals(self, other: ScaleArrays) -> bool:
        """True if another scale has the same arrays."""
        own, others = self.stored, other.stored
        return own.keys() == others.keys() and all(
            np.array_equal(array, others[name]) for name, array in own.items()
        )


UNSCALED = ScaleArrays(np.zeros(1), np.ones(1))
"""Scale of samples that are scaled already."""


@dataclass
class Clipping:
    """Values of raw samples that a scale clips, counted chunk by chunk.

    Those that are beyond the range by less than a millionth of it, as rounding leaves them, are
    not counted.

    Attributes:
        values: Their number; ``samples`` is that of the samples with any.
        furthest: Widths of the range by which the one furthest out is beyond it, infinite where all
            training samples have one value; its row, feature and value, and the ends of the range.
    """

    scale: ScaleArrays
    values: int = 0
    samples: int = 0
    furthest: tuple[float, int, int, float, float, float] = (0.0, 0, 0, 0.0, 0.0, 0.0)

    def count(self, x: NDArray[Any], first_row: int = 0) -> None:
        """Count those of raw samples ``(n, D)``, of which the first is row ``first_row``."""
        low, high = self.scale.low, self.scale.high
        if low is None or high is None:
            return
        low, high = (np.broadcast_to(end, x.shape[1]) for end in (low, high))
        margin = 1e-6 * np.where(low < high, high - low, np.abs(low))
        rows, features = np.nonzero((x < low - margin) | (x > high + margin))
        if not len(rows):
            return
        self.values += len(rows)
        self.samples += len(np.unique(rows))
        values, low, high = x[rows, features].astype(np.float64), low[features], high[features]
        with np.errstate(divide="ignore", over="ignore"):
            widths = np.maximum(low - values, values - high) / (high - low)
        i = int(np.argmax(widths))
        place = first_row + int(rows[i]), int(features[i])
        ends = float(values[i]), float(low[i]), float(high[i])
        self.furthest = max(self.furthest, (float(widths[i]), *place, *ends))

    def text(self, samples: int, location: Callable[[int, int], str]) -> str:
        """Sentence on the clipped values, of which there are some, of so many samples.

        ``location`` is a function from row and feature to the place of a value.
        """
        widths, row, feature, value, low, high = self.furthest
        end = f"the range {low:g} to {high:g}, {widths:.3g} times its width"
        text = (
            f"{self.values} value{'s' * (self.values > 1)} in {self.samples} of {samples} samples "
        )
        text += "are clipped to the range of the training split (data.clip), which hides how far "
        text += f"beyond it they are: furthest is {location(row, feature)}, {value:g} beyond "
        text += end if low < high else f"the one value {low:g}"
        return f"{text}; a model trained under data.clip: false shows it"


@dataclass(frozen=True)
class Scale:
    """A fitted scale: ``none``, ``unit``, ``minmax`` or ``standard``.

    Attributes:
        facts: Further facts for the schema: the divisor of ``unit``, the number of constant
            features that ``minmax`` and ``standard`` set to 0.
        constant: Indices of these features.
    """

    kind: str
    arrays: ScaleArrays
    facts: dict[str, float] = field(default_factory=dict)
    constant: tuple[int, ...] = ()

    def apply(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Scale raw samples; see :func:`apply_scale`."""
        return apply_scale(x, *self.arrays)


def fit_scale(
    data: Data,
    train: Matrix,
    *,
    full_scale: float | None = None,
    feature_name: Callable[[int], str] = "column {}".format,
) -> Scale:
    """Fit a scale on the training split, chunk by chunk.

    - ``none``: values as they came.
    - ``unit``, also where ``data.scale`` is None: all features by one divisor. Where the full
      scale is known it is that: 255 for uint8, 65535 for uint16, 16 for digits, and what
      :func:`largest_magnitude` finds in all samples. Otherwise it is found in the training split.
    - ``minmax``: each feature to [0, 1] over the training split; other splits may leave it.
    - ``standard``: each feature to mean 0 and standard deviation 1 (over n, not n − 1) over
      the training split.

    Under ``data.missing: mean`` or ``median`` missing values are filled before that. Under
    ``data.clip`` values beyond the range of the training split (of each feature; under ``none``
    and ``unit`` of all of them) become the end of it.

    A feature that is constant over the training split has no spread to scale by: ``minmax`` and
    ``standard`` set it to 0 in every split, unless ``data.constant`` is ``error``.

    ``train`` is ``(n, D)``, raw, of any numeric dtype; ``full_scale`` is the largest value that the
    kind of data can take, where it is known; ``feature_name`` names a feature in messages.

    Raises:
        InputError: for a feature that is constant over the training split, under ``minmax`` and
            ``standard``, where ``data.constant`` is ``error``.
    """
    kind, fill = data.scale or "unit", None
    if data.missing in ("mean", "median"):
        fill = _fit_fill(train, data.missing)
    by_feature = kind in ("minmax", "standard")
    divisor = (full_scale or _FULL_SCALE.get(train.dtype.name)) if kind == "unit" else 1.0
    if not by_feature and not data.clip and divisor is not None:
        return _by_one_divisor(kind, divisor, fill)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        low, high, mean, stddev = survey(train, moments=kind == "standard", fill=fill)
        ends = (low, high) if by_feature else (low.min(keepdims=True), high.max(keepdims=True))
        limits = ends if data.clip else (None, None)
        if not by_feature:
            divisor = divisor or _divisor(float(ends[0][0]), float(ends[1][0]))
            return _by_one_divisor(kind, divisor, fill, *limits)
        shift, spread = (low, high - low) if kind == "minmax" else (mean, stddev)
        factor = 1 / spread
    # Rounding gives a constant feature a deviation of 1e-17: minimum and maximum tell.
    constant = (low == high) | ~np.isfinite(factor)
    if data.constant == "error":
        _check_spread(kind, constant, low, feature_name)
    factor[constant] = 0
    facts = {"constant_features": float(constant.sum())} if constant.any() else {}
    indices = tuple(constant.nonzero()[0].tolist())
    return Scale(kind, ScaleArrays(shift, factor, fill, *limits), facts, indices)


def _by_one_divisor(kind: str, divisor: float, *others: Float64 | None) -> Scale:
    facts = {"divisor": divisor} if kind == "unit" else {}
    return Scale(kind, ScaleArrays(np.zeros(1), np.array([1 / divisor]), *others), facts)


def largest_magnitude(x: Matrix) -> float:
    """Divisor of ``unit`` for samples whose full scale is not known: 1 where all are in [0, 1].

    It is taken over all samples, so that the seeds, each with a split of its own, have errors in
    one unit.
    """
    if (known := _FULL_SCALE.get(x.dtype.name)) is not None:
        return known
    low, high, *_ = survey(x, moments=False)
    return _divisor(float(low.min()), float(high.max()))


def _divisor(low: float, high: float) -> float:
    largest = max(-low, high)
    return 1.0 if (low >= 0 and largest <= 1) or not np.isfinite(largest) else largest


def fill_missing(x: NDArray[Any], fill: Float64 | None) -> NDArray[Any]:
    """Samples ``(n, D)`` with the fill of their feature where they are NaN."""
    if fill is None or x.dtype.kind != "f" or not (missing := np.isnan(x)).any():
        return x
    return np.where(missing, fill, x)


def _fit_fill(train: Matrix, by: str) -> Float64:
    """Mean or median of what is not missing, by feature; 0 where all is."""
    if by == "mean":
        total, count = np.zeros(train.shape[1]), np.zeros(train.shape[1])
        for _, chunk in chunks(train):
            total += np.nansum(chunk, axis=0, dtype=np.float64)
            count += (~np.isnan(chunk)).sum(axis=0)
        return total / np.maximum(count, 1)
    fill, step = np.zeros(train.shape[1]), rows_per_chunk(len(train))
    for first in range(0, len(fill), step):  # whole columns, as many as memory holds
        some = slice(first, first + step)
        columns = np.concatenate([np.array(chunk[:, some]) for _, chunk in chunks(train)])
        present = ~np.isnan(columns).all(axis=0)
        fill[some][present] = np.nanmedian(columns[:, present].astype(np.float64), axis=0)
    return fill


def apply_scale(x: NDArray[Any], *arrays: Any) -> NDArray[np.float32]:
    """Scale raw samples as the training split was: ``(x − shift) · factor``, filled and clipped.

    Computed in float64 block by block, then rounded to float32; a value too large
    for float32 becomes infinite. Samples ``(n, D)`` of any numeric dtype, or images ``(n, ...)``,
    become ``(n, D)`` in C order; ``arrays`` are the fields of :class:`ScaleArrays`.

    Raises:
        InputError: where the samples have not D features.
    """
    shift, factor, fill, low, high = ScaleArrays(*arrays)
    if x.ndim < 2 or shift.size not in (1, int(np.prod(x.shape[1:]))):
        what = f"have shape {x.shape}, expected (samples, {shift.size})"
        raise InputError("samples to scale", what)
    flat = x.reshape(len(x), int(np.prod(x.shape[1:])))
    scaled = np.empty(flat.shape, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for rows in _blocks(flat):
            work = flat[rows].astype(np.float64)
            if fill is not None:
                np.copyto(work, fill, where=np.isnan(work))
            if low is not None:
                np.clip(work, low, high, out=work)
            work -= shift
            work *= factor
            scaled[rows] = work
    return scaled


def inverse_scale(x: NDArray[np.float32], scale: ScaleArrays) -> Float64:
    """Undo the shift and the factor of :func:`apply_scale`, as float64 ``(n, D)``.

    A feature that had no spread gets its one value.
    """
    with np.errstate(divide="ignore"):
        inverse = np.where(scale.factor == 0, 0.0, 1 / scale.factor)
    return x.astype(np.float64) * inverse + scale.shift


def _blocks(x: NDArray[Any]) -> Iterator[slice]:
    rows = max(1, _BLOCK_VALUES // max(1, x.shape[1]))
    return (slice(start, start + rows) for start in range(0, len(x), rows))


def survey(x: Matrix, *, moments: bool, fill: Float64 | None = None) -> tuple[Float64, ...]:
    """Minimum and maximum and, where requested, mean and standard deviation of each feature.

    Missing values (NaN) are filled, if there is a fill; else they do not count in the first two: of
    a feature that has no other they are infinite. Computed in one pass; means and sums of squared
    deviations of blocks are joined as in Chan, Golub & LeVeque 1983, Am. Stat. 37, 242.
    """
    features = x.shape[1]
    low, high = np.full(features, np.inf), np.full(features, -np.inf)
    mean, squares, rows = np.zeros(features), np.zeros(features), 0
    for _, block_of_rows in chunks(x):
        chunk = fill_missing(block_of_rows, fill)
        np.fmin(low, np.fmin.reduce(chunk, axis=0), out=low)
        np.fmax(high, np.fmax.reduce(chunk, axis=0), out=high)
        for block in _blocks(chunk) if moments else ():
            values = chunk[block].astype(np.float64)
            own = values.mean(axis=0)
            values -= own
            delta, new = own - mean, len(values)
            squares += np.square(values).sum(axis=0) + delta**2 * (rows * new / (rows + new))
            mean += delta * (new / (rows + new))
            rows += new
    return low, high, mean, np.sqrt(squares / max(rows, 1))


def _check_spread(
    kind: str, constant: NDArray[np.bool_], values: Float64, feature_name: Callable[[int], str]
) -> None:
    features = constant.nonzero()[0].tolist()
    if not features:
        return
    others = first_names(map(feature_name, features[1:]), _NAMED - 1)
    what = f"{feature_name(features[0])} is {values[features[0]]:g} in every training sample and "
    what += "cannot be scaled" + (f"; so are {others}" if others else "")
    mend = "set data.constant: zero or drop, or data.scale: unit"
    raise InputError(f"params.yaml: data.scale: {kind}", what, mend)
