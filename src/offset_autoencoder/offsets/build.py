"""An offset built from its section of params.yaml: fitted, applied, written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from offset_autoencoder.config import SPLITS, SplitName
from offset_autoencoder.config.offset_kinds import FileOffset
from offset_autoencoder.data.prepared import PreparedData, PreparedSplit
from offset_autoencoder.io.arrays import chunks
from offset_autoencoder.io.files import replace_folder
from offset_autoencoder.offsets.kind import Float32, Samples, State, Training, applier
from offset_autoencoder.offsets.registry import find_kind
from offset_autoencoder.offsets.table import folder_of, write_table
from offset_autoencoder.offsets.vectors import Vectors


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
        The root mean square of a training coordinate at each latent dim.

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
    """Fit an offset on the training split; it is applied where its vectors are asked for.

    Args:
        name: The name under ``offsets:``.
        params: Its section of params.yaml, validated.
        data: The prepared data.
        latent_dim: Length of the vectors.
        raw: ``data/raw``, for the kinds that read files.

    Returns:
        What computes f(x) for new samples, and the vectors of each split.

    Raises:
        InputError: where the offset cannot be had.
    """
    if isinstance(params, FileOffset):
        from offset_autoencoder.offsets.table_file import PreparedIds, read_tables

        ids = PreparedIds(
            {split: data.split(split).ids for split in SPLITS},
            are_rows=data.schema.ids == "rows",
        )
        return {}, read_tables(name, params, ids, latent_dim, raw)
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
    apply = applier(kind, where, state)
    return state, {split: _vectors(data.split(split), apply, latent_dim) for split in SPLITS}


def _vectors(split: PreparedSplit, apply: Callable[[Samples], Float32], latent_dim: int) -> Vectors:
    def computed() -> Iterator[Float32]:
        for start, x in chunks(split.x, latent_dim):
            rows = slice(start, start + len(x))
            y = None if split.y is None else split.y[rows]
            yield apply(Samples(x, y, split.ids[rows], first_row=start))

    return Vectors((len(split.x), latent_dim), computed)
