"""f(x) of new samples, from what an offsets stage has stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_npz
from offset_autoencoder.offsets.check import check_finite
from offset_autoencoder.offsets.kind import Float32, Int64, Samples
from offset_autoencoder.offsets.registry import find_kind
from offset_autoencoder.offsets.table import INFO, STATE, read_info


def apply_offset(
    folder: str | Path,
    x: ArrayLike,
    y: ArrayLike | None = None,
    ids: ArrayLike | None = None,
) -> Float32:
    """Compute f(x) of any samples with a stored offset.

    Args:
        folder: The folder of one table, with its offset.json and state.npz.
        x: Samples (n, input_dim), scaled as those in ``data/prepared``; taken as float32.
        y: Class indices (n,), for kind ``class_code``.
        ids: Ids (n,), whole numbers or text, for kind ``interference``.

    Returns:
        float32 (n, latent_dim), not scaled to any rms.

    Raises:
        InputError: where the folder holds no such table, the samples do not suit it, or its
            kind is ``file``, which has vectors for known samples only.
    """
    folder = Path(folder)
    inner = sorted(place.parent.name for place in folder.glob(f"latent_dim_*/{INFO}"))
    if inner and not (folder / INFO).exists():
        raise InputError(str(folder), f"holds several tables: take one of {', '.join(inner)}")
    info = read_info(folder)
    kind = find_kind(str(folder), info["kind"])
    state = read_npz(folder / STATE)
    array = _samples(x, int(info["input_dim"]))
    samples = Samples(
        array,
        y=None if y is None else _labels(y, len(array)),
        ids=None if ids is None else _ids(ids, len(array)),
    )
    return kind.apply(str(folder), state, samples)


def _samples(x: ArrayLike, input_dim: int) -> Float32:
    array = _array("x", x)
    if array.dtype.kind not in "fiub":
        raise InputError("x", f"must hold real numbers, its dtype is {array.dtype}")
    if array.ndim != 2 or array.shape[1] != input_dim:
        raise InputError("x", f"must have shape (n, {input_dim}), it has {array.shape}")
    with np.errstate(over="ignore"):  # too large for float32 is infinity, which is refused below
        samples = np.ascontiguousarray(array, dtype=np.float32)
    check_finite("x", samples)
    return samples


def _labels(y: ArrayLike, n: int) -> Int64:
    array = _array("y", y)
    if array.shape != (n,) or array.dtype.kind not in "iu":
        raise InputError(
            "y", f"must be {n} class indices, whole numbers, it is {array.dtype} {array.shape}"
        )
    return array.astype(np.int64)


def _ids(ids: ArrayLike, n: int) -> NDArray[Any]:
    array = _array("ids", ids)
    if array.shape != (n,) or array.dtype.kind not in "iuU":
        raise InputError(
            "ids", f"must be {n} whole numbers or texts, they are {array.dtype} {array.shape}"
        )
    if array.dtype.kind == "u" and len(array) and array.max() >= 2**63:
        raise InputError("ids", f"must be below 2**63, the largest is {array.max()}")
    return array if array.dtype.kind == "U" else array.astype(np.int64)


def _array(where: str, values: ArrayLike) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise InputError(where, f"is not an array: {error}") from None
