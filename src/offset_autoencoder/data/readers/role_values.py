"""Labels, ids and names of splits as they stand in a file, checked and converted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.data_schema import SPLITS
from offset_autoencoder.errors import InputError, did_you_mean

WHOLE = r"(0|-?[1-9][0-9]{0,17})(\.0*)?"
"""Whole number as Python writes it, or a float that is one: "007" would not come back as it was."""
_MEASURED = (
    "if the labels are measurements, bin them (np.digitize(y, np.quantile(y, [1/3, 2/3])) "
    "gives three classes) or leave data.label out"
)
_SAMPLES_PER_CLASS, _FEW_SAMPLES = 3, 10

Location = Callable[[int], str]
"""Function from a sample's row to its place, for messages."""


class Origin(NamedTuple):
    """Place of an array, for messages, and the Python expression that reads it."""

    place: str
    python: str = "the_array"


def one_per_sample(role: str, array: NDArray[Any], origin: Origin, x: Path) -> NDArray[Any]:
    """Values ``(n,)`` of a role, from ``(n,)``, ``(n, 1)`` or ``(1, n)``.

    ``x`` is the features' file, for messages.

    Raises:
        InputError: for another shape.
    """
    if array.ndim > 1 and array.size == max(array.shape):
        return array.reshape(-1)
    if array.ndim == 1:
        return array
    hint = None
    if role == "label" and array.ndim == 2:
        libraries = "h5py, numpy as np" if "h5py" in origin.python else "numpy as np"
        hint = f"if it is one-hot: import {libraries}; np.save({str(x.with_name('labels.npy'))!r}, "
        hint += f"{origin.python}.argmax(axis=1)), and name that file as the label"
    what = f"has shape {array.shape}, expected one {role} per sample"
    raise InputError(origin.place, what, hint)


def as_names(role: str, values: NDArray[Any], origin: str, location: Location) -> NDArray[Any]:
    """Ids or labels as int64 or text; whole floats are integers.

    Raises:
        InputError: for what is neither, and for an empty id.
    """
    kind = values.dtype.kind
    if kind == "U":
        if len(empty := (values == "").nonzero()[0]):
            raise InputError(location(int(empty[0])), f"the {role} is empty")
        return np.asarray(values)
    if kind == "f":
        wide = values.astype(np.float64)
        odd = (wide != np.floor(wide)) | ~np.isfinite(wide) | (np.abs(wide) >= 2**53)
        if len(rows := odd.nonzero()[0]):
            is_label, value = role == "label", values[rows[0]]
            what = f"label {value} names no class" if is_label else f"id {value} is no whole number"
            mend = _MEASURED if is_label else "write the ids as int64 or as str"
            raise InputError(location(int(rows[0])), f"{what}, expected integers or text", mend)
        return np.asarray(values, dtype=np.int64)
    if kind == "i" or (kind == "u" and np.all(values < 2**63)) or (kind, role) == ("b", "label"):
        return np.asarray(values, dtype=np.int64)
    what = f"{role}s are {values.dtype}, expected integers or text"
    raise InputError(origin, what, "write them as int64 or as str")


def as_splits(role: str, values: NDArray[Any], origin: str, location: Location) -> NDArray[np.str_]:
    """Names of splits as text; capitals make no difference, and ``val`` is validation.

    Raises:
        InputError: for what names no split.
    """
    texts = values.astype(np.str_) if values.dtype.kind in "iufb" else np.asarray(values)
    if texts.dtype.kind != "U":
        what = f"splits are {values.dtype}, expected the text {', '.join(SPLITS)}"
        raise InputError(origin, what)
    texts = np.char.lower(np.char.strip(texts))
    texts = np.where(np.isin(texts, ("val", "valid", "dev")), SPLITS[1], texts)
    if len(odd := np.isin(texts, SPLITS, invert=True).nonzero()[0]):
        value, where = str(texts[odd[0]]), location(int(odd[0]))
        raise InputError(where, f"unknown split {value!r}", did_you_mean(value, SPLITS))
    return texts


def as_places(role: str, values: NDArray[Any], origin: str, location: Location) -> NDArray[Any]:
    """Groups or orders: nothing missing; groups as int64 or text, so that 1 and 1.0 are one.

    Raises:
        InputError: for other values, and where one is missing.
    """
    kind, missing = values.dtype.kind, np.zeros(len(values), dtype=bool)
    if kind not in "iufbUM":
        what = f"{role}s are {values.dtype}, expected numbers, dates or text"
        raise InputError(origin, what, "write them as int64 or as str")
    if kind == "U":
        missing = np.char.strip(values) == ""
    elif kind in "fM":
        missing = ~np.isfinite(values)
    if len(rows := missing.nonzero()[0]):
        raise InputError(location(int(rows[0])), f"the {role} is missing")
    if role == "order":
        return values
    if kind in "iufb" and np.all(values == np.floor(values)) and np.all(np.abs(values) < 2.0**63):
        return values.astype(np.int64)
    return values.astype(np.str_)


CONVERT = {"split": as_splits, "group": as_places, "order": as_places}


def whole_numbers(texts: NDArray[np.str_]) -> NDArray[Any]:
    """Text as int64 where every one is a whole number: ``"7"`` or ``"7.0"``."""
    numbers = [re.fullmatch(WHOLE, text) for text in texts.tolist()]
    if not all(numbers):
        return texts
    return np.array([int(number[1]) for number in numbers if number], dtype=np.int64)


def check_classes(classes: NDArray[Any], samples: int) -> None:
    """Refuse labels that are measurements: whole numbers of which hardly two are alike.

    Raises:
        InputError: with their number.
    """
    few = samples < _SAMPLES_PER_CLASS * len(classes)
    if classes.dtype.kind != "U" and few and samples >= _FEW_SAMPLES:
        what = f"has {len(classes)} different numbers for {samples} samples, too many for classes"
        mend = f"{_MEASURED}; classes that are so many are told by text: s17"
        raise InputError("params.yaml: data.label", what, mend)
