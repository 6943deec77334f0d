"""A figure that becomes a PNG file whose bytes depend on what is drawn alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from offset_autoencoder.io.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which the common kinds of colour blindness tell apart.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titley": 1.0,  # or every layout looks for ticks above the panels that are never there
    "axes.labelsize": 10,
    "legend.fontsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "axes.unicode_minus": False,  # one minus sign in pictures, tables and files
    "figure.facecolor": "white",
    "image.cmap": "gray",
}
_DPI = 100
WIDTH = 9.0  # inches: 900 pixels


@contextlib.contextmanager
def written_figure(
    path: Path,
    size: tuple[float, float],
    layout: Literal["constrained"] | None = "constrained",
) -> Iterator[Figure]:
    """A figure written to ``path`` when the block ends, whatever the user's matplotlibrc says.

    Args:
        path: Where the PNG goes; written whole or, after an error in the block, not at all.
        size: Width and height, inches of 100 pixels.
        layout: How its panels find their places; None leaves them to the block.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        figure = Figure(figsize=size, dpi=_DPI, layout=layout)
        canvas = FigureCanvasAgg(figure)
        yield figure
        with atomic_write(path) as stream:
            # Figure.savefig would draw twice. The version of matplotlib is left out, as it would
            # change the bytes.
            canvas.print_png(stream, metadata={"Software": None})  # type: ignore[no-untyped-call]


def panels_of(
    figure: Figure, rows: int, columns: int, *, share_x: bool = False, share_y: bool = False
) -> list[Axes]:
    """A grid of panels, row by row."""
    grid = figure.subplots(rows, columns, squeeze=False, sharex=share_x, sharey=share_y)
    return list(grid.ravel())
