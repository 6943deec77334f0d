"""Scaling of raw values to network inputs: ``scaled = (raw − shift) · factor``, in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.schema import Data
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import Matrix, chunks

_NAMED = 3
_BLOCK_VALUES = 1 << 18  # converted at a time: they stay in fast memory
_FULL_SCALE = {"uint8": 255.0, "uint16": 65535.0, "bool": 1.0}


ShiftAndFactor = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Fitted scale as in ``scale.npz``, each ``(1,)`` or ``(D,)``."""


@dataclass(frozen=True)
class Scale:
    """A fitted scale: ``none``, ``unit``, ``minmax`` or ``standard``.

    Attributes:
        shift: float64 ``(1,)`` or ``(D,)``.
        factor: float64, of the same shape.
        facts: Further facts for the schema: the divisor of ``unit``, the number of constant
            features that ``minmax`` and ``standard`` set to 0.
    """

    kind: str
    shift: NDArray[np.float64]
    factor: NDArray[np.float64]
    facts: dict[str, float] = field(default_factory=dict)

    def apply(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Scale raw samples; see :func:`apply_scale`."""
        return apply_scale(x, self.shift, self.factor)

    def equals(self, other: Scale) -> bool:
        """True if another scale gives every value the same."""
        return all(map(np.array_equal, self.arrays, other.arrays))

    @property
    def arrays(self) -> ShiftAndFactor:
        """Shift and factor."""
        return self.shift, self.factor


def fit_scale(
    data: Data,
    train: Matrix,
    *,
    full_scale: float | None = None,
    feature_name: Callable[[int], str] = "column {}".format,
) -> Scale:
    """Fit a scale on the training split, in one pass, chunk by chunk.

    - ``none``: values as they came.
    - ``unit``: all features by one divisor. Where the full scale is known it is that: 255
      for uint8, 65535 for uint16, 16 for digits. Otherwise values that lie in [0, 1] over the
      training split are left alone, and others divided by their largest magnitude there; so
      negative values stay negative, and other splits may exceed 1.
    - ``minmax``: each feature to [0, 1] over the training split; other splits may leave it.
    - ``standard``: each feature to mean 0 and standard deviation 1 (over n, not n − 1) over
      the training split.

    A feature that is constant over the training split has no spread to scale by. In the user's
    own files that is an error; in a built-in data set, whose pixels nobody can leave out, it
    becomes 0 in every split.

    ``train`` is ``(n, D)``, raw, of any numeric dtype; ``full_scale`` is the largest value that the
    kind of data can take, where it is known; ``feature_name`` names a feature in messages.

    Raises:
        InputError: for a feature of the user's own that is constant over the training split,
            under ``minmax`` and ``standard``.
    """
    if data.scale == "none":
        return Scale("none", np.zeros(1), np.ones(1))
    if data.scale == "unit":
        divisor = full_scale or _FULL_SCALE.get(train.dtype.name)
        if divisor is None:
            low, high, *_ = _survey(train, moments=False)
            largest = float(max(-low.min(), high.max()))
            divisor = 1.0 if low.min() >= 0 and largest <= 1 else largest
        return Scale("unit", np.zeros(1), np.array([1 / divisor]), {"divisor": divisor})
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        low, high, mean, stddev = _survey(train, moments=data.scale == "standard")
        shift, spread = (low, high - low) if data.scale == "minmax" else (mean, stddev)
        factor = 1 / spread
    # Rounding gives a constant feature a deviation of 1e-17: minimum and maximum tell.
    constant = (low == high) | ~np.isfinite(factor)
    if data.source == "file":
        _check_spread(data.scale, constant, low, feature_name)
    factor[constant] = 0
    facts = {"constant_features": float(constant.sum())} if constant.any() else {}
    return Scale(data.scale, shift, factor, facts)


def apply_scale(
    x: NDArray[Any], shift: NDArray[np.float64], factor: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Scale raw samples as the training split was: ``(x − shift) · factor``.

    Computed in float64 block by block, then rounded to float32; a value too large
    for float32 becomes infinite. Samples ``(n, D)`` of any numeric dtype, or images ``(n, ...)``,
    become ``(n, D)`` in C order; shift and factor are ``(1,)`` or ``(D,)``, from ``scale.npz``.

    Raises:
        InputError: where the samples have not D features.
    """
    if x.ndim < 2 or shift.size not in (1, int(np.prod(x.shape[1:]))):
        what = f"have shape {x.shape}, expected (samples, {shift.size})"
        raise InputError("samples to scale", what)
    flat = x.reshape(len(x), int(np.prod(x.shape[1:])))
    scaled = np.empty(flat.shape, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for rows in _blocks(flat):
            work = flat[rows].astype(np.float64)
            work -= shift
            work *= factor
            scaled[rows] = work
    return scaled


def inverse_scale(x: NDArray[np.float32], scale: ShiftAndFactor) -> NDArray[np.float64]:
    """Undo :func:`apply_scale`, as float64 ``(n, D)``.

    A feature that had no spread gets its one value.
    """
    shift, factor = scale
    with np.errstate(divide="ignore"):
        inverse = np.where(factor == 0, 0.0, 1 / factor)
    return x.astype(np.float64) * inverse + shift


def _blocks(x: NDArray[Any]) -> Iterator[slice]:
    rows = max(1, _BLOCK_VALUES // max(1, x.shape[1]))
    return (slice(start, start + rows) for start in range(0, len(x), rows))


def _survey(train: Matrix, *, moments: bool) -> tuple[NDArray[np.float64], ...]:
    """Minimum and maximum and, where requested, mean and standard deviation of each feature.

    Computed in one pass; means and sums of squared deviations of blocks are joined as in Chan,
    Golub & LeVeque 1983, Am. Stat. 37, 242.
    """
    features = train.shape[1]
    low, high = np.full(features, np.inf), np.full(features, -np.inf)
    mean, squares, rows = np.zeros(features), np.zeros(features), 0
    for _, chunk in chunks(train):
        np.minimum(low, chunk.min(axis=0), out=low)
        np.maximum(high, chunk.max(axis=0), out=high)
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
    kind: str,
    constant: NDArray[np.bool_],
    values: NDArray[np.float64],
    feature_name: Callable[[int], str],
) -> None:
    features = constant.nonzero()[0].tolist()
    if not features:
        return
    others = ", ".join(feature_name(index) for index in features[1:_NAMED])
    if len(features) > _NAMED:
        others += f" and {len(features) - _NAMED} more"
    what = f"{feature_name(features[0])} is {values[features[0]]:g} in every training sample and "
    what += "cannot be scaled" + (f"; so are {others}" if others else "")
    mend = "leave constant features out, or set data.scale: unit"
    raise InputError(f"params.yaml: data.scale: {kind}", what, mend)
