"""An offset fitted from its section of params.yaml, stored whole or not at all, and applied."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from offset_autoencoder.config import SPLITS, SplitName
from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.data.prepared import PreparedData, PreparedSplit
from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.io.arrays import chunks
from offset_autoencoder.io.files import read_npz, replace_folder
from offset_autoencoder.offsets.kind import (
    Apply,
    Float32,
    Int64,
    OffsetKind,
    PreparedIds,
    Samples,
    State,
    Training,
    Vectors,
    finite_float32,
    real_array,
    sample_ids,
)
from offset_autoencoder.offsets.table import INFO, STATE, folder_of, read_info, write_table


def find_kind(where: str, name: str) -> OffsetKind:
    """Kind of an offset by its name; its module is imported only when asked for.

    Raises:
        InputError: where there is no such kind, naming the nearest.
    """
    if name not in OFFSETS:
        raise InputError(where, f"unknown kind {name!r}", did_you_mean(name, tuple(OFFSETS)))
    kind: OffsetKind = importlib.import_module(f"{__package__}.{name}").KIND
    return kind


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
    array, input_dim = real_array("x", x), int(info["input_dim"])
    if array.ndim != 2 or array.shape[1] != input_dim:
        raise InputError("x", f"must have shape (n, {input_dim}), it has {array.shape}")
    return apply(
        Samples(
            finite_float32("x", array),
            y=None if y is None else _class_indices(y, len(array)),
            ids=None if ids is None else sample_ids(ids, len(array)),
        )
    )


def stored_applier(folder: Path, kind: str) -> Apply:
    """Function f of new samples of the table in a folder, to be called for chunk after chunk.

    Raises:
        InputError: where its state is missing or damaged.
    """
    return find_kind(str(folder), kind).applier(str(folder), read_npz(folder / STATE))


def _class_indices(y: ArrayLike, n: int) -> Int64:
    array = real_array("y", y)
    if array.shape != (n,) or array.dtype.kind not in "iu":
        raise InputError(
            "y", f"must be {n} class indices, whole numbers, it is {array.dtype} {array.shape}"
        )
    return array.astype(np.int64)
