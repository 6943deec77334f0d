"""The picture: block error rate against Eb/N0, measured and by theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from channel.monte_carlo import BlockErrors
from channel.theory import Theory
from offset_autoencoder.reporting.palette import PALETTE
from offset_autoencoder.reporting.rendering import write_png

_DASHES = ([6, 4], [6, 3, 2, 3], [1, 0], [2, 2])


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
    import altair as alt

    rows: list[dict[str, Any]] = [
        {"name": name, "kind": "theory", "ebn0": at, "rate": float(rate)}
        for name, curve in theory.curves.items()
        for at, rate in zip(ebn0_db, curve, strict=True)
    ]
    for name, points in measured.items():
        for at, point in zip(ebn0_db, points, strict=True):
            low, high = point.interval(confidence)
            ends = {"rate": point.rate, "low": low, "high": high}
            rows.append({"name": name, "kind": "measured", "ebn0": at, **ends})
    lines, names = list(theory.curves), list(measured)
    dashes = _DASHES[-len(lines) :] if len(lines) > 2 else ([1, 0], [2, 2])
    axis: dict[str, Any] = {"format": "~g", "values": [10.0**power for power in range(-9, 1)]}
    scale: dict[str, Any] = {"type": "log", "domain": [float(theory.bound.min()) / 2, 1.0]}
    rate = alt.Y("rate:Q").title("block error rate").scale(**scale).axis(**axis)
    base = alt.Chart(alt.NamedData(name="rows")).encode(
        alt.X("ebn0:Q").title("Eb/N0, dB").scale(padding=8).axis(values=list(ebn0_db), format="~g")
    )
    known = base.transform_filter("datum.kind == 'theory'").mark_line(color="#000000", clip=True)
    dash = alt.StrokeDash("name:N").title(None).scale(domain=lines, range=list(dashes))
    dash = dash.legend(symbolSize=900, labelLimit=220)
    colour = alt.Color("name:N").title(None).scale(domain=names, range=list(PALETTE[: len(names)]))
    counted = base.transform_filter("datum.kind == 'measured'").encode(colour)
    bars = counted.mark_rule(strokeWidth=1.8, clip=True).encode(
        alt.Y("low:Q").scale(**scale), y2="high:Q"
    )
    through = counted.mark_line(strokeWidth=1.2, clip=True).encode(rate)
    marks = counted.mark_point(filled=True, size=50, opacity=1, clip=True).encode(
        rate, shape=alt.Shape("name:N").title(None).scale(domain=names)
    )
    chart = alt.layer(known.encode(rate, dash), bars, through, marks)
    write_png(path, chart.properties(width=560, height=400, title=title), rows)
