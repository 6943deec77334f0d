"""The report as one page that needs nothing beside it: ``reports/index.html``."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, get_args

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from offset_autoencoder.config import Params
from offset_autoencoder.config.data_schema import SPLITS
from offset_autoencoder.config.document import read_document
from offset_autoencoder.data.prepared import Schema
from offset_autoencoder.evaluation.offset_effects import AGAINST, TRAIN
from offset_autoencoder.evaluation.offset_verdict import OffsetWord
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.selection import selection_note
from offset_autoencoder.evaluation.statistics import percent
from offset_autoencoder.io.files import read_json, write_text
from offset_autoencoder.offsets.table import INFO, folder_of, seed_folder
from offset_autoencoder.paths import MODELS, OFFSETS, PARAMS, user_cache
from offset_autoencoder.reporting import figures, result_tables, wording
from offset_autoencoder.reporting.answer import MOST_ROWS, answer_table
from offset_autoencoder.reporting.error_table import error_table
from offset_autoencoder.reporting.palette import DARK_PAGE, palette_of
from offset_autoencoder.reporting.plot_rows import plot_tables
from offset_autoencoder.reporting.rendering import profiles_over, sample_strips
from offset_autoencoder.reporting.tables import Cell, Column, Table, text_column
from offset_autoencoder.runs.files import SPEC
from offset_autoencoder.runs.store import runs_folder

WORDS = get_args(OffsetWord)
_TEMPLATES = Path(__file__).parent / "templates"
# Of the table of verdicts, the columns that a model's card shows; of `AGAINST` means alone.
_FIGURES = ("permuted", f"permuted{TRAIN}", "mean", "shift")
_PACKAGE = "vl-convert-python"
_SNIPPET = "window.vegaEmbed = vegaEmbed;"
_STATISTICS = ("offset-autoencoder", "scipy", "scikit-learn")


@dataclass(frozen=True)
class Provenance:
    """Origin of a report, by which it can be made again."""

    params: str  # params.yaml, but for where results are sent
    facts: Sequence[tuple[str, str]]  # about the data, each with its name; first their source
    data_table: Table  # the splits and their digests
    offset_table: Table | None  # a row per offset table that a model uses
    versions: Sequence[tuple[str, str]]  # names of what was used, each with its version


def read_provenance(
    params: Params,
    schema: Schema,
    run_ids: Iterable[str],
    *,
    root: Path = Path(),
    seeds: Sequence[int] = (),
) -> Provenance:
    """The provenance of a report, from the files of the project whose folder is ``root``.

    ``seeds`` are those with a split of their own, of which the schema is the first one's.

    Raises:
        InputError: where a file is missing or damaged.
    """
    document = read_document(root / PARAMS)
    # Where results are sent says nothing about them, and may hold a password.
    document.pop("tracking", None)
    used = {setting.spec.offset for setting in params.settings}
    offsets = [
        {"name": name, "latent_dim": size, **_offset_info(root / OFFSETS, name, size, seeds)}
        for name in params.offsets
        if name in used
        for size in params.latent_dims(name)
    ]
    features = f"{schema.input_dim:,}"
    if schema.image_shape:
        features += f" ({' × '.join(str(side) for side in schema.image_shape)} pixels)"
    elif schema.sequence_shape:
        steps, channels = schema.sequence_shape[:: -1 if schema.channels_first else 1]
        features += f" ({steps:,} steps × {channels:,} channels)"
    return Provenance(
        params=yaml.safe_dump(
            document, sort_keys=False, default_flow_style=None, allow_unicode=True, width=88
        ),
        facts=[
            ("source", schema.source),
            ("features", features),
            ("labels", f"{len(schema.classes)} classes" if schema.classes else "none"),
            ("scale", str(schema.scale.get("kind", ""))),
            *([("splits", f"one for each of {len(seeds)} seeds")] if seeds else []),
        ],
        data_table=_data_table(schema, seeds),
        offset_table=_offset_table(offsets, seeds) if offsets else None,
        versions=_versions(run_ids, root / MODELS),
    )


def _data_table(schema: Schema, seeds: Sequence[int]) -> Table:
    sizes = [schema.samples[split] for split in SPLITS]
    digests = [schema.digests[split] for split in SPLITS]
    columns = [
        text_column("split", "split", SPLITS),
        Column("samples", "samples", [Cell(f"{size:,}", size) for size in sizes]),
    ]
    for part, name in (("x", "x"), ("y", "labels"), ("ids", "ids")):
        texts = [own.get(part) or "none" for own in digests]
        columns.append(text_column(part, f"SHA-256 of {name}", texts, "digest"))
    caption = "Digests of the data, split by split"
    caption += f", of the splits of seed {seeds[0]}." if seeds else "."
    return Table("data-digests", caption, columns, "data/prepared/schema.json")


def _offset_table(offsets: Sequence[Mapping[str, Any]], seeds: Sequence[int]) -> Table:
    sizes, rms = ([info[key] for info in offsets] for key in ("latent_dim", "rms"))
    train, test = ([info["digests"][split] for info in offsets] for split in ("train", "test"))
    columns = [
        text_column("name", "offset", [info["name"] for info in offsets]),
        text_column("kind", "kind", [info["kind"] for info in offsets]),
        Column("latent_dim", "latent dim", [Cell(f"{size}", size) for size in sizes]),
        Column("rms", "rms as it came", [Cell(f"{value:.6g}", value) for value in rms]),
        text_column("train", "SHA-256, training split", train, "digest"),
        text_column("test", "SHA-256, test split", test, "digest"),
    ]
    caption = "The offset tables that a model uses"
    if seeds:
        caption += f": the mean rms of all splits, the digests of the tables of seed {seeds[0]}"
    return Table("offset-digests", f"{caption}.", columns, "data/offsets/NAME/offset.json")


def _offset_info(folder: Path, name: str, latent_dim: int, seeds: Sequence[int]) -> dict[str, Any]:
    """``offset.json`` of the first split's table, with the mean rms of the tables of all splits."""

    def read(seed: int | None) -> dict[str, Any]:
        place = seed_folder(folder, name, seed)
        options = [folder_of(place.parent, place.name, latent_dim, swept=s) for s in (False, True)]
        path = next((one for one in options if (one / INFO).exists()), options[0]) / INFO
        info: dict[str, Any] = read_json(path)
        return info

    # What is not fitted is the same for all, and stands in the first one's folder alone.
    own = [seed for seed in seeds[1:] if seed_folder(folder, name, seed).exists()]
    infos = [read(seed) for seed in (None, *own)]
    return {**infos[0], "rms": statistics.fmean(info["rms"] for info in infos)}


