"""The picture of the probes: what offset, code, their sum and both side by side tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from offset_autoencoder.evaluation.probes import PARTS, ProbeSummary
from offset_autoencoder.evaluation.verdict_wording import percent
from offset_autoencoder.reporting.axes import ROW_HEIGHT, draw_row, rows_by_name
from offset_autoencoder.reporting.figure import WIDTH, written_figure

_TITLES = {"offset": "offset", "code": "code", "sum": "code + offset", "both": "side by side"}


def draw_probes(
    path: Path, probes: Sequence[ProbeSummary], *, colours: Mapping[str, str], confidence: float
) -> bool:
    """Draw the shares of the variance of x, and of the labels, that a linear probe reads.

    Args:
        path: Where the PNG goes.
        probes: What the parts tell.
        colours: By model.
        confidence: The share of intervals that hold the true share, for the caption.

    Returns:
        Whether there was anything to draw; nothing is written otherwise.
    """
    if not probes:
        return False
    parts = [part for part in PARTS if any(item.part == part for item in probes)]
    labels = list(dict.fromkeys(item.setting.label for item in probes))
    named = any(item.accuracy is not None for item in probes)
    with written_figure(path, (WIDTH, 1.6 + ROW_HEIGHT * len(labels))) as figure:
        panels = rows_by_name(figure, labels, [_TITLES[part] for part in parts])
        for item in probes:
            panel, row = panels[parts.index(item.part)], labels.index(item.setting.label)
            colour = colours[item.setting.model]
            if item.accuracy is not None:
                draw_row(panel, item.accuracy, row, colour, marker="D", fill=False)
            draw_row(panel, item.explained, row, colour)
        low = min([0.0, *(100 * item.explained.mean for item in probes)])
        panels[0].set_xlim(max(low, -20) - 4, 104)
        figure.supxlabel("share that a linear probe reads, test split, %", fontsize=10)
        panels[0].plot([], [], "o-", color="#777777", label="variance of x")
        if named:
            panels[0].plot(
                [], [], "D-", color="#777777", markerfacecolor="white", label="labels read right"
            )
        figure.legend(
            loc="outside upper center",
            ncols=2,
            frameon=False,
            title=f"what a linear probe reads from each, mean and {percent(confidence)} interval",
        )
    return True
