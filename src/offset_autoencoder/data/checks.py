"""Checks of raw tables, and of the data for the models and offsets of params.yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import SPLITS, Params, SplitName
from offset_autoencoder.config.offset_kinds import (
    ClassCodeOffset,
    EncoderOffset,
    FileOffset,
    KmeansOffset,
    PcaOffset,
    Reference,
)
from offset_autoencoder.config.registries import LOSSES
from offset_autoencoder.data.prepared import PreparedData
from offset_autoencoder.data.readers.base import Table
from offset_autoencoder.data.sources import locate
from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.io.arrays import ConcatenatedRows, Matrix, chunks

_SUM_TOLERANCE = 1e-4
_NOT_NUMBERS = {
    "c": "complex numbers",
    "U": "text",
    "S": "text",
    "O": "Python objects",
    "V": "records",
    "M": "dates",
    "m": "time spans",
}

LocateValue = Callable[[SplitName, int, int | None], str]
"""Function from split, row of it, and feature or None to the location in the user's files."""
Extremes = Mapping[SplitName, tuple[float, float]]
"""Smallest and largest value of each split."""


def check_features(table: Table) -> None:
    """Refuse features that are not a finite number in each of (samples, features) cells.

    Raises:
        InputError: for a wrong dtype or shape, no samples, no features, NaN or infinity (the
            first row, and in it the first column, named).
    """
    x = table.x
    if x.dtype.kind in _NOT_NUMBERS:
        raise InputError(
            table.origin, f"holds {_NOT_NUMBERS[x.dtype.kind]} ({x.dtype}), expected numbers"
        )
    if x.ndim < 2:
        raise InputError(
            table.origin, f"has shape {x.shape}, expected (samples, features)", "reshape it"
        )
    if not len(x):
        raise InputError(table.origin, "holds no samples")
    if not x.size:
        raise InputError(table.origin, f"has shape {x.shape}: its samples have no features")
    if x.dtype.kind == "f":
        flat = ConcatenatedRows((x,))
        if cell := first_not_finite(flat):
            row, feature = cell
            raise InputError(
                table.location(row, feature),
                f"{flat[row : row + 1][0, feature]} is not a finite number",
                "fix or drop the row",
            )


def first_not_finite(x: Matrix) -> tuple[int, int] | None:
    """First row, and in it the first column, of ``(n, D)`` that is NaN or infinite."""
    for start, chunk in chunks(x):
        # NaN goes through minimum and maximum.
        if np.isfinite(chunk.min()) and np.isfinite(chunk.max()):
            continue
        row, column = np.unravel_index(int(np.isfinite(chunk).argmin()), chunk.shape)
        return start + int(row), int(column)
    return None


def first_where(x: Matrix, test: Any) -> tuple[int, int] | None:
    """First row, and in it the first column, of ``(n, D)`` where a test is true.

    Args:
        x: The matrix; read in chunks, so that a mapped file stays on disk.
        test: Function from a chunk of rows to bools of its shape.
    """
    for start, chunk in chunks(x):
        hits = test(chunk)
        if hits.any():
            row, column = np.unravel_index(int(hits.argmax()), hits.shape)
            return start + int(row), int(column)
    return None


def as_ids(table: Table, values: NDArray[Any]) -> NDArray[Any]:
    """Convert ids to int64 or text, ``(n,)``.

    Raises:
        InputError: for ids of another kind, or an empty one.
    """
    kind = values.dtype.kind
    if kind in "iu" and (kind == "i" or not len(values) or values.max() < 2**63):
        return np.asarray(values, dtype=np.int64)
    if kind == "U":
        if len(empty := (values == "").nonzero()[0]):
            raise InputError(table.location(int(empty[0])), "the id is empty")
        return np.asarray(values)
    raise InputError(
        table.origin,
        f"ids are {values.dtype}, expected integers or text",
        "write them as int64 or as str",
    )


