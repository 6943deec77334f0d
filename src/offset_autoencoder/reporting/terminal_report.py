"""Tables and notes that ``evaluate`` prints at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from offset_autoencoder.config import Setting
from offset_autoencoder.errors import named
from offset_autoencoder.evaluation.metrics import METRICS
from offset_autoencoder.evaluation.offset_effects import AGAINST, TRAIN
from offset_autoencoder.evaluation.results import ExperimentResults
from offset_autoencoder.evaluation.selection import selection_note
from offset_autoencoder.evaluation.statistics import percent
from offset_autoencoder.evaluation.summary import SettingSummary
from offset_autoencoder.paths import REPORTS
from offset_autoencoder.reporting import result_tables, wording
from offset_autoencoder.reporting.error_table import SHOWN, error_table
from offset_autoencoder.reporting.noise_conditions import in_common, trained_with_noise
from offset_autoencoder.reporting.palette import TERMINAL_STYLES, Palette, palette_of
from offset_autoencoder.reporting.result_tables import Against
from offset_autoencoder.reporting.tables import Cell, Table
from offset_autoencoder.reporting.terminal import Column, encodable, print_note, print_table

_SHORT_WORDS = {
    "equivalent": "equiv.",
    "inconclusive": "inconcl.",
    "too few seeds": "few",
    "not comparable": "-",
}
# Of the table of verdicts, the columns shown, each from which of four sizes on, and its heading.
_VERDICT_COLUMNS = (
    ("permuted", 0, "another's ±"),
    ("gaussian", 1, "Gauss."),
    ("mean", 0, "mean"),
    ("omitted", 1, "omit."),
    (f"permuted{TRAIN}", 0, "train ±"),
    (f"gaussian{TRAIN}", 2, "Gauss."),
    (f"mean{TRAIN}", 2, "mean"),
    (f"omitted{TRAIN}", 2, "omit."),
    ("permuted_nothing", 0, "ctrl"),
    (f"permuted{TRAIN}_nothing", 2, "c. train"),
    ("shift", 0, "shift"),
    ("permuted_noise", 3, "noise"),
    (f"permuted{TRAIN}_noise", 3, "n. train"),
    ("decodability", 3, "decod."),
    ("encoder", 3, "encoder"),
    ("verdict", 0, "verdict"),
)
_DIFFERENCES = {"difference": "difference ±", "p": "p", "wins": "wins", "verdict": "verdict"}


def print_report(console: Console, results: ExperimentResults) -> None:
    """Print the comparisons, the verdict on each offset at the end, and where the rest is."""
    if note := wording.anomaly_note(results.params):
        print_note(console, note)
    if results.summaries:
        _print_comparisons(console, results)
    if results.selected:
        _print_tuned(console, results)
    _print_detection(console, results)
    if results.bounds:
        _print_bounds(console, results.bounds)
        console.print()
    print_verdicts(console, results)
    print_note(
        console,
        f"The rest is in {REPORTS}/: comparison.csv (every comparison in a sentence), verdicts.csv "
        "and tuned.csv (likewise), interventions.csv, probes.csv (linear probes, encoder "
        "adaptation, generalization gaps), runs.csv, metrics.json; pictures in plots/.",
    )


def _print_comparisons(console: Console, results: ExperimentResults) -> None:
    palette = palette_of(results.settings, results.evaluate.baselines)
    families = _families(results, palette)
    first = next(iter(families), "")
    means = result_tables.setting_table(results, palette)
    _print_means(console, results, means, {}, families.get(first, []))
    _print_unfinished(console, results)
    if first:
        _print_unmatched(console, results, first, families[first])
    _print_legend(console, results)
    console.print()
    _print_families(console, results, families)


def _print_tuned(console: Console, results: ExperimentResults) -> None:
    """The settings that validation selected, compared like all of them."""
    palette, tuned = palette_of(results.settings, results.evaluate.baselines), results.tuned
    families = _families(tuned, palette)
    console.print(Text(f"Selected by validation: {', '.join(results.evaluate.select)}", "bold"))
    table = result_tables.tuned_table(results, palette)
    selecting, _ = result_tables.selecting_metric(results, results.error_metric)
    headings = {"validation": f"validation {selecting}±", "candidates": "out of"}
    _print_means(console, tuned, table, headings, next(iter(families.values()), []))
    print_note(
        console,
        "validation: the mean on the validation split, which selected out of so many settings of a "
        "model that differ in these keys alone. "
        f"{selection_note(results.design, results.evaluate)}",
    )
    if warning := results.params.budget_warning:
        print_note(console, warning, style="yellow")
    console.print()
    _print_families(console, tuned, families)


def _families(results: ExperimentResults, palette: Palette) -> dict[str, list[Against]]:
    """The comparisons by baseline that there is a setting of, each condition by itself."""
    models = {summary.setting.model for summary in results.summaries}
    families: dict[str, list[Against]] = {
        baseline: [] for baseline in results.evaluate.all_baselines if baseline in models
    }
    for against in result_tables.comparison_tables(results, palette):
        families[against.baseline].append(against)
    return families


def _print_families(
    console: Console, results: ExperimentResults, families: Mapping[str, list[Against]]
) -> None:
    """All comparisons but those that stand beside the means."""
    first = next(iter(families), "")
    for baseline, family in families.items():
        compared = family[0].family if family else []
        noisy = any(trained_with_noise(item.baseline) for item in compared)
        if noisy:
            _print_conditions(console, family, METRICS[results.evaluate.metric].error_label)
        elif family and baseline != first:
            _print_differences(console, results, family[0])
        if baseline != first and baseline in results.evaluate.baselines:
            _print_unmatched(console, results, baseline, family)
        if noisy or baseline != first:
            console.print()


def _print_means(
    console: Console,
    results: ExperimentResults,
    means: Table,
    headings: Mapping[str, str],
    family: Sequence[Against],
) -> None:
    """The mean of each setting, further columns, and its difference to the first baseline."""
    title, metric = _heading(results), results.evaluate.metric
    settings = [summary.setting for summary in results.summaries]
    columns = _columns(settings, means, {"mean": f"{metric} ±", **headings})
    lost = {
        summary.setting.label: Cell("diverged", word="diverged")
        for summary in results.summaries
        if summary.diverged and not summary.estimate.count
    }
    differences: list[Column] = []
    if family:
        title += f", and against {_baseline(family)}"
        differences = _columns(settings, family[0].table, _DIFFERENCES, lost)[1:]
    elif lost:
        differences = [_column(settings, "verdict", lost, right=False)]
    layouts = [[*columns, *differences], [*columns, *differences[::3]]]
    print_table(
        console, title, *layouts, *([[*columns[:2], *differences[::3]]] if headings else [])
    )


def _print_differences(console: Console, results: ExperimentResults, against: Against) -> None:
    columns = _columns([item.setting for item in against.family], against.table, _DIFFERENCES)
    unit = _heading(results).partition(" on the test split")[2]
    heading = f"against {_baseline([against])}{unit}"
    print_table(console, heading, columns, [*columns[:2], columns[-1]])


def _print_conditions(console: Console, family: Sequence[Against], error: str) -> None:
    settings = [item.setting for item in family[0].family]
    layouts = []
    for interval, short_words in ((True, False), (True, True), (False, True)):
        columns = _columns(settings, family[0].table, {})
        for against in family:
            name = against.condition
            heading = f"{name} ±" if interval else name.removeprefix("as ")
            shown = _SHORT_WORDS if short_words else {}
            words = {
                label: Cell(shown.get(cell.word, cell.word), word=cell.word)
                for label, cell in against.table.column("verdict").items()
            }
            columns.append(_column(settings, heading, against.table.column("change")))
            columns.append(_column(settings, "", words, right=False))
        layouts.append(columns)
    title = f"change of the {error} against {_baseline(family)}, in %"
    print_table(console, title, *layouts)
    print_note(
        console,
        "deployed: the noise is off, an offset stays on. Like for like: as trained, both on; "
        "clean, both off. Below zero is better. inconcl.: inconclusive. few: too few seeds.",
    )


def print_verdicts(console: Console, results: ExperimentResults) -> None:
    """The verdict on each offset with the figures that it rests on, and what it costs."""
    verdicts = results.verdicts
    if not verdicts:
        return
    _print_costs(console, results)
    table, settings = result_tables.verdict_table(results), [item.setting for item in verdicts]
    layouts = [
        {
            key: heading if size else heading.removesuffix(" ±")
            for key, least, heading in _VERDICT_COLUMNS
            if least <= size
        }
        for size in (3, 2, 1, 0)
    ]
    change = f"change of the {results.error_label} with another in its place, in %"
    title = f"verdict on each offset; {change}"
    headings = print_table(console, title, *(_columns(settings, table, each) for each in layouts))
    margin = percent(verdicts[0].margin)
    confidence = percent(results.evaluate.confidence).replace(" ", "")
    note = (
        f"% of that of {wording.unit_of_changes(verdicts)}. another's: another sample's vector, "
        "on unseen samples; train: on training samples. "
    )
    if "Gauss." in headings:
        note += "Gauss.: a draw of the same mean and covariance. omit.: none. "
    note += (
        "mean: the mean vector. ctrl: another's in the network trained with nothing, to which the "
        f"same vectors are handed. ±: half the {confidence} interval over {results.design.over}. "
        "shift: donor shift, the share of the way to the other sample that its vector takes the "
        "output, %. "
        f"second encoder: another's and the mean vector cost more than {margin} on unseen samples, "
        "and the output moves to the donor. memorised: another's costs on training samples alone. "
        "noise: it costs on neither. cancelled or ignored: nor does omitting it. Each is shown, or "
        "not clear."
    )
    if "noise" in headings:
        note += " Column noise: another's in the network trained with noise of that rms."
    if "encoder" in headings:
        note += " encoder: its code reinforces, cancels or ignores the offset."
    print_note(console, note)


def _print_costs(console: Console, results: ExperimentResults) -> None:
    """The error of each offset's network against that trained with nothing and with noise."""
    table, verdicts = result_tables.verdict_table(results), results.verdicts
    headings = {
        name: f"{wording.short_name(control)}, {'on' if suffix else 'off'} ±"
        for name, (control, suffix) in AGAINST.items()
        if any(name in item.against for item in verdicts)
    }
    if not headings:
        return
    columns = _columns([item.setting for item in verdicts], table, headings)
    print_table(console, f"what each offset does to the {results.error_label}, in %", columns)
    print_note(
        console,
        "Against the network trained with nothing, and with Gaussian noise of the same rms. off: "
        "as deployed, noise off and offset on; on: as trained, both on. Below zero is better.",
    )
    console.print()