def _versions(run_ids: Iterable[str], models: Path) -> list[tuple[str, str]]:
    """Versions of what trained the runs, as the runs say, and of what compared them."""
    versions: dict[str, set[str]] = {}
    for run_id in run_ids:
        trained_by = read_json(runs_folder(models) / run_id / SPEC).get("fingerprint", {})
        for name, version in trained_by.get("versions", {}).items():
            versions.setdefault(name, set()).add(str(version))
        code = str(trained_by.get("code"))
        versions.setdefault("digest of the code that trains", set()).add(code)
    lines = [(name, ", ".join(sorted(used))) for name, used in versions.items()]
    for name in _STATISTICS:
        if name not in versions:
            with contextlib.suppress(metadata.PackageNotFoundError):
                lines.append((name, metadata.version(name)))
    return lines


def write_page(folder: Path, results: ExperimentResults, provenance: Provenance) -> None:
    """Write ``index.html``: see :func:`render_page`."""
    write_text(folder / "index.html", render_page(results, provenance))


def render_page(
    results: ExperimentResults, provenance: Provenance | None, *, has_training: bool = True
) -> str:
    """The page: one text that needs no other file. The same results give the same bytes.

    Without a provenance it is of models that were trained elsewhere: nothing is known of their
    training, and they are compared with no others; ``has_training`` says whether the samples that
    they were trained on are.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["minus"] = as_number
    environment.filters["code"] = code
    evaluate, reconstructions = results.evaluate, results.reconstructions
    rows = {name: rows for name, (_, rows) in plot_tables(results).items()}
    palette = palette_of(results.settings, evaluate.baselines, figures.labels_of(rows["codes"]))
    strips, prior = sample_strips(reconstructions)
    exchanged = result_tables.intervention_table(results)
    scripts = [vega_script(), (_TEMPLATES / "report.js").read_text(encoding="utf-8")]
    words = Counter[str](verdict.word for verdict in results.verdicts)
    answer = answer_table(results, palette)
    said = {cell.word for column in answer.columns for cell in column.cells}
    return environment.get_template("page.html.j2").render(
        style=(_TEMPLATES / "style.css").read_text(encoding="utf-8"),
        dark_page=DARK_PAGE,
        scripts=scripts,
        script_sources=" ".join(source_of_script(script) for script in scripts),
        counts={
            "models": len(results.params.models),
            "settings": len(results.settings),
            "seeds": len(results.params.seeds),
            "runs": len(results.runs),
            "offsets": len(results.verdicts),
            "diverged": {
                wording.full_label(s.setting): s.diverged for s in results.summaries if s.diverged
            },
        },
        interval=percent(evaluate.confidence),
        over=results.design.over,
        covers=results.design.covers,
        unit=wording.unit_of_changes(results.verdicts),
        error=results.error_label,
        anomalies=wording.anomaly_note(results.params),
        unsettled=wording.unsettled_note(results),
        margin=percent(evaluate.margin),
        verdicts=[(word, words[word]) for word in WORDS if words[word]],
        answer=answer,
        most_rows=MOST_ROWS,
        meanings=wording.MEANINGS,
        words=[word for word in wording.MEANINGS if word in said],
        unconverged=wording.unconverged_note(results),
        palette=palette,
        has_training=has_training,
        cards=verdict_cards(results),
        verdict_table=result_tables.verdict_table(results),
        settings=result_tables.setting_table(results, palette),
        noise_level=figures.noise_level_figure(results, rows["settings"], palette),
        comparisons=result_tables.comparison_tables(results, palette),
        selection_note=selection_note(results.design, evaluate),
        tuned=None if not results.selected else result_tables.tuned_table(results, palette),
        tuned_comparisons=result_tables.comparison_tables(results.tuned, palette, "tuned"),
        budget_warning=results.params.budget_warning,
        select=evaluate.select,
        learning_curves=figures.learning_curve_figure(results, rows["learning_curves"], palette),
        interventions=replace(
            exchanged, columns=[c for c in exchanged.columns if c.kind != "number"]
        ),
        intervention_numbers=replace(
            exchanged,
            name="intervention-numbers",
            columns=[exchanged.columns[0], *(c for c in exchanged.columns if c.kind == "number")],
            legend=(),
        ),
        levels={
            plot: figures.level_figure(plot, results, rows[plot], palette)
            for plot in figures.LEVELS
        },
        probes=result_tables.probe_table(results),
        errors=error_table(results),
        reconstructions=strips,
        prior=prior,
        profiles_over=profiles_over(reconstructions),
        anomalies_pictured=", ".join(map(str, getattr(reconstructions, "anomalies", ()))),
        codes=figures.code_figure(results, rows["codes"], palette),
        provenance=provenance,
    )


def as_number(text: str) -> str:
    """A number as the page writes it: a minus sign, ± beside its half; nothing if not known."""
    return "" if text == "-" else text.replace("-", "−").replace("± ", "±\u00a0")


def code(text: str) -> Markup:
    """A text for the page, with what is between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


