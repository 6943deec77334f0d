"""Tables and notes that ``evaluate`` prints at its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.text import Text

from offset_autoencoder.config import Setting
from offset_autoencoder.evaluation.comparison import Comparison
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.statistics import percent
from offset_autoencoder.evaluation.summary import SettingSummary, noise_level
from offset_autoencoder.paths import REPORTS
from offset_autoencoder.reporting.palette import TERMINAL_STYLES, Palette, palette_of
from offset_autoencoder.reporting.result_tables import (
    Against,
    comparison_tables,
    setting_table,
    unit_of,
    verdict_table,
)
from offset_autoencoder.reporting.rows import trained_with_noise
from offset_autoencoder.reporting.tables import Cell, Table
from offset_autoencoder.reporting.terminal import Column, encodable, print_note, print_table
from offset_autoencoder.reporting.wording import (
    PLUS_MINUS,
    better_word,
    decimals_of,
    mean_and_half,
    metric_name,
)


def print_report(console: Console, results: ExperimentResults) -> None:
    """Print the comparisons, the verdict on each offset at the end, and where the rest is."""
    palette = palette_of(results.settings, results.evaluate.baselines)
    if results.summaries:
        _print_comparisons(console, results, palette)
    if results.bounds:
        _print_bounds(console, results.bounds)
        console.print()
    print_verdicts(console, results)
    print_note(
        console,
        f"The rest is in {REPORTS}/: comparison.csv (every comparison in a sentence), verdicts.csv "
        "(likewise), interventions.csv, probes.csv (linear probes, encoder adaptation, "
        "generalization gaps), runs.csv, metrics.json; pictures in plots/.",
    )


def _print_comparisons(console: Console, results: ExperimentResults, palette: Palette) -> None:
    metric, summaries = results.evaluate.metric, results.summaries
    models = {summary.setting.model for summary in summaries}
    baselines = [baseline for baseline in results.evaluate.baselines if baseline in models]
    tables = comparison_tables(results, palette)
    families = {name: [table for table in tables if table.baseline == name] for name in baselines}
    deployed = {
        baseline: next((table for table in family if table.deployed), None)
        for baseline, family in families.items()
    }
    first = baselines[0] if baselines else None
    _print_means(console, results, palette, deployed[first] if first else None)
    _print_unfinished(console, results)
    if first:
        _print_unmatched(console, summaries, deployed[first], first, baselines)
    comparisons = [item for item in results.comparisons if item.metric == metric]
    _print_note_on_comparison(console, results, comparisons)
    console.print()
    for baseline, against in deployed.items():
        noisy = against and any(trained_with_noise(item.baseline) for item in against.family)
        if noisy:
            _print_conditions(console, families[baseline])
        elif against and baseline != first:
            _print_differences(console, results, against)
        if baseline != first:
            _print_unmatched(console, summaries, against, baseline, baselines)
        if noisy or baseline != first:
            console.print()


def _print_means(
    console: Console, results: ExperimentResults, palette: Palette, against: Against | None
) -> None:
    title, metric = _heading(results), results.evaluate.metric
    if against:
        title += f", and against {against.baseline}{_in_common(against.family)}"
    means = setting_table(results, palette)
    settings = [summary.setting for summary in results.summaries]
    columns = [_setting_column(settings), _column(settings, (means, "mean"), f"{metric} ±")]
    gone = {
        summary.setting.label: Cell("diverged", word="diverged")
        for summary in results.summaries
        if summary.diverged and not summary.estimate.count
    }
    if against:
        differences = _difference_columns(settings, against.table, gone)
    else:
        differences = [_column(settings, gone, "verdict", right=False)] if gone else []
    print_table(console, title, [*columns, *differences], [*columns, *differences[::3]])


def _print_differences(console: Console, results: ExperimentResults, against: Against) -> None:
    """The differences to a baseline, one line per setting that is compared with it."""
    settings = [item.setting for item in against.family]
    columns = [_setting_column(settings), *_difference_columns(settings, against.table, {})]
    unit = _heading(results).partition(" on the test split")[2]
    heading = f"against {against.baseline}{_in_common(against.family)}{unit}"
    print_table(console, heading, columns, [*columns[:2], columns[-1]])


def _print_conditions(console: Console, family: Sequence[Against]) -> None:
    """The change of the error against a baseline in every condition, and what they are."""
    items = [item for against in family for item in against.family]
    settings = list({item.setting.label: item.setting for item in items}.values())
    layouts = []
    for interval, short_words in ((True, False), (True, True), (False, True)):
        columns = [_setting_column(settings)]
        for against in family:
            name = against.condition if interval else against.condition.removeprefix("as ")
            changes = against.table.column("change")
            words = {
                key: Cell(cell.short if short_words else cell.word, word=cell.word)
                for key, cell in against.table.column("verdict").items()
            }
            heading = f"{name} ±" if interval else name
            columns.append(_column(settings, changes, heading, short=not interval, missing="-"))
            columns.append(_column(settings, words, "", right=False))
        layouts.append(columns)
    title = f"change of the error against {family[0].baseline}{_in_common(items)}, in %"
    print_table(console, title, *layouts)
    print_note(
        console,
        "deployed: the offset stays on, the noise is off. Like for like: as trained, both on; "
        "clean, both off. Below zero is better. inconcl.: inconclusive.",
    )


def print_verdicts(console: Console, results: ExperimentResults) -> None:
    """The verdict on each offset with the figures that it rests on."""
    verdicts = results.verdicts
    if not verdicts:
        return
    table, settings = verdict_table(results), [item.setting for item in verdicts]
    columns = [
        _setting_column(settings),
        _column(settings, (table, "permuted"), "permuted ±"),
        _column(settings, (table, "gaussian"), "Gaussian ±"),
        _column(settings, (table, "omitted"), "omitted", short=True),
        _column(settings, (table, "decodability"), "decod."),
        _column(settings, (table, "shift"), "shift"),
        _column(settings, (table, "verdict"), "verdict", right=False),
    ]
    wide = [
        *columns[:-1],
        _column(settings, (table, "encoder"), "encoder", right=False),
        columns[-1],
    ]
    narrow = list(columns)
    narrow[2] = _column(settings, (table, "gaussian"), "Gauss.", short=True)
    narrow[3] = _column(settings, (table, "omitted"), "omit.", short=True)
    title = "verdict on each offset; change of the error with another in its place, in %"
    narrowest = list(narrow)
    narrowest[1] = _column(settings, (table, "permuted"), "permuted", short=True)
    headings = print_table(console, title, wide, columns, narrow, narrowest)
    margin = percent(verdicts[0].permuted.within.margin)
    confidence = percent(results.evaluate.confidence).replace(" ", "")
    note = (
        "The offset is permuted (another sample's), replaced by Gaussian noise of the same rms, or "
        f"omitted. {PLUS_MINUS}: half the {confidence} interval over seeds. decod.: linear "
        "decodability, the variance of x that a linear map of the offset explains, %. shift: donor "
        "shift, the share of the way to the other sample that its offset takes the output, %. "
        f"second encoder: the permuted offset costs more than {margin}, omitting it too; "
        "linear decodability and donor shift are above 1 %. noise: permuted and Gaussian are "
        f"within {margin}, omitted is not."
    )
    if "encoder" in headings:
        note += " encoder: its code reinforces, cancels or ignores the offset."
    print_note(console, note)


def _print_bounds(console: Console, bounds: Sequence[SettingSummary]) -> None:
    for label in dict.fromkeys(bound.setting.label for bound in bounds):
        own = [bound for bound in bounds if bound.setting.label == label]
        decimals = min(decimals_of([bound.estimate]) for bound in own)
        parts = ", ".join(
            f"{bound.metric} {mean_and_half(bound.estimate, decimals=decimals)}" for bound in own
        )
        line = encodable(console, f"{label}: {parts} nats per sample")
        console.print(line, markup=False, highlight=False)


def _print_unfinished(console: Console, results: ExperimentResults) -> None:
    """Note on runs that diverged, and on those that would have gone on."""
    for summary in results.summaries:
        if summary.diverged:
            runs = summary.diverged + summary.estimate.count
            note = f"diverged: {summary.setting.label}, {summary.diverged} of {runs} runs"
            print_note(console, note, style="red")
    if results.unconverged:
        runs = len(results.runs)
        were = "run was" if runs == 1 else "runs were"
        print_note(
            console,
            f"{results.unconverged} of {runs} {were} still improving at the last epoch: "
            "raise train.epochs",
            style="yellow",
        )


def _print_unmatched(
    console: Console,
    summaries: Sequence[SettingSummary],
    against: Against | None,
    baseline: str,
    baselines: Sequence[str],
) -> None:
    """Note on settings that a baseline is not compared with, and why; other baselines apart."""
    compared = {item.setting.label for item in against.family} if against else set()
    unmatched = [
        summary.setting
        for summary in summaries
        if summary.setting.label not in compared
        and summary.setting.model not in baselines
        and summary.estimate.count
    ]
    by_level = any(
        noise_level(summary.setting) for summary in summaries if summary.setting.model == baseline
    )
    without = [item.label for item in unmatched if by_level and noise_level(item) is None]
    others = [item.label for item in unmatched if item.label not in without]
    if without:
        print_note(console, f"no noise level to match {baseline} by: {', '.join(without)}")
    if others:
        print_note(console, f"no {baseline} setting that matches: {', '.join(others)}")


def _print_note_on_comparison(
    console: Console, results: ExperimentResults, comparisons: Sequence[Comparison]
) -> None:
    """Legend of the columns and the verdicts."""
    confidence = results.evaluate.confidence
    interval = percent(confidence).replace(" ", "")
    note = (
        f"As deployed: offset on, noise off. {better_word(results.evaluate.metric).capitalize()} "
        f"is better. {PLUS_MINUS}: half the {interval} interval over seeds (Student's t)."
    )
    if comparisons:
        margin = percent(comparisons[0].equivalence.margin)
        families = dict.fromkeys(f"{item.baseline.model} {item.family}" for item in comparisons)
        note += (
            " difference: setting - baseline, seed by seed. p: exact sign-flip test, "
            f"Holm-corrected over all comparisons with a baseline ({', '.join(families)}). wins: "
            f"seeds at which it is better. better, worse: p at most {1 - confidence:.2g} and the "
            f"interval on one side of zero. equivalent, < {margin}: the error is shown to change "
            f"by less than {margin} (two one-sided tests, corrected likewise). Inconclusive "
            "does not mean equal."
        )
    print_note(console, note)


def _heading(results: ExperimentResults) -> str:
    """The metric with the unit that its values are written in."""
    metric = results.evaluate.metric
    exponent = unit_of(results)[0]
    unit = f", in 1e{exponent}" if exponent else ""
    return f"{metric_name(metric)} on the test split{unit}"


def _in_common(family: Iterable[Comparison]) -> str:
    """Description of what the baseline shares with each setting it is compared with."""
    keys = dict.fromkeys(
        "noise level" if key in ("rms", "stddev", "ebn0_db") else key
        for item in family
        for key, _ in item.baseline.sweep
    )
    return f" at the same {' and '.join(keys)}" if keys else ""


def _difference_columns(
    settings: Sequence[Setting], table: Table, gone: Mapping[str, Cell]
) -> list[Column]:
    """Difference, p, wins and verdict; ``gone`` are settings without a finished run."""
    verdicts = {**gone, **table.column("verdict")}
    return [
        _column(settings, (table, "difference"), "difference ±"),
        _column(settings, (table, "p"), "p"),
        _column(settings, (table, "wins"), "wins"),
        _column(settings, verdicts, "verdict", right=False),
    ]


def _setting_column(settings: Sequence[Setting]) -> Column:
    """The settings' labels, the models in bold."""
    cells = [
        Text.assemble((setting.model, "bold"), setting.label.removeprefix(setting.model))
        for setting in settings
    ]
    return Column("setting", cells, right=False)


def _column(
    settings: Sequence[Setting],
    cells: Mapping[str, Cell] | tuple[Table, str],
    heading: str,
    *,
    short: bool = False,
    right: bool = True,
    missing: str = "",
) -> Column:
    """The cells of these settings, by label or of a table's column; empty where there is none."""
    if isinstance(cells, tuple):
        cells = cells[0].column(cells[1])
    texts: list[str | Text] = []
    for setting in settings:
        cell = cells.get(setting.label, Cell(missing, short=missing))
        text = cell.short if short else cell.text
        texts.append(Text(text, style=TERMINAL_STYLES[cell.word]) if cell.word else text)
    return Column(heading, texts, right)
