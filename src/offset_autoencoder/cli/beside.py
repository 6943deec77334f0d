"""What goes with new samples where a model's offset asks for more than them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.data.table import Table
from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import open_npy
from offset_autoencoder.serving.inference_model import SideInputs
from offset_autoencoder.serving.metadata import ModelMetadata


@dataclass(frozen=True)
class Extras:
    """What a model needs beside the samples of a file; None is what it does not need.

    Attributes:
        is_scaled: Whether the samples are as in ``data/prepared``.
        labels: ``(n,)``.
        ids: ``(n,)``.
        offset: f(x) in the place of the computed one, ``(n, L)``.
    """

    is_scaled: bool
    labels: NDArray[Any] | None = None
    ids: NDArray[Any] | None = None
    offset: NDArray[Any] | None = None

    def of(self, rows: slice) -> SideInputs:
        """What goes with some of the rows."""
        given: SideInputs = {"is_scaled": self.is_scaled, "first_row": rows.start}
        if self.labels is not None:
            given["labels"] = self.labels[rows]
        if self.ids is not None:
            given["ids"] = self.ids[rows]
        if self.offset is not None:
            given["offset"] = np.asarray(self.offset[rows])
        return given


def find_extras(
    facts: ModelMetadata, table: Table, offset: Path | None, *, is_scaled: bool
) -> Extras:
    """Take from a file what a model's offset asks for.

    Args:
        facts: The model.
        table: The samples.
        offset: An npy file of f(x) in the place of the computed one, or None.
        is_scaled: Whether the samples are as in ``data/prepared``.

    Raises:
        InputError: naming the option that is missing.
    """
    if offset is not None:
        shape = (len(table.x), facts.latent_dim)
        return Extras(is_scaled, offset=_vectors(offset, shape))
    if facts.needs == "offset":
        raise InputError(
            "--offset",
            "missing: the model's offset is a file of vectors for known samples",
            "reconstruct takes a file of those of new ones",
        )
    given = {"labels": table.labels, "ids": table.ids}
    for option, needed in (("label", "labels"), ("id", "ids")):
        if facts.needs == needed and given[needed] is None:
            raise InputError(
                f"--{option}",
                f"missing: the model's offset, {facts.offset_kind}, asks for the samples' {needed}",
                f"name where {table.origin} has them",
            )
    ids = table.ids if facts.needs == "ids" else None
    return Extras(
        is_scaled,
        labels=table.labels if facts.needs == "labels" else None,
        ids=ids.astype(np.str_) if ids is not None and facts.text_ids else ids,
    )


def _vectors(path: Path, shape: tuple[int, int]) -> NDArray[Any]:
    if not path.is_file():
        raise InputError("--offset", f"no such file: {path}")
    vectors = open_npy(path)
    if vectors.shape != shape:
        raise InputError("--offset", f"{path} has shape {vectors.shape}, expected {shape}")
    return vectors
