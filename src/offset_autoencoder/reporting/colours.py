"""One colour a model, a swept value and a verdict, the same in every picture and DVC plot."""

from __future__ import annotations

from collections.abc import Sequence

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.verdict_wording import OUTCOMES
from offset_autoencoder.reporting.figure import PALETTE
from offset_autoencoder.reporting.intervals import swept_values

# The six of Okabe and Ito that have a hue, then darker ones after Paul Tol's "muted" scheme.
_HUES = (
    *PALETTE[:6],
    *("#332288", "#882255", "#999933", "#44AA99", "#661100", "#AA4499", "#117733", "#DDCC77"),
)
_GREYS = ("#000000", "#777777", "#AAAAAA")
_NOTHING_SWEPT = "#444444"

OUTCOME_COLOURS = dict(
    zip(
        OUTCOMES,
        ("#0072B2", "#D55E00", "#009E73", "#777777", "#E69F00", "#CC79A7", "#000000"),
        strict=True,
    )
)


def model_colours(settings: Sequence[Setting], baselines: Sequence[str]) -> dict[str, str]:
    """A colour for each model, by their order: greys for the baselines, hues for the others.

    Args:
        settings: The settings, in the order of the report.
        baselines: The models that others are compared with.
    """
    models = list(dict.fromkeys(setting.model for setting in settings))
    compared = [model for model in baselines if model in models]
    others = [model for model in models if model not in compared]
    return {
        **{model: _turned(_GREYS, place) for place, model in enumerate(compared)},
        **{model: _turned(_HUES, place) for place, model in enumerate(others)},
    }


def swept_colours(settings: Sequence[Setting]) -> dict[str, str]:
    """A colour for each of :func:`.intervals.swept_values`, in order of appearance."""
    values = dict.fromkeys(swept_values(setting) for setting in settings)
    swept = [value for value in values if value]
    return {"": _NOTHING_SWEPT} | {value: _turned(_HUES, i) for i, value in enumerate(swept)}


def _turned(colours: Sequence[str], place: int) -> str:
    """The colours once around, then again and again in lighter shades."""
    turn, index = divmod(place, len(colours))
    channels = (int(colours[index][start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(255 - (255 - c) * 0.6**turn):02X}" for c in channels)
