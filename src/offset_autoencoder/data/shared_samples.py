"""Samples that stand in more than one split, told by their content."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.config.schema import SPLITS, SplitName
from offset_autoencoder.data.prepared import PreparedData
from offset_autoencoder.data.validation import blocks


def count_shared(data: PreparedData) -> dict[SplitName, int]:
    """How many samples of validation, and of test, also stand in a split before it.

    Args:
        data: The prepared data; samples are the same where all their values are.

    Returns:
        For validation those that stand in train, for test those in train or in validation.
    """
    digests = {name: _digests(data.split(name).x) for name in SPLITS}
    return {
        name: int(np.isin(digests[name], np.concatenate([digests[n] for n in SPLITS[:i]])).sum())
        for i, name in enumerate(SPLITS)
        if i
    }


def _digests(x: NDArray[Any]) -> NDArray[np.uint64]:
    content = bytearray()
    for _, block in blocks(x):
        for row in block + np.float32(0):  # -0 and 0 are one value
            content += hashlib.blake2b(row.tobytes(), digest_size=8).digest()
    return np.frombuffer(bytes(content), dtype=np.uint64)