def _print_detection(console: Console, results: ExperimentResults) -> None:
    """How well the error of a sample tells anomalies, where these are sought."""
    table, settings = error_table(results), [item.setting for item in results.error_summaries]
    headings = {name: f"{each.label} ±" for name, each in METRICS.items() if each.detects}
    if not {column.key for column in table.columns}.issuperset(headings):
        return
    above = {"detected": "detected, %", "above": "false alarms, %"}
    title = "anomalies of the test split, told by the error of a sample"
    print_table(console, title, _columns(settings, table, {**headings, **above}))
    print_note(
        console,
        f"detected, false alarms: anomalies and normal samples above the {percent(SHOWN)} quantile "
        "of the validation split. reports/errors has the error of each sample.",
    )
    console.print()


def _print_bounds(console: Console, bounds: Sequence[SettingSummary]) -> None:
    for label in dict.fromkeys(bound.setting.label for bound in bounds):
        own = {bound.metric: bound.estimate for bound in bounds if bound.setting.label == label}
        decimals = min(wording.decimals_of([bound]) for bound in own.values())
        parts = [f"{name} {wording.mean_and_half(own[name], decimals=decimals)}" for name in own]
        line = encodable(console, f"{label}: {', '.join(parts)} nats per sample")
        console.print(line, markup=False, highlight=False)