def as_labels(table: Table, values: NDArray[Any]) -> NDArray[Any]:
    """Convert labels to int64 or text, ``(n,)``; whole floats are integers.

    Raises:
        InputError: for labels that name no classes.
    """
    kind = values.dtype.kind
    if kind == "U":
        return np.asarray(values)
    if kind == "f":
        odd = (values != np.floor(values)) | ~np.isfinite(values) | (np.abs(values) >= 2**53)
        if len(rows := odd.nonzero()[0]):
            raise InputError(
                table.location(int(rows[0])),
                f"label {values[rows[0]]} names no class, expected integers or text",
                "leave data.label out where the labels are measurements",
            )
        return np.asarray(values, dtype=np.int64)
    if kind in "bi" or (kind == "u" and (not len(values) or values.max() < 2**63)):
        return np.asarray(values, dtype=np.int64)
    raise InputError(table.origin, f"labels are {values.dtype}, expected integers or text")


def as_splits(table: Table, values: NDArray[Any]) -> NDArray[np.str_]:
    """Convert names of splits to text, ``(n,)``.

    Raises:
        InputError: for the first row that names no split.
    """
    texts = values.astype(np.str_) if values.dtype.kind in "iufb" else np.asarray(values)
    if texts.dtype.kind != "U":
        raise InputError(
            table.origin, f"splits are {values.dtype}, expected the text {', '.join(SPLITS)}"
        )
    if len(odd := np.isin(texts, SPLITS, invert=True).nonzero()[0]):
        value = str(texts[odd[0]])
        raise InputError(
            table.location(int(odd[0])), f"unknown split {value!r}", did_you_mean(value, SPLITS)
        )
    return texts


def check_shape(params: Params, raw: Path, *, samples: int, features: int, labelled: bool) -> None:
    """Refuse an offset that data of this shape cannot serve; no value is read.

    Args:
        params: params.yaml, validated.
        raw: ``data/raw``, in which offsets name files.
        samples: Number of training samples.
        features: Number of features of a sample.
        labelled: Whether there are labels.

    Raises:
        InputError: for ``class_code`` without labels, ``pca`` with more components than there
            are, ``kmeans`` with more clusters than training samples, and an offset's file that
            is not there.
    """
    _check_offsets(params, samples, features, labelled)
    for name, offset in params.offsets.items():
        for key, path in _files(offset):
            locate(raw, path, f"offsets.{name}.{key}")


def _files(offset: Any) -> list[tuple[str, str]]:
    """Files that an offset names, each with its key."""
    if not isinstance(offset, EncoderOffset | FileOffset) or offset.path is None:
        return []
    if isinstance(offset.path, str):
        return [("path", offset.path)]
    return [(f"path.{split}", path) for split, path in offset.path.items()]


def _check_offsets(params: Params, samples: int, features: int, labelled: bool) -> None:
    for name, offset in params.offsets.items():
        where = f"params.yaml: offsets.{name}"
        if isinstance(offset, ClassCodeOffset) and not labelled:
            raise InputError(
                where,
                "class_code needs labels, and the data has none",
                "name them in data.label, or leave this offset and its models out",
            )
        largest = max(params.latent_dims(name))
        fits_pca = isinstance(offset, PcaOffset) or (
            isinstance(offset, KmeansOffset) and offset.vectors == "pca"
        )
        if fits_pca and largest > min(samples, features):
            raise InputError(
                where,
                f"pca of {samples} training samples with {features} features has at most "
                f"{min(samples, features)} components, latent_dim {largest} asks for more",
                "lower its models' latent_dim, or leave this offset and its models out",
            )
        if isinstance(offset, KmeansOffset) and offset.n_clusters > samples:
            raise InputError(
                f"{where}.n_clusters",
                f"{offset.n_clusters} clusters of {samples} training samples",
                "lower n_clusters",
            )


