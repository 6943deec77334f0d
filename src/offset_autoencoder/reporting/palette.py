"""Colours of models, swept values and verdicts, on white and on a dark page; styles of lines.

One meaning has one colour in the pictures, the plots of DVC, the page and, as a style of rich,
in the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.comparison import Outcome
from offset_autoencoder.evaluation.offset_verdict import OffsetWord
from offset_autoencoder.reporting.wording import series, swept_values

# Okabe and Ito's palette, which the common kinds of colour blindness tell apart.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#999999")
# Its six that have a hue, then darker ones after Paul Tol's "muted" scheme.
_HUES = (
    *PALETTE[:6],
    *("#332288", "#882255", "#999933", "#44AA99", "#661100", "#AA4499", "#117733", "#DDCC77"),
)
_GREYS = ("#000000", "#777777", "#AAAAAA")
_NOTHING_SWEPT = "#444444"
# Of labels: both schemes again, neighbours far apart.
LABELS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#332288", "#999933"),
    *("#882255", "#44AA99", "#661100", "#777777"),
)

# Of verdicts, as text on white legible, and none that a model has: a table shows both.
OUTCOME_COLOURS: dict[Outcome, str] = {
    "better": "#2F45E8",
    "worse": "#CC2934",
    "equivalent": "#006A6A",
    "inconclusive": "#565B63",
    "too few seeds": "#665014",
    "not comparable": "#8C6538",
    "diverged": "#7A0C33",
}
VERDICT_COLOURS: dict[OffsetWord, str] = {
    "second encoder": "#5716D9",
    "memorised": "#D90057",
    "noise": "#8A5A00",
    "cancelled or ignored": "#0F4C2E",
    "other": "#A714CC",
    "inconclusive": "#565B63",
}
TERMINAL_STYLES = {
    "better": "green",
    "worse": "red",
    "equivalent": "cyan",
    "inconclusive": "dim",
    "too few seeds": "yellow",
    "not comparable": "yellow",
    "diverged": "red",
    "second encoder": "green",
    "memorised": "red",
    "noise": "yellow",
    "cancelled or ignored": "cyan",
    "other": "magenta",
}
"""Styles of rich by the word of a verdict."""

NOTHING, NOTHING_ELSE = "nothing swept", "nothing else swept"
"""Names of the plain line: nothing is swept, or nothing but what the chart is drawn over."""

DARK_PAGE = "#14171c"
_LEAST_CONTRAST = 4.5  # that WCAG 2.2 asks of text; of graphics it asks 3
_STEP = 0.02


@dataclass(frozen=True)
class Colour:
    """A colour on a white page and on a dark one, ``#RRGGBB``.

    Its name is that of the custom property, without dashes, and of the class that has it.
    """

    name: str
    light: str
    dark: str

    @property
    def reference(self) -> str:
        """As a style sheet or a picture refers to it."""
        return f"var(--{self.name})"


@dataclass(frozen=True)
class Palette:
    """Colours of the page: by model, by the word of a verdict and by label of the data."""

    models: dict[str, Colour]
    words: dict[str, Colour]
    labels: dict[str, Colour]

    @property
    def all(self) -> list[Colour]:
        """All of them, for the style sheet."""
        return [*self.models.values(), *self.words.values(), *self.labels.values()]

    def css(self, word: str) -> str:
        """The class of a verdict's word; empty for a word that has none."""
        return self.words[word].name if word in self.words else ""


def palette_of(
    settings: Sequence[Setting], baselines: Sequence[str], labels: Sequence[str] = ()
) -> Palette:
    """The colours of an experiment, those of its pictures; twelve labels, then around again."""
    return Palette(
        models=_named("model", model_colours(settings, baselines)),
        words=_named("outcome", OUTCOME_COLOURS) | _named("verdict", VERDICT_COLOURS),
        labels=_named("label", {label: LABELS[i % len(LABELS)] for i, label in enumerate(labels)}),
    )


def model_colours(settings: Sequence[Setting], baselines: Sequence[str]) -> dict[str, str]:
    """A colour for each model, by their order: greys for the baselines, hues for the others."""
    models = list(dict.fromkeys(setting.model for setting in settings))
    compared = [model for model in baselines if model in models]
    others = [model for model in models if model not in compared]
    return {
        **{model: _nth(_GREYS, place) for place, model in enumerate(compared)},
        **{model: _nth(_HUES, place) for place, model in enumerate(others)},
    }


def swept_colours(settings: Sequence[Setting]) -> dict[str, str]:
    """A colour for each of :func:`.wording.swept_values`, in order of appearance."""
    values = dict.fromkeys(swept_values(setting) for setting in settings)
    swept = [value for value in values if value]
    return {"": _NOTHING_SWEPT} | {value: _nth(_HUES, i) for i, value in enumerate(swept)}


def line_styles(settings: Sequence[Setting]) -> dict[str, int]:
    """Number of the line style by the swept values that it stands for: the same in all charts."""
    swept = [swept_values(setting) for setting in settings]
    else_swept = [series(setting).removeprefix(setting.model).strip() for setting in settings]
    names = dict.fromkeys(name for name in [*swept, *else_swept] if name)
    return {NOTHING: 0, NOTHING_ELSE: 0} | {name: place for place, name in enumerate(names, 1)}


def on_dark(colour: str) -> str:
    """The colour ``#rrggbb`` nearest to one that is legible on a dark page.

    A grey changes sides, so that black becomes white; what then lacks contrast is mixed with
    white until it has the 4.5 to 1 that WCAG asks of text.
    """
    channels = _channels(colour)
    if len(set(channels)) == 1:
        channels = [255 - channel for channel in channels]
    mixed, share = _text(channels), 0.0
    while contrast(mixed, DARK_PAGE) < _LEAST_CONTRAST:
        share += _STEP
        mixed = _text([round(channel + (255 - channel) * share) for channel in channels])
    return mixed


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours, 1 to 21, as WCAG 2.2 defines it."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _nth(colours: Sequence[str], place: int) -> str:
    """The colours once around, then again and again in lighter shades."""
    turn, index = divmod(place, len(colours))
    channels = (round(255 - (255 - c) * 0.6**turn) for c in _channels(colours[index]))
    return _text(channels).upper()


def _named(kind: str, colours: Mapping[Any, str]) -> dict[str, Colour]:
    return {
        key: Colour(f"{kind}-{place}", colour, on_dark(colour))
        for place, (key, colour) in enumerate(colours.items())
    }


def _luminance(colour: str) -> float:
    shares = (channel / 255 for channel in _channels(colour))
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _channels(colour: str) -> list[int]:
    return [int(colour[start : start + 2], 16) for start in (1, 3, 5)]


def _text(channels: Iterable[int]) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in channels)
