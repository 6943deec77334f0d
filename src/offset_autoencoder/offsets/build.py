"""An offset fitted from its section of params.yaml, stored whole or not at all, and applied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offset_autoencoder.config import SPLITS, SplitName
from offset_autoencoder.data.prepared import PreparedData, PreparedSplit
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.arrays import chunks
from offset_autoencoder.io.files import read_npz, replace_folder
from offset_autoencoder.offsets.kind import (
    Apply,
    Float32,
    Int64,
    PreparedIds,
    Samples,
    State,
    Training,
    Vectors,
    check_finite,
)
from offset_autoencoder.offsets.registry import find_kind
from offset_autoencoder.offsets.table import INFO, STATE, folder_of, read_info, write_table


def build_offset(
    root: Path,
    name: str,
    params: Any,
    data: PreparedData,
    latent_dims: Sequence[int],
    raw: Path,
) -> dict[int, float]:
    """Build an offset's table for each latent dim, and put them in place all at once.

    Args:
        root: ``data/offsets``.
        name: The name under ``offsets:``.
        params: Its section of params.yaml, validated.
        data: The prepared data.
        latent_dims: The latent dims of the models with this offset, each once.
        raw: ``data/raw``, for the kinds that read files.

    Returns:
        Root mean square of a training coordinate at each latent dim.

    Raises:
        InputError: where the offset cannot be had; then nothing has changed.
    """
    rms: dict[int, float] = {}
    with replace_folder(root / name) as building:
        for latent_dim in latent_dims:
            state, tables = compute_tables(name, params, data, latent_dim, raw)
            rms[latent_dim] = write_table(
                folder_of(building.parent, building.name, latent_dim, swept=len(latent_dims) > 1),
                name=name,
                kind=params.kind,
                params=params.model_dump(mode="json"),
                latent_dim=latent_dim,
                input_dim=data.schema.input_dim,
                tables=tables,
                state=state,
                data_digests={split: str(data.schema.digests[split]["x"]) for split in SPLITS},
            )
    return rms


def compute_tables(
    name: str, params: Any, data: PreparedData, latent_dim: int, raw: Path
) -> tuple[State, dict[SplitName, Vectors]]:
    """Fit an offset on the training split; it is applied when its vectors are written.

    Args:
        name: The name under ``offsets:``.
        params: Its section of params.yaml, validated.
        data: The prepared data.
        latent_dim: Length of the vectors.
        raw: ``data/raw``, for the kinds that read files.

    Returns:
        State that determines f(x) of new samples, and the vectors of each split.

    Raises:
        InputError: where the offset cannot be had.
    """
    where = f"params.yaml: offsets.{name}"
    kind = find_kind(where, params.kind)
    classes = data.schema.classes
    training = Training(
        x=data.train.x,
        y=data.train.y,
        ids=data.train.ids,
        n_classes=None if classes is None else len(classes),
        x_validation=data.validation.x,
        raw=raw,
    )
    state = kind.fit(where, params, training, latent_dim)
    if kind.read is not None:
        ids = {split: data.split(split).ids for split in SPLITS}
        prepared = PreparedIds(ids, are_rows=data.schema.ids == "rows")
        return state, kind.read(name, params, prepared, latent_dim, raw)
    apply = kind.applier(where, state)
    return state, {split: _vectors(data.split(split), apply, latent_dim) for split in SPLITS}


def _vectors(split: PreparedSplit, apply: Apply, latent_dim: int) -> Vectors:
    def computed() -> Iterator[Float32]:
        for start, x in chunks(split.x, latent_dim):
            rows = slice(start, start + len(x))
            y = None if split.y is None else split.y[rows]
            yield apply(Samples(x, y, split.ids[rows], first_row=start))

    return Vectors((len(split.x), latent_dim), computed)


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
    tables = sorted(path.parent.name for path in folder.glob(f"latent_dim_*/{INFO}"))
    if tables and not (folder / INFO).exists():
        raise InputError(str(folder), f"holds several tables: take one of {', '.join(tables)}")
    info = read_info(folder)
    apply = stored_applier(folder, info["kind"])
    array = _samples(x, int(info["input_dim"]))
    samples = Samples(
        array,
        y=None if y is None else _labels(y, len(array)),
        ids=None if ids is None else _ids(ids, len(array)),
    )
    return apply(samples)


def stored_applier(folder: Path, kind: str) -> Apply:
    """Function f of new samples of a stored table, to be called for chunk after chunk.

    Args:
        folder: Folder with the table's state.npz.
        kind: Its kind.

    Raises:
        InputError: where the state is missing or damaged.
    """
    return find_kind(str(folder), kind).applier(str(folder), read_npz(folder / STATE))


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
