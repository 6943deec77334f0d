"""What models and offsets ask of the data, found out before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from offset_autoencoder.config import SPLITS, Params, SplitName
from offset_autoencoder.config.offset_kinds import (
    ClassCodeOffset,
    EncoderOffset,
    FileOffset,
    KmeansOffset,
    PcaOffset,
    Reference,
)
from offset_autoencoder.data.prepared import PreparedData
from offset_autoencoder.data.raw_files import locate
from offset_autoencoder.data.validation import first_not_finite, first_where
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import chunks

_SUM_TOLERANCE = 1e-4

Place = Callable[[SplitName, int, int | None], str]
"""A split, a row of it, and a feature or None → where the user finds it."""
Extremes = Mapping[SplitName, tuple[float, float]]
"""The smallest and the largest value of each split."""


def check_shape(params: Params, raw: Path, *, samples: int, features: int, labelled: bool) -> None:
    """Refuse an offset that data of this shape cannot serve; takes no look at a value.

    Args:
        params: params.yaml, validated.
        raw: ``data/raw``, in which offsets name files.
        samples: Of the training split.
        features: Of a sample.
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


def check_values(params: Params, data: PreparedData, extremes: Extremes, place: Place) -> None:
    """Refuse values that a loss or the metric of params.yaml cannot work with.

    Args:
        params: params.yaml, validated.
        data: The prepared data.
        extremes: The smallest and the largest value of each split.
        place: Where the user finds a value of it.

    Raises:
        InputError: for values too large for float32, binary cross-entropy on values outside
            [0, 1], categorical cross-entropy on rows that are no distributions, and a metric
            that no run can have.
    """
    _check_finite(data, extremes, place)
    losses = _losses(params)
    if "binary_crossentropy" in losses:
        _check_unit_range(*losses["binary_crossentropy"], params, data, extremes, place)
    if "categorical_crossentropy" in losses:
        _check_distributions(*losses["categorical_crossentropy"], data, place)
    _check_metric(params, data, extremes)


def _check_finite(data: PreparedData, extremes: Extremes, place: Place) -> None:
    for name in SPLITS:
        if np.isfinite(extremes[name]).all():
            continue
        if found := first_not_finite(data.split(name).x):
            raise InputError(
                place(name, *found),
                f"is too large for float32 after data.scale: {data.schema.scale['kind']}",
                "set data.scale: minmax or standard, or mend the value",
            )


def _losses(params: Params) -> dict[str, tuple[str, str]]:
    """Of each loss the first model or offset that needs it, and the section that names it."""
    users = [(s.network.loss, f"model {s.label}", "network") for s in params.settings]
    users += [
        (offset.loss, f"the reference of offset {name}", f"offsets.{name}")
        for name, offset in params.offsets.items()
        if isinstance(offset, Reference) and not _brings_a_model(offset)
    ]
    return {loss: (user, section) for loss, user, section in reversed(users)}


def _brings_a_model(offset: Any) -> bool:
    return isinstance(offset, EncoderOffset) and offset.path is not None


def _files(offset: Any) -> list[tuple[str, str]]:
    """The files that an offset names, each with its key."""
    if not isinstance(offset, EncoderOffset | FileOffset) or offset.path is None:
        return []
    if isinstance(offset.path, str):
        return [("path", offset.path)]
    return [(f"path.{split}", path) for split, path in offset.path.items()]


def _check_metric(params: Params, data: PreparedData, extremes: Extremes) -> None:
    """Refuse what :func:`.reconstruction_metrics` would give no run."""
    where, metric = "params.yaml: evaluate.metric", params.evaluate.metric
    if metric == "psnr" and data.schema.range is None:
        raise InputError(
            where,
            f"psnr needs data of known range, and data.scale: {params.data.scale} gave none in "
            "[0, 1]",
            "set data.scale: unit or minmax, or take mse",
        )
    if metric == "binary_crossentropy":
        low, high = extremes["test"]
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
        wants_pca = isinstance(offset, PcaOffset) or (
            isinstance(offset, KmeansOffset) and offset.vectors == "pca"
        )
        if wants_pca and largest > min(samples, features):
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


def _check_unit_range(
    user: str,
    section: str,
    params: Params,
    data: PreparedData,
    extremes: Extremes,
    place: Place,
) -> None:
    for name in SPLITS:
        low, high = extremes[name]
        if low >= 0 and high <= 1:
            continue
        x = data.split(name).x
        found = first_where(x, lambda block: (block < 0) | (block > 1))
        if found is None:
            continue
        scale = params.data.scale
        others = _other_scales(scale, negative=bool(x[found] < 0))
        other = f"data.scale: {' or '.join(others)}, or " if others else ""
        raise InputError(
            place(name, *found),
            f"{x[found]:g} in the {name} split, scaled by data.scale: {scale}, is outside [0, 1], "
            f"which loss: binary_crossentropy of {user} needs",
            f"set {other}{section}.loss: mean_squared_error with output: linear",
        )


def _other_scales(scale: str, *, negative: bool) -> list[str]:
    """The scales that may bring a value into [0, 1] where this one did not."""
    if scale == "minmax":
        return ["unit"]
    if scale == "standard":
        return ["unit", "minmax"]
    if negative:
        return ["minmax"]
    # Under unit the value is beyond the training split's largest, and so it is under minmax.
    return ["unit", "minmax"] if scale == "none" else []


def _check_distributions(user: str, section: str, data: PreparedData, place: Place) -> None:
    needs = f"which loss: categorical_crossentropy of {user} needs"
    mend = f"scale the rows so and set data.scale: none, or take another {section}.loss"
    for name in SPLITS:
        x = data.split(name).x
        if found := first_where(x, lambda block: block < 0):
            raise InputError(
                place(name, *found),
                f"{x[found]:g} in the {name} split is not a probability (0 or more), {needs}",
                mend,
            )
        for start, chunk in chunks(x):
            sums = chunk.sum(axis=1, dtype=np.float64)
            if len(odd := (np.abs(sums - 1) > _SUM_TOLERANCE).nonzero()[0]):
                row = int(odd[0])
                raise InputError(
                    place(name, start + row, None),
                    f"sums to {sums[row]:g} in the {name} split, not to 1, {needs}",
                    mend,
                )
