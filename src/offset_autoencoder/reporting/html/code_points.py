"""Codes in two dimensions: ``reports/plots/codes.csv``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_SAMPLES = 250
CODE_COLUMNS = ("setting", "sample", "label", "c1", "c2", "share1", "share2")


def shown_samples(samples: int, most: int = MOST_SAMPLES) -> NDArray[np.int64]:
    """The rows of the test split whose codes are shown: all where they are few, else evenly apart.

    Args:
        samples: How many rows the split has.
        most: The most to show.

    Returns:
        int64 (shown,), ascending, each once.
    """
    if samples <= most:
        return np.arange(samples)
    return np.unique(np.rint(np.linspace(0, samples - 1, most)).astype(np.int64))


def code_points(
    setting: str,
    code: NDArray[Any],
    ids: Sequence[Any] | NDArray[Any],
    labels: Sequence[Any] | None,
) -> list[dict[str, Any]]:
    """A setting's codes along their first two principal components, as rows of ``codes.csv``.

    Components are those of the codes given; each points to where its largest weight is positive.
    Codes of one dimension have no second component: 0. ``share1`` and ``share2`` are the shares
    of the codes' variance along each, empty where they have none.

    Args:
        setting: The setting's label.
        code: (n, L), one row a sample; rows that are not finite are left out.
        ids: The samples' ids, (n,).
        labels: Their labels as they came, (n,), or None.
    """
    code = np.asarray(code, dtype=np.float64)
    kept = np.isfinite(code).all(axis=1)
    centred = code[kept] - code[kept].mean(axis=0) if kept.any() else code[kept]
    places, shares = _principal(centred)
    return [
        {
            "setting": setting,
            "sample": ids[row],
            "label": None if labels is None else labels[row],
            "c1": float(place[0]),
            "c2": float(place[1]),
            "share1": shares[0],
            "share2": shares[1],
        }
        for row, place in zip(np.flatnonzero(kept).tolist(), places, strict=True)
    ]


def _principal(
    centred: NDArray[np.float64],
) -> tuple[NDArray[np.float64], tuple[float | None, float | None]]:
    """Coordinates along the first two components, (n, 2), and their shares of the variance."""
    places = np.zeros((len(centred), 2))
    if not len(centred) or not centred.any():
        return places, (None, None)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:2]
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(len(directions)), largest])
    directions = directions * signs[:, None]
    places[:, : len(directions)] = centred @ directions.T
    shares = np.square(sizes) / np.square(sizes).sum()
    second = float(shares[1]) if len(shares) > 1 else 0.0
    return places, (float(shares[0]), second)
