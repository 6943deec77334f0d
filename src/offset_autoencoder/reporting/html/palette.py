"""The colours of the page: the pictures' own on white, lighter ones where the page is dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offset_autoencoder.config import Setting
from offset_autoencoder.reporting.colours import OUTCOME_COLOURS, model_colours

DARK_PAGE = "#14171c"
_LEAST_CONTRAST = 4.5  # that WCAG 2.2 asks of text; of graphics it asks 3
_STEP = 0.02

VERDICT_COLOURS = {
    "noise": "#E69F00",
    "second encoder": "#0072B2",
    "neither": "#D55E00",
    "inconclusive": "#777777",
}


@dataclass(frozen=True)
class Colour:
    """A colour with a name in the style sheet.

    Attributes:
        name: That of the custom property, without its dashes.
        light: On a white page, ``#RRGGBB``.
        dark: On a dark one.
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
    """Every colour that stands for something.

    Attributes:
        models: By model.
        outcomes: By the word of a comparison's verdict.
        verdicts: By the word of an offset's verdict.
    """

    models: dict[str, Colour]
    outcomes: dict[str, Colour]
    verdicts: dict[str, Colour]

    @property
    def all(self) -> list[Colour]:
        """All of them, for the style sheet."""
        groups = (self.models, self.outcomes, self.verdicts)
        return [colour for group in groups for colour in group.values()]


def palette_of(settings: Sequence[Setting], baselines: Sequence[str]) -> Palette:
    """The colours of an experiment, the same as in the pictures under ``plots/``."""
    models = model_colours(settings, baselines)
    return Palette(
        models=_named("model", models),
        outcomes=_named("outcome", OUTCOME_COLOURS),
        verdicts=_named("verdict", VERDICT_COLOURS),
    )


def on_dark(colour: str, page: str = DARK_PAGE) -> str:
    """The colour nearest to one that is legible on a dark page.

    A grey changes sides, so that black becomes white; what then lacks contrast is mixed with
    white until it has the 4.5 to 1 that WCAG asks of text.

    Args:
        colour: ``#RRGGBB``.
        page: What it stands on.
    """
    red, green, blue = _channels(colour)
    if red == green == blue:
        red = green = blue = 255 - red
    mixed, share = (red, green, blue), 0.0
    while contrast(_text(mixed), page) < _LEAST_CONTRAST:
        share += _STEP
        mixed = (_mix(red, share), _mix(green, share), _mix(blue, share))
    return _text(mixed)


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours, 1 to 21, as WCAG 2.2 defines it."""
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


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


def _channels(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return red, green, blue


def _mix(channel: int, share: float) -> int:
    return round(channel + (255 - channel) * share)


def _text(channels: tuple[int, int, int]) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in channels)
