"""The picture: block error rate against Eb/N0, measured and by theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from offset_autoencoder.reporting.figure import MARKERS, PALETTE, panels_of, written_figure

from channel.monte_carlo import BlockErrors
from channel.theory import Theory

_STYLES = ("--", "-.", "-", ":")


def draw_block_error_rate(
    path: Path,
    ebn0_db: Sequence[float],
    theory: Theory,
    measured: Mapping[str, Sequence[BlockErrors]],
    *,
    title: str,
    confidence: float,
) -> None:
    """Draw theory as lines and what was measured as points with their intervals.

    Args:
        path: Where the PNG goes.
        ebn0_db: Eb/N0 of the points, decibels.
        theory: The lines, at the same points.
        measured: What was counted, by name.
        title: What is sent.
        confidence: The share of intervals that hold the true rate.
    """
    with written_figure(path, (8.0, 5.0)) as figure:
        (axes,) = panels_of(figure, 1, 1)
        styles = _STYLES[-len(theory.curves) :] if len(theory.curves) > 2 else ("-", ":")
        for (name, curve), style in zip(theory.curves.items(), styles, strict=True):
            axes.plot(ebn0_db, curve, style, color="black", linewidth=1.2, label=name)
        for index, (name, points) in enumerate(measured.items()):
            axes.errorbar(
                ebn0_db,
                [point.rate for point in points],
                yerr=_bars(points, confidence),
                color=PALETTE[index % len(PALETTE)],
                marker=MARKERS[index % len(MARKERS)],
                markersize=6,
                linewidth=1.2,
                elinewidth=1.8,
                label=name,
            )
        axes.set_yscale("log")
        axes.set_ylim(float(theory.bound.min()) / 2, 1.0)
        axes.set_xlabel("Eb/N0, dB")
        axes.set_ylabel("block error rate")
        axes.grid(color="#e5e5e5")
        axes.set_title(title, loc="left", fontweight="bold")
        axes.legend(loc="lower left", frameon=False)


def _bars(points: Sequence[BlockErrors], confidence: float) -> NDArray[Any]:
    ends = [(point.rate, *point.interval(confidence)) for point in points]
    return np.array(
        [[rate - low for rate, low, _ in ends], [high - rate for rate, _, high in ends]]
    )
