"""Small pictures side by side, as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Strip:
    """Small pictures side by side.

    Attributes:
        name: What made them.
        data: The picture as a ``data:`` URI.
        width: Pixels.
        height: Pixels.
        holds: How many of what: ``"10 images"``.
    """

    name: str
    data: str
    width: int
    height: int
    holds: str
