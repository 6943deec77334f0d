"""Network outputs in the units of the data set: ``raw = scaled / factor + shift``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scale = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Shift and factor of :func:`.scaling.apply_scale`."""


def unscale(x: NDArray[np.float32], scale: Scale) -> NDArray[np.float64]:
    """Undo :func:`.scaling.apply_scale`; a feature that had no spread gets its one value.

    Args:
        x: Scaled samples (n, D).
        scale: Shift and factor, ``(1,)`` or ``(D,)``.

    Returns:
        float64 (n, D).
    """
    shift, factor = scale
    with np.errstate(divide="ignore"):
        back = np.where(factor == 0, 0.0, 1 / factor)
    return x.astype(np.float64) * back + shift
