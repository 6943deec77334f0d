"""f(x) from what an offsets stage has stored, ready for call after call."""

from __future__ import annotations

import functools
from pathlib import Path

from offset_autoencoder.errors import InputError
from offset_autoencoder.offsets.build import stored_applier
from offset_autoencoder.offsets.kind import Float32, Samples
from offset_autoencoder.offsets.table import read_info
from offset_autoencoder.serving.applied import Offset
from offset_autoencoder.serving.facts import Facts


def stored_offset(folder: Path | None, facts: Facts) -> Offset | None:
    """The function that computes f(x) of scaled samples; None where nothing does.

    Args:
        folder: What holds ``offset.json`` and ``state.npz``; None for a run without offset.
        facts: The model that the offset is added in.

    Raises:
        InputError: where the folder is damaged, or belongs to another model.
    """
    if folder is None or facts.needs == "offset":
        return None
    info = read_info(folder)
    for key, expected in (
        ("kind", facts.offset_kind),
        ("input_dim", facts.input_dim),
        ("latent_dim", facts.latent_dim),
    ):
        if info[key] != expected:
            raise InputError(
                str(folder), f"its {key} is {info[key]!r}, the model's is {expected!r}"
            )

    @functools.cache
    def ready() -> Offset:
        return stored_applier(folder, info["kind"])

    def apply(samples: Samples) -> Float32:
        return ready()(samples)

    return apply
