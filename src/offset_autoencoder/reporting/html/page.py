"""The page: all sections, put into the templates."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from offset_autoencoder.evaluation.verdict_wording import percent
from offset_autoencoder.io.files import write_text
from offset_autoencoder.reporting.html.code_chart import code_chart, label_colours, labels_of
from offset_autoencoder.reporting.html.comparison_tables import comparison_tables
from offset_autoencoder.reporting.html.intervention_table import intervention_table
from offset_autoencoder.reporting.html.learning_curve_chart import learning_curve_chart
from offset_autoencoder.reporting.html.metric_charts import level_chart, power_chart
from offset_autoencoder.reporting.html.palette import DARK_PAGE, palette_of
from offset_autoencoder.reporting.html.probe_table import probe_table
from offset_autoencoder.reporting.html.reproduction import reproduction
from offset_autoencoder.reporting.html.scripts import source_of_script, vega_script
from offset_autoencoder.reporting.html.setting_table import setting_table
from offset_autoencoder.reporting.html.source import Source, read_source
from offset_autoencoder.reporting.html.strips import sample_strips
from offset_autoencoder.reporting.html.verdict_cards import count_verdicts, verdict_cards

if TYPE_CHECKING:
    from offset_autoencoder.config import Params
    from offset_autoencoder.evaluation.examples import Reconstructions

PAGE = "index.html"
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class _Counts:
    """How much there is of everything."""

    models: int
    settings: int
    seeds: int
    runs: int
    diverged: dict[str, int]


def write_report(
    folder: Path,
    params: Params,
    *,
    root: Path = Path(),
    reconstructions: Reconstructions | None = None,
    commit: str | None = None,
) -> None:
    """Write ``index.html`` from the tables beside it: one file that needs no other.

    The same files give the same bytes.

    Args:
        folder: ``reports/``, with its tables and ``plots/``.
        params: The params that they were made for.
        root: The project's folder, for params.yaml, ``models``, ``data/prepared`` and
            ``data/offsets``.
        reconstructions: Some test samples and what came out for them; None where no run finished.
        commit: The git commit to name, where it is known.

    Raises:
        InputError: where a file is missing or damaged.
    """
    source = read_source(folder, params)
    write_text(folder / PAGE, _render(source, root, reconstructions, commit))


def _render(
    source: Source, root: Path, reconstructions: Reconstructions | None, commit: str | None
) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    evaluate = source.params.evaluate
    palette = palette_of(source.params.settings, evaluate.baselines)
    labels = label_colours(labels_of(source))
    strips, prior = sample_strips(reconstructions)
    scripts = [vega_script(), (_TEMPLATES / "report.js").read_text(encoding="utf-8")]
    return environment.get_template("page.html.j2").render(
        style=(_TEMPLATES / "style.css").read_text(encoding="utf-8"),
        dark_page=DARK_PAGE,
        colours=[*palette.all, *labels.values()],
        scripts=scripts,
        script_sources=" ".join(source_of_script(script) for script in scripts),
        counts=_count(source),
        evaluate=evaluate,
        interval=percent(evaluate.confidence),
        margin=percent(evaluate.margin),
        verdicts=count_verdicts(source),
        colours_of_verdicts={word: each.name for word, each in palette.verdicts.items()},
        cards=verdict_cards(source, palette),
        settings=setting_table(source, palette),
        power=power_chart(source, palette),
        comparisons=comparison_tables(source, palette),
        learning_curves=learning_curve_chart(source, palette),
        interventions=intervention_table(source, palette),
        robustness=level_chart(source, palette, "robustness"),
        offset_scales=level_chart(source, palette, "offset_scales"),
        probes=probe_table(source),
        reconstructions=strips,
        prior=prior,
        are_profiles=reconstructions is not None and reconstructions.originals.ndim == 2,
        codes=code_chart(source, labels),
        reproduction=reproduction(source, root, commit),
    )


def _count(source: Source) -> _Counts:
    params = source.params
    gone: Counter[str] = Counter()
    rows = [row for row in source.runs if row["status"] != "finished"]
    for label in source.labels(rows):
        gone[source.names[label]] += 1
    return _Counts(
        models=len(params.models),
        settings=len(params.settings),
        seeds=len(params.seeds),
        runs=len(source.runs),
        diverged=dict(gone),
    )
