"""The verdict on each offset: a card per model, with the sentences and the figures behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from offset_autoencoder.evaluation.offset_verdict import OffsetVerdict
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.reporting.palette import Palette
from offset_autoencoder.reporting.result_tables import verdict_table
from offset_autoencoder.reporting.tables import Cell
from offset_autoencoder.reporting.wording import full_label

WORDS = ("second encoder", "noise", "neither", "inconclusive")
_FIGURES = slice(1, 6)  # of a row: three changes and two shares


@dataclass(frozen=True)
class Verdict:
    """The verdict on one or more settings of a model, in the same words.

    Attributes:
        word: The verdict.
        css: The class of its colour.
        reason: Why, and what would settle it where it is open.
        figures: For each setting its swept values, then the change of the error in % with the
            offset permuted, replaced by Gaussian noise and omitted, then linear decodability and
            donor shift in %.
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


def verdict_cards(results: ExperimentResults, palette: Palette) -> list[Card]:
    """The cards, by the order of the models."""
    cards: dict[str, list[Verdict]] = {}
    rows = verdict_table(results).rows
    for verdict, row in zip(results.verdicts, rows, strict=True):
        setting, word = verdict.setting, verdict.word
        reason = reason_of(verdict.sentence, setting.label)
        values = full_label(setting).removeprefix(setting.model).strip()
        figures: list[tuple[str, Sequence[Cell]]] = [(values, row[_FIGURES])]
        of_model = cards.setdefault(setting.model, [])
        if of_model and (of_model[-1].word, of_model[-1].reason) == (word, reason):
            figures = [*of_model.pop().figures, *figures]
        of_model.append(Verdict(word, palette.css(word), reason, figures))
    return [Card(model, palette.models[model].name, verdicts) for model, verdicts in cards.items()]


def count_verdicts(verdicts: Sequence[OffsetVerdict]) -> list[tuple[str, int]]:
    """How many settings got each word, words without any left out."""
    counted = Counter[str](verdict.word for verdict in verdicts)
    return [(word, counted[word]) for word in WORDS if counted[word]]


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
