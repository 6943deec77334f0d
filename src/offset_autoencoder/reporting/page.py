"""The report as one page that needs nothing beside it: ``reports/index.html``."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from offset_autoencoder.evaluation.offset_verdict import OffsetVerdict
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.statistics import percent
from offset_autoencoder.io.files import write_text
from offset_autoencoder.reporting.figures import (
    code_figure,
    labels_of,
    learning_curve_figure,
    level_figure,
    noise_level_figure,
)
from offset_autoencoder.reporting.palette import DARK_PAGE, Palette, palette_of
from offset_autoencoder.reporting.provenance import Provenance
from offset_autoencoder.reporting.rendering import sample_strips
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

WORDS = ("second encoder", "noise", "neither", "inconclusive")
_TEMPLATES = Path(__file__).parent / "templates"
_FIGURES = slice(1, 6)  # of a row of verdicts: three changes and two shares
_PACKAGE = "vl-convert-python"
_SNIPPET = "window.vegaEmbed = vegaEmbed;"
_NOT_IN_A_SCRIPT = ("</script", "<!--")


@dataclass(frozen=True)
class Verdict:
    """The verdict on one or more settings of a model: its word, class of colour and reason.

    ``figures`` are each setting's swept values, with its three changes of the error and two shares.
    """

    word: str
    css: str
    reason: str
    figures: Sequence[tuple[str, Sequence[Cell]]]


@dataclass(frozen=True)
class Card:
    """A model's verdicts, with the class of its colour; neighbours of one reason together."""

    model: str
    css: str
    verdicts: Sequence[Verdict]


def write_page(folder: Path, results: ExperimentResults, provenance: Provenance) -> None:
    """Write ``index.html``: one file that needs no other. The same results give the same bytes."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["minus"] = _with_minus_sign
    evaluate, reconstructions = results.evaluate, results.reconstructions
    rows = {name: rows for name, (_, rows) in plot_tables(results).items()}
    palette = palette_of(results.settings, evaluate.baselines, labels_of(rows["codes"]))
    names = {setting.label: full_label(setting) for setting in results.settings}
    strips, prior = sample_strips(reconstructions)
    scripts = [vega_script(), (_TEMPLATES / "report.js").read_text(encoding="utf-8")]
    curves = (names, evaluate, palette)
    text = environment.get_template("page.html.j2").render(
        style=(_TEMPLATES / "style.css").read_text(encoding="utf-8"),
        dark_page=DARK_PAGE,
        colours=palette.all,
        scripts=scripts,
        script_sources=" ".join(source_of_script(script) for script in scripts),
        counts={
            "models": len(results.params.models),
            "settings": len(results.settings),
            "seeds": len(results.params.seeds),
            "runs": len(results.runs),
            "diverged": {
                names[s.setting.label]: s.diverged for s in results.summaries if s.diverged
            },
        },
        interval=percent(evaluate.confidence),
        margin=percent(evaluate.margin),
        verdicts=count_verdicts(results.verdicts),
        palette=palette,
        cards=verdict_cards(results, palette),
        settings=setting_table(results, palette),
        noise_level=noise_level_figure(rows["settings"], evaluate, palette),
        comparisons=comparison_tables(results, palette),
        learning_curves=learning_curve_figure(rows["learning_curves"], *curves),
        interventions=intervention_table(results, palette),
        robustness=level_figure("robustness", rows["robustness"], *curves),
        offset_scales=level_figure("offset_scales", rows["offset_scales"], *curves),
        probes=probe_table(results),
        reconstructions=strips,
        prior=prior,
        are_profiles=reconstructions is not None and reconstructions.originals.ndim == 2,
        codes=code_figure(rows["codes"], names, palette.labels),
        provenance=provenance,
    )
    write_text(folder / "index.html", text)


def _with_minus_sign(text: str) -> str:
    """A number as the page writes it: with a minus sign, and nothing where it is not known."""
    return "" if text == "-" else text.replace("-", "−")


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


@functools.cache
def vega_script() -> str:
    """The script, which sets ``window.vegaEmbed`` and asks no network for anything.

    It is bundled once a machine and version, in a second or two, and then kept in the user's
    cache folder beside its own digest; where that cannot be written to it is bundled anew.

    Raises:
        ValueError: where it could not stand in a script element.
    """
    place = _cache_folder() / f"vega-{metadata.version(_PACKAGE)}.js"
    if (kept := _kept(place)) is not None:
        return kept
    import vl_convert

    script: str = vl_convert.javascript_bundle(_SNIPPET)
    if any(end in script for end in _NOT_IN_A_SCRIPT):
        raise ValueError(f"{_PACKAGE}: its script cannot stand in a page")
    with contextlib.suppress(OSError):
        write_text(place, f"{_digest(script)}\n{script}")
    return script


def source_of_script(script: str) -> str:
    """The word by which a page's content security policy allows this very script.

    Args:
        script: All between the tags of its element.
    """
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _kept(place: Path) -> str | None:
    """Content of the cache; None where it holds nothing, or not what was written."""
    try:
        digest, _, script = place.read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    return script if digest == _digest(script) else None


def _digest(script: str) -> str:
    return hashlib.sha256(script.encode()).hexdigest()


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    return Path(base) / "offset-autoencoder"
