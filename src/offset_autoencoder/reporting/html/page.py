"""``reports/index.html``: all sections, put into the templates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from offset_autoencoder.evaluation.offset_verdict import OffsetVerdict
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.verdict_wording import percent
from offset_autoencoder.io.files import write_text
from offset_autoencoder.reporting.html.figures import (
    code_chart,
    labels_of,
    learning_curve_chart,
    level_chart,
    noise_level_chart,
)
from offset_autoencoder.reporting.html.provenance import Provenance
from offset_autoencoder.reporting.html.scripts import source_of_script, vega_script
from offset_autoencoder.reporting.images import sample_strips
from offset_autoencoder.reporting.palette import DARK_PAGE, Palette, palette_of
from offset_autoencoder.reporting.reports import plot_tables
from offset_autoencoder.reporting.result_tables import (
    comparison_tables,
    intervention_table,
    probe_table,
    setting_table,
    verdict_table,
)
from offset_autoencoder.reporting.tables import Cell
from offset_autoencoder.reporting.wording import full_label

PAGE = "index.html"
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class _Counts:
    """Counts of an experiment; ``diverged`` runs by the name of their setting."""

    models: int
    settings: int
    seeds: int
    runs: int
    diverged: Mapping[str, int]


def write_page(folder: Path, results: ExperimentResults, provenance: Provenance) -> None:
    """Write ``index.html``: one file that needs no other. The same results give the same bytes.

    Args:
        folder: ``reports/``.
        params: The params of the results.
        results: The results.
        provenance: Where they come from.
    """
    write_text(folder / PAGE, _render(results, provenance))


def _render(results: ExperimentResults, provenance: Provenance) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["minus"] = _with_minus_sign
    evaluate, plots = results.evaluate, plot_tables(results)
    rows = {name: rows for name, (_, rows) in plots.items()}
    palette = palette_of(results.settings, evaluate.baselines, labels_of(rows["codes"]))
    names = {setting.label: full_label(setting) for setting in results.settings}
    strips, prior = sample_strips(results.reconstructions)
    scripts = [vega_script(), (_TEMPLATES / "report.js").read_text(encoding="utf-8")]
    reconstructions = results.reconstructions
    curves = (names, evaluate, palette)
    return environment.get_template("page.html.j2").render(
        style=(_TEMPLATES / "style.css").read_text(encoding="utf-8"),
        dark_page=DARK_PAGE,
        colours=palette.all,
        scripts=scripts,
        script_sources=" ".join(source_of_script(script) for script in scripts),
        counts=_count(results, names),
        evaluate=evaluate,
        interval=percent(evaluate.confidence),
        margin=percent(evaluate.margin),
        verdicts=count_verdicts(results.verdicts),
        palette=palette,
        cards=verdict_cards(results, palette),
        settings=setting_table(results, palette),
        noise_level=noise_level_chart(rows["settings"], evaluate, palette),
        comparisons=comparison_tables(results, palette),
        learning_curves=learning_curve_chart(rows["learning_curves"], *curves),
        interventions=intervention_table(results, palette),
        robustness=level_chart("robustness", rows["robustness"], *curves),
        offset_scales=level_chart("offset_scales", rows["offset_scales"], *curves),
        probes=probe_table(results),
        reconstructions=strips,
        prior=prior,
        are_profiles=reconstructions is not None and reconstructions.originals.ndim == 2,
        codes=code_chart(rows["codes"], names, palette.labels),
        provenance=provenance,
    )


def _count(results: ExperimentResults, names: Mapping[str, str]) -> _Counts:
    params = results.params
    diverged = {
        names[summary.setting.label]: summary.diverged
        for summary in results.summaries
        if summary.diverged
    }
    return _Counts(
        models=len(params.models),
        settings=len(params.settings),
        seeds=len(params.seeds),
        runs=len(results.runs),
        diverged=diverged,
    )


def _with_minus_sign(text: str) -> str:
    """A number as the page writes it: with a minus sign, and nothing where it is not known."""
    return "" if text == "-" else text.replace("-", "−")


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
    """Number of settings got each word, words without any left out."""
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
