"""Curves over seeds in small panels, one a model, one line a setting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from offset_autoencoder.config import Setting
from offset_autoencoder.reporting.axes import log_axis
from offset_autoencoder.reporting.figure import WIDTH, panels_of, written_figure
from offset_autoencoder.reporting.intervals import swept_values

_LEGEND_LETTERS = 110
_REFERENCE = "#999999"


@dataclass(frozen=True)
class Line:
    """What is drawn of a setting.

    Attributes:
        setting: Which setting.
        x: Where, ascending, (points,).
        mean: Means over the runs, (points,).
        low: Lower ends of their intervals, (points,); NaN where there are none.
        high: Upper ends.
    """

    setting: Setting
    x: NDArray[Any]
    mean: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]


def draw_model_panels(
    path: Path,
    lines: Sequence[Line],
    *,
    colours: Mapping[str, str],
    title: str,
    x_label: str,
    y_label: str,
    log: bool = False,
    marker: str = "",
) -> None:
    """Draw the lines; the first model's, where it is a single one, dashed in every panel.

    Args:
        path: Where the PNG goes.
        lines: At least one.
        colours: By :func:`.intervals.swept_values`.
        title: Of the whole.
        x_label: Of all panels.
        y_label: Of all panels.
        log: Whether y is logarithmic.
        marker: Of the points of a line.
    """
    models = list(dict.fromkeys(line.setting.model for line in lines))
    alone = sum(line.setting.model == models[0] for line in lines) == 1 < len(models)
    columns = min(3 if len(models) <= 9 else 4, len(models))
    rows = math.ceil(len(models) / columns)
    with written_figure(path, (WIDTH, 1.3 + (2.4 if columns < 4 else 1.8) * rows)) as figure:
        panels = panels_of(figure, rows, columns, share_x=True, share_y=True)
        for line in lines:
            panel = panels[models.index(line.setting.model)]
            colour = colours[swept_values(line.setting)]
            panel.fill_between(line.x, line.low, line.high, color=colour, alpha=0.2, linewidth=0)
            panel.plot(line.x, line.mean, f"{marker}-", color=colour, linewidth=1.5, markersize=3.5)
        for index, panel in enumerate(panels):
            panel.set_visible(index < len(models))
            panel.set_title(models[index] if index < len(models) else "", loc="left", weight="bold")
            panel.grid(color="#e5e5e5")
            panel.set_axisbelow(True)
            if alone and 0 < index < len(models):
                panel.plot(lines[0].x, lines[0].mean, "--", color=_REFERENCE, linewidth=1.2)
            # The last panel of a column has the numbers, also where the row below is not full.
            if index + columns >= len(models):
                panel.tick_params(labelbottom=True)
        if log:
            log_axis(panels[0])
        figure.supylabel(y_label, fontsize=10)
        figure.supxlabel(x_label, fontsize=10)
        swept = list(dict.fromkeys(swept_values(line.setting) for line in lines))
        names = [values or "nothing swept" for values in swept]
        for values, name in zip(swept, names, strict=True):
            panels[0].plot([], [], f"{marker}-", color=colours[values], linewidth=2, label=name)
        if alone:
            names.append(f"{models[0]}, for comparison")
            panels[0].plot([], [], "--", color=_REFERENCE, linewidth=1.2, label=names[-1])
        letters = sum(8 + len(name) for name in names)
        widest = 8 + max(map(len, names))
        figure.legend(
            loc="outside upper center",
            ncols=len(names) if letters <= _LEGEND_LETTERS else max(1, _LEGEND_LETTERS // widest),
            frameon=False,
            title=title,
        )
