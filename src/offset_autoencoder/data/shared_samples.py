"""Samples that stand in more than one split, told by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.schema import SPLITS, SplitName

Digests = NDArray[np.uint64]


def count_shared(digests: Mapping[SplitName, Digests]) -> dict[SplitName, int]:
    """How many samples of validation, and of test, also stand in a split before it.

    Args:
        digests: Of each sample of each split, see :func:`sample_digests`.

    Returns:
        For validation those that stand in train, for test those in train or in validation.
    """
    return {
        name: int(np.isin(digests[name], np.concatenate([digests[n] for n in SPLITS[:i]])).sum())
        for i, name in enumerate(SPLITS)
        if i
    }


def sample_digests(x: NDArray[np.float32]) -> Digests:
    """64 bits for each sample ``(n, D)``, the same where all its values are the same."""
    content = bytearray()
    for row in x + np.float32(0):  # -0 and 0 are one value
        content += hashlib.blake2b(row.data, digest_size=8).digest()
    return np.frombuffer(bytes(content), dtype=np.uint64)
