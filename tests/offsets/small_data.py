"""Prepared samples, and offsets built on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tests.prepared_data import prepared_of

from offset_autoencoder.config import SplitName
from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.data.prepared import PreparedData, PreparedSplit
from offset_autoencoder.offsets.kind import build_offset
from offset_autoencoder.offsets.table import OffsetTable, load_table

SIZES: dict[SplitName, int] = {"train": 150, "validation": 11, "test": 40}


def prepared(seed: int = 0, *, labelled: bool = True) -> PreparedData:
    generator = np.random.default_rng(seed)
    ids = np.split(generator.permutation(sum(SIZES.values())), np.cumsum(list(SIZES.values())))
    splits = {
        split: PreparedSplit(
            x=generator.random((n, 12), dtype=np.float32),
            y=generator.integers(0, 4, n) if labelled else None,
            ids=np.sort(some),
        )
        for (split, n), some in zip(SIZES.items(), ids, strict=False)
    }
    return prepared_of(splits, classes=[1, 2, 3, 4] if labelled else None)


def offset(keys: dict[str, Any]) -> Any:
    return OFFSETS[keys["kind"]].model_validate(keys)


def build(root: Path, keys: dict[str, Any], data: PreparedData, *latent_dims: int) -> OffsetTable:
    """Build an offset, and load its table of the first latent dim."""
    build_offset(root, "mine", offset(keys), data, latent_dims, root / "raw")
    return load_table(root, "mine", latent_dims[0])
