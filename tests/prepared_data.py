"""Prepared data made up by tests: its digests, and its folder as ``prepare`` writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config import SPLITS, SplitName
from offset_autoencoder.data.prepared import (
    PreparedData,
    PreparedSplit,
    Schema,
    write_all_but_x,
)
from offset_autoencoder.data.scaling import ScaleArrays
from offset_autoencoder.io.files import replace_folder, sha256_of_array, write_npy

ONES = np.ones(1)


def digests(split: PreparedSplit) -> dict[str, str | None]:
    """SHA-256 of each array, None where there are no labels."""
    return {
        "x": sha256_of_array(split.x),
        "y": None if split.y is None else sha256_of_array(split.y),
        "ids": sha256_of_array(split.ids),
    }


def digests_of(splits: Mapping[Any, PreparedSplit]) -> dict[SplitName, dict[str, str | None]]:
    """Digests of every split, as in the schema."""
    return {name: digests(splits[name]) for name in SPLITS}


def prepared_of(splits: Mapping[Any, PreparedSplit], **schema: Any) -> PreparedData:
    """Data of these splits, with the schema that they have."""
    values = {
        "source": "file",
        "samples": {name: len(splits[name].x) for name in SPLITS},
        "input_dim": splits["train"].x.shape[1],
        "image_shape": None,
        "scale": {"kind": "none"},
        "range": None,
        "classes": None,
        "ids": "rows",
        "digests": digests_of(splits),
        **schema,
    }
    return PreparedData(**splits, schema=Schema(**values))


def write_prepared(
    folder: Path,
    data: PreparedData,
    latent_dims: Mapping[str, Sequence[int]],
    factor: NDArray[np.float64] = ONES,
) -> None:
    """Write the folder, whole or not at all."""
    with replace_folder(folder) as new:
        for name in SPLITS:
            write_npy(new / name / "x.npy", data.split(name).x)
        write_all_but_x(new, data, ScaleArrays(np.zeros(1), factor), latent_dims)