def _print_unfinished(console: Console, results: ExperimentResults) -> None:
    """Note on runs that diverged, and on those that would have gone on."""
    for summary in results.summaries:
        if summary.diverged:
            runs = summary.diverged + summary.estimate.count
            note = f"diverged: {named(summary.setting.label)}, {summary.diverged} of {runs} runs"
            print_note(console, note, style="red")
    if note := wording.unconverged_note(results):
        print_note(console, note, style="yellow")


def _print_unmatched(
    console: Console, results: ExperimentResults, baseline: str, family: Sequence[Against]
) -> None:
    """Note on settings that a baseline is not compared with, and why; other baselines apart."""
    compared = {item.setting.label for against in family[:1] for item in against.family}
    finished = [item.setting for item in results.summaries if item.estimate.count]
    settings = [
        setting
        for setting in finished
        if setting.label not in compared and setting.model not in results.evaluate.baselines
    ]
    by_level = any(item.noise_level for item in results.settings if item.model == baseline)
    without = [item.label for item in settings if by_level and item.noise_level is None]
    others = [item.label for item in settings if item.label not in without]
    for note, labels in (
        (f"no noise level to match {named(baseline)} by", without),
        (f"no {named(baseline)} setting that matches", others),
    ):
        if labels:
            print_note(console, f"{note}: {', '.join(map(named, labels))}")