@dataclass(frozen=True)
class Verdict:
    """The verdict on one or more settings of a model.

    ``figures`` are each setting's swept values, with the cells of its card.
    """

    word: str
    reason: str
    figures: Sequence[tuple[str, Sequence[Cell]]]


def verdict_cards(results: ExperimentResults) -> dict[str, list[Verdict]]:
    """Each model's verdicts, by the order of the models; neighbours of one reason together."""
    cards: dict[str, list[Verdict]] = {}
    table = result_tables.verdict_table(results)
    shown, costs = ([table.column(name) for name in names] for names in (_FIGURES, AGAINST))
    for verdict in results.verdicts:
        setting, word = verdict.setting, verdict.word
        reason = reason_of(verdict.sentence, setting.label)
        values = wording.full_label(setting).removeprefix(setting.model).strip()
        cells = [column[setting.label] for column in shown]
        cells += [Cell(column[setting.label].short) for column in costs]
        own: list[tuple[str, Sequence[Cell]]] = [(values, cells)]
        of_model = cards.setdefault(setting.model, [])
        if of_model and (of_model[-1].word, of_model[-1].reason) == (word, reason):
            own = [*of_model.pop().figures, *own]
        of_model.append(Verdict(word, reason, own))
    return cards


def reason_of(sentence: str, label: str) -> str:
    """The reason that a verdict's sentence gives, without the setting, the word and the figures.

    ``"pca: noise: why (figures); more"`` gives ``"why; more"``; a sentence of
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
    place = user_cache() / f"vega-{metadata.version(_PACKAGE)}.js"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        digest, _, kept = place.read_text(encoding="utf-8").partition("\n")
        if digest == hashlib.sha256(kept.encode()).hexdigest():
            return kept
    import vl_convert

    script: str = vl_convert.javascript_bundle(_SNIPPET)
    if "</script" in script or "<!--" in script:
        raise ValueError(f"{_PACKAGE}: its script cannot stand in a page")
    with contextlib.suppress(OSError):
        write_text(place, f"{hashlib.sha256(script.encode()).hexdigest()}\n{script}")
    return script


def source_of_script(script: str) -> str:
    """The word by which a page's content security policy allows this very script, tags apart."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
