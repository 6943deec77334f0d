"""Kind → module; a kind's module, and what that needs, is imported only when asked for."""

from __future__ import annotations

import importlib
from typing import cast

from offset_autoencoder.errors import InputError, did_you_mean
from offset_autoencoder.offsets.kind import Kind

_PACKAGE = "offset_autoencoder.offsets"
_MODULES = {
    "zero": "zero",
    "hash": "content_hash",
    "random_projection": "random_projection",
    "pca": "pca",
    "class_code": "class_code",
    "kmeans": "kmeans",
    "interference": "interference",
    "encoder": "reference_encoder",
    "adversarial": "adversarial",
    "function": "function",
}

# Read from the user's table, not computed: neither fitted nor applied to new samples.
FILE = "file"
KINDS = (*_MODULES, FILE)


def find_kind(where: str, kind: str) -> Kind:
    """The functions that fit and apply a kind.

    Args:
        where: The place that errors name.
        kind: The ``kind`` of an offset in params.yaml.

    Raises:
        InputError: where there is no such kind, or it is ``file``, whose vectors no function
            gives.
    """
    if kind == FILE:
        raise InputError(
            where,
            "kind file is a table of vectors for known samples: nothing computes f(x) of a new one",
            "give the new samples' vectors yourself, or take kind function",
        )
    if kind not in _MODULES:
        raise InputError(where, f"unknown kind {kind!r}", did_you_mean(kind, KINDS))
    return cast(Kind, importlib.import_module(f"{_PACKAGE}.{_MODULES[kind]}"))
