"""A run's id: the SHA-256 of everything that determines it, and of nothing else."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from offset_autoencoder.config import Run
from offset_autoencoder.config.architecture import Architecture
from offset_autoencoder.io.files import sha256_of_json
from offset_autoencoder.training.batches import Chunks
from offset_autoencoder.training.code_digest import code_digest, library_versions


@dataclass(frozen=True)
class IdentifiedRun:
    """A run of params.yaml and its id.

    Attributes:
        run: The model's name, sweep values and seed, by which people know it.
        id: SHA-256 of ``determined_by``, 64 hex digits.
        determined_by: What the training of the run depends on. No model's or offset's name
            is part of it: renaming one retrains nothing.
        architecture: The layers of its model.
        offset_factor: What the offset table is multiplied by: rms over the table's own, or 1.
    """

    run: Run
    id: str
    determined_by: dict[str, Any]
    architecture: Architecture
    offset_factor: float


def identify(
    run: Run,
    *,
    architecture: Architecture,
    data: Any,
    table: Any,
    offset_factor: float,
    chunks: Chunks | None = None,
) -> IdentifiedRun:
    """Give a run its id.

    Args:
        run: The run.
        architecture: The layers of its model.
        data: Digests of the samples that it trains and validates on.
        table: Digests of its offset table over the same samples; None where it has none.
        offset_factor: What the table is multiplied by; the table and rms decide it.
        chunks: How the samples are cut, where they are larger than the memory allowed.
    """
    setting = run.setting
    determined_by: dict[str, Any] = {
        "architecture": architecture.dump(),
        "train": setting.train.relevant,
        "offset_factor": offset_factor,
        "stddev": setting.spec.stddev,
        "table": None if table is None else sha256_of_json(table),
        "data": sha256_of_json(data),
        "seed": run.seed,
        "code": code_digest(),
        "versions": library_versions(),
    }
    if chunks is not None:
        determined_by["chunks"] = dataclasses.asdict(chunks)
    return IdentifiedRun(
        run, sha256_of_json(determined_by), determined_by, architecture, offset_factor
    )
