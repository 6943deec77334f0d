"""Offset kinds by name: a kind's module is named like it, and imported only when asked for."""

from __future__ import annotations

import importlib

from offset_autoencoder.config.offset_kinds import OFFSETS
from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.offsets.kind import OffsetKind

KINDS = tuple(OFFSETS)


def find_kind(where: str, name: str) -> OffsetKind:
    """Find a kind of offset.

    Args:
        where: The place that errors name.
        name: The ``kind`` of an offset in params.yaml.

    Raises:
        InputError: where there is no such kind.
    """
    if name not in OFFSETS:
        raise InputError(where, f"unknown kind {name!r}", did_you_mean(name, KINDS))
    kind: OffsetKind = importlib.import_module(f"{__package__}.{name}").KIND
    return kind
