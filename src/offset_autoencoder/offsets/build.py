"""An offset built from its section of params.yaml: fitted, applied, written whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from offset_autoencoder.config import SPLITS, SplitName
from offset_autoencoder.config.offset_kinds import FileOffset
from offset_autoencoder.data.prepared import PreparedData
from offset_autoencoder.offsets.kind import Float32, Samples, State, Training
from offset_autoencoder.offsets.registry import find_kind
from offset_autoencoder.offsets.table import folder_of, write_table


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
    with _replaced_whole(root / name) as building:
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
) -> tuple[State, dict[SplitName, Float32]]:
    """Fit an offset on the training split and apply it to all.

    Args:
        name: The name under ``offsets:``.
        params: Its section of params.yaml, validated.
        data: The prepared data.
        latent_dim: Length of the vectors.
        raw: ``data/raw``, for the kinds that read files.

    Returns:
        What computes f(x) for new samples, and float32 (n, latent_dim) a split.

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
    splits = {split: data.split(split) for split in SPLITS}
    tables = {
        name: kind.apply(where, state, Samples(split.x, split.y, split.ids))
        for name, split in splits.items()
    }
    return state, tables


@contextlib.contextmanager
def _replaced_whole(folder: Path) -> Iterator[Path]:
    """A folder to build in, which takes the place of ``folder`` if the block ends without error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        building = temporary / "new"
        building.mkdir()
        yield building
        if folder.exists():
            folder.replace(temporary / "old")
        building.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
