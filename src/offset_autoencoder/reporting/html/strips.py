"""Samples and what came out for them, as strips: of images, or of profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offset_autoencoder.reporting.html.image_strips import image_strip
from offset_autoencoder.reporting.html.profile_strips import profile_strip
from offset_autoencoder.reporting.html.strip import Strip

if TYPE_CHECKING:
    from offset_autoencoder.evaluation.examples import Reconstructions


def sample_strips(shown: Reconstructions | None) -> tuple[list[Strip], list[Strip]]:
    """Each setting's reconstructions, and what decoders make of their prior.

    Images come with a strip of the originals before them; in profiles the originals are drawn
    into each, and the prior is left out.

    Args:
        shown: The samples; None where no run finished.

    Returns:
        Both lists, empty where there is nothing to show.
    """
    if shown is None or not len(shown.originals):
        return [], []
    if shown.originals.ndim == 2:
        rows = [
            profile_strip(name, shown.originals, row, shown.data_range) for name, row in shown.rows
        ]
        return rows, []
    images = [("original", shown.originals), *shown.rows]
    return (
        [image_strip(name, row, shown.data_range) for name, row in images],
        [image_strip(name, row, shown.data_range) for name, row in shown.prior],
    )