def check_values(
    params: Params, data: PreparedData, extremes: Extremes, locate_value: LocateValue
) -> None:
    """Refuse values that a loss or the metric of params.yaml cannot work with.

    Args:
        params: params.yaml, validated.
        data: The prepared data.
        extremes: Smallest and largest value of each split.
        locate_value: Location of a value in the user's files.

    Raises:
        InputError: for values too large for float32, binary cross-entropy on values outside
            [0, 1], categorical cross-entropy on rows that are no distributions, and a metric
            that no run can have.
    """
    for name in SPLITS:
        if np.isfinite(extremes[name]).all():
            continue
        if cell := first_not_finite(data.split(name).x):
            raise InputError(
                locate_value(name, *cell),
                f"is too large for float32 after data.scale: {data.schema.scale['kind']}",
                "set data.scale: minmax or standard, or fix the value",
            )
    for loss, (user, section) in _losses(params).items():
        needs = f"which loss: {loss} of {user} needs"
        if LOSSES[loss].targets == "unit_interval":
            _check_unit_interval(needs, section, params.data.scale, data, extremes, locate_value)
        elif LOSSES[loss].targets == "distribution":
            _check_distributions(needs, section, data, locate_value)
    if check_metric := _METRIC_CHECKS.get(params.evaluate.metric):
        check_metric(params, data, extremes)


def _losses(params: Params) -> dict[str, tuple[str, str]]:
    """First model or offset with each loss, and the section of params.yaml that names it."""
    users = [(s.network.loss, f"model {s.label}", "network") for s in params.settings]
    users += [
        (offset.loss, f"the reference of offset {name}", f"offsets.{name}")
        for name, offset in params.offsets.items()
        if isinstance(offset, Reference)
        and not (isinstance(offset, EncoderOffset) and offset.path is not None)
    ]
    firsts = {loss: (user, section) for loss, user, section in reversed(users)}
    return dict(sorted(firsts.items()))


def _check_unit_interval(
    needs: str,
    section: str,
    scale: str,
    data: PreparedData,
    extremes: Extremes,
    locate_value: LocateValue,
) -> None:
    for name in SPLITS:
        low, high = extremes[name]
        if low >= 0 and high <= 1:
            continue
        x = data.split(name).x
        cell = first_where(x, lambda block: (block < 0) | (block > 1))
        if cell is None:
            continue
        others = _other_scales(scale, negative=bool(x[cell] < 0))
        other = f"data.scale: {' or '.join(others)}, or " if others else ""
        raise InputError(
            locate_value(name, *cell),
            f"{x[cell]:g} in the {name} split, scaled by data.scale: {scale}, is outside [0, 1], "
            f"{needs}",
            f"set {other}{section}.loss: mean_squared_error with output: linear",
        )


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


def _check_distributions(
    needs: str, section: str, data: PreparedData, locate_value: LocateValue
) -> None:
    hint = f"scale the rows so and set data.scale: none, or take another {section}.loss"
    for name in SPLITS:
        x = data.split(name).x
        if cell := first_where(x, lambda block: block < 0):
            raise InputError(
                locate_value(name, *cell),
                f"{x[cell]:g} in the {name} split is not a probability (0 or more), {needs}",
                hint,
            )
        for start, chunk in chunks(x):
            sums = chunk.sum(axis=1, dtype=np.float64)
            if len(odd := (np.abs(sums - 1) > _SUM_TOLERANCE).nonzero()[0]):
                row = int(odd[0])
                raise InputError(
                    locate_value(name, start + row, None),
                    f"sums to {sums[row]:g} in the {name} split, not to 1, {needs}",
                    hint,
                )


def _check_psnr(params: Params, data: PreparedData, extremes: Extremes) -> None:
    if data.schema.range is None:
        raise InputError(
            "params.yaml: evaluate.metric",
            f"psnr needs data of known range, and data.scale: {params.data.scale} gave none in "
            "[0, 1]",
            "set data.scale: unit or minmax, or take mse",
        )


def _check_binary_crossentropy(params: Params, data: PreparedData, extremes: Extremes) -> None:
    where, (low, high) = "params.yaml: evaluate.metric", extremes["test"]
    if low < 0 or high > 1:
        raise InputError(
            where,
            "binary_crossentropy needs data in [0, 1], and the test split has values from "
            f"{low:g} to {high:g}",
            "set data.scale: unit or minmax, or take mse",
        )
    if all(setting.network.output == "linear" for setting in params.settings):
        raise InputError(
            where,
            "binary_crossentropy needs a reconstruction in [0, 1], and every model has "
            "output: linear",
            "set output: sigmoid in one, or take mse",
        )


_METRIC_CHECKS: dict[str, Callable[[Params, PreparedData, Extremes], None]] = {
    "psnr": _check_psnr,
    "binary_crossentropy": _check_binary_crossentropy,
}
