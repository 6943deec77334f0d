"""Like for like against a baseline that has noise: as deployed, as trained, and clean."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from offset_autoencoder.evaluation.comparison import Comparison
from offset_autoencoder.evaluation.verdict_wording import Outcome
from offset_autoencoder.reporting.comparison_table import STYLES, in_common
from offset_autoencoder.reporting.comparisons import shown_comparisons
from offset_autoencoder.reporting.console_table import (
    Column,
    plus_minus,
    print_note,
    print_table,
    setting_column,
)
from offset_autoencoder.reporting.interval_text import decimals_of, mean_and_half

_SHORT: dict[Outcome, str] = {
    "equivalent": "equiv.",
    "inconclusive": "inconcl.",
    "too few seeds": "few",
    "not comparable": "-",
}


def print_conditions(
    console: Console, comparisons: Sequence[Comparison], *, metric: str, baseline: str
) -> None:
    """Print the change of the error against a baseline in every condition, and what they are.

    Args:
        console: Where to; where it is narrow, intervals and long words are left out.
        comparisons: All comparisons.
        metric: The metric; those in others, its conditions apart, are passed over.
        baseline: The baseline model; prints nothing where nothing is compared with it.
    """
    shown = shown_comparisons(comparisons, metric)
    conditions = {
        condition: {item.setting.label: item for item in items}
        for (model, condition), items in shown.items()
        if model == baseline
    }
    family = [item for items in conditions.values() for item in items.values()]
    if not family:
        return
    settings = {item.setting.label: item.setting for item in family}
    first = setting_column(list(settings.values()))
    cells = {
        condition: [items.get(label) for label in settings]
        for condition, items in conditions.items()
    }
    layouts = [
        [first, *_columns(cells, pm, short=short)]
        for pm, short in ((plus_minus(console), False), (plus_minus(console), True), ("", True))
    ]
    title = f"change of the error against {baseline}{in_common(family)}, in %"
    print_table(console, title, *layouts)
    print_note(
        console,
        "deployed: the offset stays on, the noise is off. Like for like: as trained, both on; "
        "clean, both off. Below zero is better.",
    )


def _columns(
    conditions: dict[str, list[Comparison | None]], pm: str, *, short: bool
) -> list[Column]:
    columns = []
    for name, items in conditions.items():
        changes = [item.equivalence.change if item else None for item in items]
        decimals = min(1, decimals_of([change for change in changes if change], factor=100))
        cells = [
            mean_and_half(change, pm, decimals=decimals, factor=100, signed=True)
            for change in changes
        ]
        columns.append(Column(f"{name if pm else name.removeprefix('as ')} {pm}".rstrip(), cells))
        columns.append(Column("", [_word(item, short) for item in items], right=False))
    return columns


def _word(item: Comparison | None, short: bool) -> Text:
    if item is None:
        return Text("")
    word = _SHORT.get(item.outcome, item.outcome) if short else item.outcome
    return Text(word, style=STYLES[item.outcome])
