"""Measurements, as rows of a csv file, as a DVC metric, and on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike
from rich.console import Console
from rich.table import Table

from channel.results import Measured, below_bound, decibels_at
from channel.theory import Theory

COMPARED_AT = 0.1


def rows_of(
    run: Measured, ebn0_db: Sequence[float], theory: Theory, confidence: float
) -> list[dict[str, Any]]:
    """A row a point: what was counted, its interval, and theory beside it."""
    rows = []
    for place, point in enumerate(run.points):
        low, high = point.interval(confidence)
        target = float(theory.curves[theory.target][place])
        rows.append(
            {
                "setting": run.setting,
                "model": run.model,
                "seed": run.seed,
                "id": run.id,
                "ebn0_db": ebn0_db[place],
                "errors": point.errors,
                "blocks": point.blocks,
                "rate": point.rate,
                "low": low,
                "high": high,
                "best_decoder": None if run.best_decoder is None else run.best_decoder[place],
                "target": target,
                "ratio": point.rate / target,
                "bound": float(theory.bound[place]),
            }
        )
    return rows


def metrics_of(
    best: Sequence[Measured], ebn0_db: Sequence[float], theory: Theory
) -> dict[str, dict[str, float | None]]:
    """The Eb/N0 that each curve needs for a block error rate of 0.1, decibels.

    Returns:
        By the curve's name; None for one that does not come down to that rate.
    """
    curves: dict[str, ArrayLike] = {**theory.curves, **{run.setting: run.rates for run in best}}
    needed = {name: decibels_at(COMPARED_AT, ebn0_db, curve) for name, curve in curves.items()}
    return {f"db_at_{COMPARED_AT:g}": needed}


def print_tables(
    console: Console,
    runs: Sequence[Measured],
    printed: Sequence[Measured],
    ebn0_db: Sequence[float],
    theory: Theory,
    *,
    title: str,
    confidence: float,
) -> None:
    """Print every second point of the curves, what each costs, and whether any beats the bound.

    Args:
        console: Where the table goes.
        runs: Every run; all of them are held against the bound.
        printed: Those whose curves are printed.
        ebn0_db: Eb/N0 of the points, decibels.
        theory: What is known at these points.
        title: What is sent.
        confidence: That no run is blamed where the bound holds.
    """
    places = range(0, len(ebn0_db), 2)
    table = Table(title=f"block error rate, {title}")
    table.add_column("Eb/N0, dB", no_wrap=True)
    for place in places:
        table.add_column(f"{ebn0_db[place]:g}", justify="right")
    for name, curve in theory.curves.items():
        table.add_row(name, *(f"{curve[place]:.3g}" for place in places))
    for run in printed:
        name = f"{run.setting}, seed {run.seed}"
        table.add_row(name, *(f"{run.rates[place]:.3g}" for place in places))
    console.print(table)
    target = decibels_at(COMPARED_AT, ebn0_db, theory.curves[theory.target])
    for run in printed:
        needed = decibels_at(COMPARED_AT, ebn0_db, run.rates)
        if needed is None or target is None:
            print(f"{run.setting}: does not come down to a block error rate of {COMPARED_AT:g}")
        else:
            print(
                f"{run.setting}: {needed:.2f} dB for a block error rate of {COMPARED_AT:g}, "
                f"{needed - target:+.2f} dB to {theory.target}"
            )
    below = below_bound(runs, theory, confidence)
    print(f"below the sphere-packing bound: {', '.join(below) or f'none of {len(runs)} runs'}")
