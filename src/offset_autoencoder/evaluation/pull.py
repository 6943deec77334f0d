"""How far a reconstruction goes over to another sample when it is given that sample's offset."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offset_autoencoder.evaluation.decoded import Array, Decode


def pull(
    x: Array, code: Array | None, offset: Array, decode: Decode, sources: NDArray[np.int64]
) -> float:
    """The share of the way to another sample that its offset alone takes the reconstruction.

    The slope of the output's shift on the samples' difference, over all samples i, their
    sources j and all features: ``Σ (x'ᵢⱼ − x'ᵢᵢ)·(xⱼ − xᵢ) / Σ ‖xⱼ − xᵢ‖²``, where ``x'ᵢⱼ`` is
    decoded from the code of i and the offset of j. 0: the output does not move that way,
    whatever else happens to it; 1: it is the other sample's. Only where the decoder reads x from
    the offset is it above zero. An encoder that merely takes a known offset back is thrown off
    by another one just as much, but not towards the other sample.

    Args:
        x: The samples, (n, features).
        code: Their codes, (n, L), or None where the architecture names none.
        offset: What is added to the codes, or stands beside them, (n, L).
        decode: From codes and offsets of all n samples to reconstructions, (n, features).
        sources: Whose offset each sample gets, (draws, n): :attr:`.draws.Draws.sources`.

    Returns:
        The share; NaN where there are no sources, or all samples are alike.
    """
    own = decode(code, offset).astype(np.float64)
    moved, whole = 0.0, 0.0
    for source in sources:
        way = x[source].astype(np.float64) - x
        moved += float(np.sum((decode(code, offset[source]) - own) * way))
        whole += float(np.sum(np.square(way)))
    return moved / whole if whole > 0 else float("nan")
