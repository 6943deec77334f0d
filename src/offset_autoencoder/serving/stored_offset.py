"""f(x) from what an offsets stage has stored, ready for call after call."""

from __future__ import annotations

import functools
from pathlib import Path

from offset_autoencoder.errors import InputError
from offset_autoencoder.io.files import read_npz
from offset_autoencoder.offsets.kind import Float32, Samples, applier
from offset_autoencoder.offsets.registry import FILE, find_kind
from offset_autoencoder.offsets.table import STATE, read_info
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
    if folder is None or facts.offset_kind == FILE:
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
        kind = find_kind(str(folder), info["kind"])
        return applier(kind, str(folder), read_npz(folder / STATE))

    def apply(samples: Samples) -> Float32:
        return ready()(samples)

    return apply