def _print_legend(console: Console, results: ExperimentResults) -> None:
    evaluate = results.evaluate
    interval = percent(evaluate.confidence).replace(" ", "")
    note = (
        f"As deployed: offset on, noise off. {wording.better_word(evaluate.metric).capitalize()} "
        f"is better. ±: half the {interval} interval over {results.design.covers}."
    )
    if any(item.estimate.is_cut for item in results.summaries):
        note += f" {wording.CUT}"
    comparisons = [item for item in results.comparisons if item.metric == evaluate.metric]
    if any(item.two_way for item in comparisons):
        note += " Over test samples too: two_way in reports/comparison.csv and metrics.json."
    if comparisons:
        margin = percent(comparisons[0].equivalence.margin)
        families = dict.fromkeys(f"{named(i.baseline.model)} {i.family}" for i in comparisons)
        error = METRICS[evaluate.metric].error_label
        note += (
            " difference: setting - baseline, seed by seed. p: sign-flip test, corrected for "
            f"all comparisons with a baseline together ({', '.join(families)}), ≤: the least. "
            "wins: seeds at which it is better. better, worse: p at most "
            f"{1 - evaluate.confidence:.2g} and the interval on one side of zero. "
            f"equivalent, < {margin}: the {error} is shown to change "
            f"by less than {margin} (two one-sided tests, corrected likewise). Inconclusive does "
            "not mean equal."
        )
        note += f" {wording.unsettled_note(results)}".rstrip()
    print_note(console, note)


def _heading(results: ExperimentResults) -> str:
    """The metric with the unit that its values are written in."""
    exponent, _ = result_tables.unit_of(results)
    unit = f", in 1e{exponent}" if exponent else ""
    return f"{METRICS[results.evaluate.metric].label} on the test split{unit}"


def _baseline(family: Sequence[Against]) -> str:
    """The baseline and what it shares with each setting that it is compared with."""
    return f"{named(family[0].baseline)}{in_common(family[0].family)}"


def _columns(
    settings: Sequence[Setting],
    table: Table,
    headings: Mapping[str, str],
    lost: Mapping[str, Cell] | None = None,
) -> list[Column]:
    """The settings, their models in bold, and columns of a table by key, each with its heading.

    ``lost`` are the verdicts of settings that are not in the table.
    """
    names = [Text.assemble((s.model, "bold"), s.label.removeprefix(s.model)) for s in settings]
    columns = [Column("setting", names, right=False)]
    numbers = [column.key for column in table.columns if column.kind == "number"]
    for key, heading in headings.items():
        cells = table.column(key)
        if key == "verdict" and lost:
            cells = {**lost, **cells}
        columns.append(_column(settings, heading, cells, right=key in numbers))
    return columns


def _column(
    settings: Sequence[Setting], heading: str, cells: Mapping[str, Cell], *, right: bool = True
) -> Column:
    """The cells of these settings, by label; empty where there is none.

    Intervals are shown below a heading that ends in ``±``, else means alone.
    """
    texts: list[str | Text] = []
    for setting in settings:
        cell = cells.get(setting.label, Cell())
        text = cell.text if heading.endswith("±") else cell.short or cell.text
        texts.append(Text(text, style=TERMINAL_STYLES[cell.word]) if cell.word else text)
    return Column(heading, texts, right)
