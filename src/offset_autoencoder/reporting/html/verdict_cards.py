"""The verdict on each offset: a card a model, with the sentences and the figures behind them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from offset_autoencoder.reporting.html.palette import Palette
from offset_autoencoder.reporting.html.source import Row, Source, estimate
from offset_autoencoder.reporting.html.table import Cell, estimate_cell

WORDS = ("second encoder", "noise", "neither", "inconclusive")
EXCHANGES = ("permuted", "gaussian", "omitted")
SHARES = ("linear_decodability", "donor_shift")
_FEW_PERCENT = 0.1


@dataclass(frozen=True)
class Verdict:
    """What was found of one or more settings of a model, in the same words.

    Attributes:
        word: The verdict.
        css: The class of its colour.
        reason: Why, and what would settle it where it is open.
        figures: For each setting its swept values, then the change of the error in % with each
            of :data:`EXCHANGES`, then :data:`SHARES` in %.
    """

    word: str
    css: str
    reason: str
    figures: Sequence[tuple[str, Sequence[Cell]]]


@dataclass(frozen=True)
class Card:
    """A model's verdicts.

    Attributes:
        model: Its name.
        css: The class of its colour.
        verdicts: Those of its settings, neighbours of one reason together.
    """

    model: str
    css: str
    verdicts: Sequence[Verdict]


def verdict_cards(source: Source, palette: Palette) -> list[Card]:
    """The cards, by the order of the models."""
    cards: dict[str, list[Verdict]] = {}
    for row, label in zip(source.verdicts, source.labels(source.verdicts), strict=True):
        model, word = row["model"], row["verdict"]
        reason = reason_of(row["sentence"], label)
        figures: list[tuple[str, Sequence[Cell]]] = [
            (source.names[label].removeprefix(model).strip(), _figures(row))
        ]
        css = palette.verdicts[word].name if word in palette.verdicts else ""
        known = cards.setdefault(model, [])
        if known and (known[-1].word, known[-1].reason) == (word, reason):
            figures = [*known.pop().figures, *figures]
        known.append(Verdict(word, css, reason, figures))
    return [Card(model, palette.models[model].name, found) for model, found in cards.items()]


def count_verdicts(source: Source) -> list[tuple[str, int]]:
    """How many settings got each word, words without any left out."""
    counted = Counter(row["verdict"] for row in source.verdicts)
    order = [*WORDS, *(word for word in counted if word not in WORDS)]
    return [(word, counted[word]) for word in order if counted[word]]


def reason_of(sentence: str, label: str) -> str:
    """The reason that a verdict's sentence gives, without the setting, the word and the figures.

    ``"pca: behaves as noise: why (figures); more"`` gives ``"why; more"``; a sentence of
    another form comes back whole, but for the setting that it begins with.
    """
    text = sentence.removeprefix(f"{label}: ")
    words, bracket, rest = text.partition(" (")
    _, closed, more = rest.rpartition(")")
    _, colon, reason = words.partition(": ")
    return reason + more if bracket and closed and colon else text


def _figures(row: Row) -> list[Cell]:
    changes = [estimate(row, name) for name in EXCHANGES]
    shares = [estimate(row, name) for name in SHARES]
    return [
        *(
            estimate_cell(each, decimals=_decimals(each.mean), factor=100, signed=True)
            for each in changes
        ),
        *(
            estimate_cell(each, decimals=_decimals(each.mean), factor=100, interval=False)
            for each in shares
        ),
    ]


def _decimals(share: float) -> int:
    return 1 if math.isfinite(share) and abs(share) < _FEW_PERCENT else 0
